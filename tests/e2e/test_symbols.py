"""`scrapy symbols`: what is shipped, and what venues list otherwise."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketarchive.times import SECOND, utc
from marketarchive.venues.symbols import symbols
from tests.e2e.harness import SCRAPY, Output, Simulator, run, simulator
from tests.e2e.test_perps import truth

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    options = ("--speed", "40", "--start", "2026-11-20T10:01:00Z")
    with simulator(tmp_path_factory.mktemp("truth"), *options) as running:
        yield running


def ran(world: Simulator, name: str, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A command that may crawl: in a process of its own, since it installs a reactor."""
    settings = ("-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={world.url}")
    return run([*SCRAPY, name, *options, *settings])


def test_lists_are_requested_archived_and_compared(world: Simulator, out: Path) -> None:
    line = [*SCRAPY, "symbols", "okx", "binance", "drift", "--request", "-s", f"OUTPUT_DIR={out}"]
    done = run([*line, "-s", f"SIMULATOR_URL={world.url}", "-s", "DOWNLOAD_TIMEOUT=120"])
    assert done.returncode == 1, done.stderr
    assert "same     okx" in done.stdout
    assert "DIFFERS  binance: 1" in done.stdout
    assert "drift: lists nothing any more" in done.stdout
    assert "2019-09-08" in done.stdout  # in the file; the simulated contract is younger
    since = f"{utc(truth('binance').listed('BTC') * SECOND):%Y-%m-%d}"
    assert since in done.stdout
    answers = [line["url"] for line in Output(out).lines("perps", "response")]
    assert len(answers) == 4  # two lists of each

    again = ran(world, "symbols", out, "okx", "binance", "--check", "--json")
    assert again.returncode == 1
    told = json.loads(again.stdout)
    assert (told["checked"], told["not_archived"]) == (["binance", "okx"], [])
    [found] = told["differences"]
    assert (found["asset"], found["field"], found["shipped"], found["listed"]) == (
        *("BTC", "listed_from", "2019-09-08"),
        since,
    )
    assert ran(world, "symbols", out, "okx", "--check").returncode == 0
    unknown = ran(world, "symbols", out, "okx", "bybit", "--check")
    assert unknown.returncode == 1
    assert "UNKNOWN  bybit" in unknown.stdout


def test_what_is_shipped_is_printed_and_mapped(world: Simulator, out: Path) -> None:
    done = ran(world, "symbols", out, "okx", "--json")
    assert done.returncode == 0
    rows = json.loads(done.stdout)
    assert [(row["asset"], row["symbol"]) for row in rows] == [
        (asset, row["symbol"]) for asset, row in symbols("okx").items()
    ]
    assert "BTC-USDT-SWAP" in ran(world, "symbols", out, "okx").stdout
    assert ran(world, "symbols", out, "nowhere").returncode == 2
    where = {"start": "2026-11-01", "end": "2026-11-02", "assets": "BTC"}
    words = [f"--{name}={value}" for name, value in where.items()]
    assert ran(world, "perps", out, "okx", *words).returncode == 0
    with (out / "perps" / "symbols_map.csv").open(encoding="utf-8") as file:
        mapped = [row for row in csv.DictReader(file) if row["venue"] == "okx"]
    assert [(row["asset"], row["symbol"], row["contract_size"]) for row in mapped] == [
        (asset, row["symbol"], row["contract_size"]) for asset, row in symbols("okx").items()
    ]
