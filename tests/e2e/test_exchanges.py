"""Spot exchanges, Kalshi and Polymarket side by side in one process and one archive, under faults."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from marketarchive import Archive
from tests.e2e import kalshi_truth, stream_truth
from tests.e2e.all_venues import hold_against_truth, schedule
from tests.e2e.exchange_truth import EXCHANGES
from tests.e2e.harness import Output, command, run, simulator
from tests.e2e.test_collect import collect, collect_command

pytestmark = pytest.mark.e2e

START = "2026-11-20T10:08:30Z"
"""A Friday: rounds of every length end while it runs."""


def side_by_side(folder: Path, seconds: int, every_s: float, speed: float) -> Path:
    """Collect everything for so long, and hold it against all that was sent; return OUTPUT_DIR."""
    faults, truth, out = folder / "faults.json", folder / "truth", folder / "out"
    faults.write_text(json.dumps([*stream_truth.schedule(seconds, every_s), *schedule(seconds, every_s)]))
    options = ("--start", START, "--speed", f"{speed:g}", "--faults", str(faults))
    with simulator(truth, *options) as venue:
        key = kalshi_truth.key_settings(venue, folder)
        chosen = ("--durations", "5m", "--no-pages", "--duration", f"{seconds}s")
        settings = [word for name, value in key.items() for word in ("-s", f"{name}={value}")]
        line = collect_command(venue.url, out, "updown", "spot", "kalshi", *chosen, *settings)
        done = run(line, timeout=600 + seconds)
        assert done.returncode == 0, done.stderr[-3000:]
    hold_against_truth(out, truth, seconds)
    return out


def test_ten_minutes_side_by_side(tmp_path: Path) -> None:
    """Each second and asset of each exchange has its row."""
    out = side_by_side(tmp_path, 600, 60, 30)
    assert command("verify", out, "--books").returncode == 0
    for each in EXCHANGES:
        for asset in ("BTC", "ETH", "SOL", "XRP"):
            rows = [
                json.loads(line)
                for path in (out / "records").glob(f"spot_{each.venue}_{asset.lower()}-*")
                for line in path.read_text().splitlines()
            ]
            assert 590 <= len(rows) <= 640  # the last ones while the run is being stopped
            assert len({row["timestamp"] for row in rows}) == len(rows)
            assert {row["asset"] for row in rows} == {asset}


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_six_hours_side_by_side(tmp_path: Path) -> None:
    """As above for six simulated hours."""
    side_by_side(tmp_path, 6 * 3600, 150, float(os.environ.get("SOAK_SPEED", "20")))


def test_every_product_tells_them_apart(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--durations", "5m", "--no-pages", "--duration", "60s")
    with simulator(tmp_path / "truth", "--start", START, "--speed", "20") as venue:
        done = collect(venue.url, out, "updown", "spot", *options)
    assert done.returncode == 0, done.stderr[-2000:]
    assert command("verify", out, "--books").returncode == 0
    archive = Archive(out)
    for each in EXCHANGES:
        quotes = archive.quotes(venue=each.venue, asset="BTC")
        assert quotes["market"].map(each.world.assets).unique().tolist() == ["BTC"]
        assert len(archive.trades(venue=each.venue, asset="BTC")) > 20
        assert set(archive.coverage(venue=each.venue)["asset"]) == {"BTC", "ETH", "SOL", "XRP"}
        assert archive.gaps(venue=each.venue).empty
    assert set(archive.books(venue="polymarket")["venue"]) == {"polymarket"}
    status = json.loads(command("status", out, "--json").stdout)
    assert {f"{each.venue}_spot" for each in EXCHANGES} <= set(json.dumps(status).replace('"', " ").split())


def test_a_run_of_one_asset_says_so(tmp_path: Path) -> None:
    with simulator(tmp_path / "truth", "--start", START, "--speed", "20") as venue:
        done = collect(venue.url, tmp_path / "out", "spot", "--assets", "ETH", "--duration", "20s")
    assert done.returncode == 0, done.stderr[-2000:]
    names = {path.name.rpartition("-2026")[0] for path in (tmp_path / "out" / "records").iterdir()}
    assert names == {f"spot_{each.venue}_eth" for each in EXCHANGES}
    assert not Output(tmp_path / "out").gaps()
