"""Files of exchanges' public archives, where their API does not reach: what they say is what was true."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from marketarchive.times import SECOND, from_iso
from marketarchive.venues.okx.queries import FUNDING_REACH_S
from tests.e2e.harness import SCRAPY, Done, Simulator, command, crawl, run, simulator
from tests.e2e.test_perps import rows, truth

pytestmark = pytest.mark.e2e

NOW = "2026-11-20T10:01:00Z"
EIGHT_H = 8 * 3600


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("truth"), "--speed", "40", "--start", NOW) as running:
        yield running


def collected(world: Simulator, out: Path, spider: str, *arguments: str) -> Done:
    done = crawl(world.url, out, spider, *arguments, DOWNLOAD_TIMEOUT="120")
    assert done.code == 0, done.log
    assert command("normalize", out).returncode == 0
    return done


def s(text: str) -> int:
    return from_iso(text) // SECOND


def test_open_interest_of_more_than_30_days_ago(world: Simulator, out: Path) -> None:
    arguments = ("assets=BTC,PEPE", "start=2026-10-01T08:00:00Z", "end=2026-10-02")
    done = collected(world, out, "binance_perps", *arguments)
    assert done.out.gaps() == []
    found = rows(done.out, "binance", "open_interest")
    assert {row["verified"] for row in found} == {"ok"}
    held = {(row["asset"], int(row["event_time"])): row for row in found}
    due = range(s("2026-10-01T00:00:00Z"), s("2026-10-02T00:00:00Z") + 1, 300)
    assert held.keys() >= {(asset, at) for asset in ("BTC", "PEPE") for at in due}
    for (asset, at), row in held.items():
        assert row["amount"] == truth("binance").open_interest(asset, at)
        assert row["amount_quote"] == truth("binance").open_interest_value(asset, at)
    line = ("--start", "2026-10-01T08:00:00Z", "--end", "2026-10-02", "--no-crawl")
    settings = ("-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={world.url}")
    assert run([*SCRAPY, "perps", "binance", *line, *settings]).returncode == 0
    unified = pd.read_parquet(out / "perps" / "unified_data.parquet")
    assert len(unified) == 6
    for made in unified.to_dict("records"):
        at = int(made["timestamp"].timestamp())
        assert made["open_interest"] == float(truth("binance").open_interest(made["asset"], at))
        assert made["open_interest_rule"].startswith("`sum_open_interest`")


def test_a_range_that_the_api_serves_in_part(world: Simulator, out: Path) -> None:
    done = collected(world, out, "binance_perps", "assets=BTC", "start=2026-10-20", "end=2026-10-23")
    assert done.out.gaps() == []
    found = {int(row["event_time"]): row for row in rows(done.out, "binance", "open_interest")}
    due = range(s("2026-10-20T00:00:00Z"), s("2026-10-23T00:00:00Z") + 1, EIGHT_H)
    assert found.keys() >= set(due)
    assert {found[at]["verified"] for at in due} == {"ok", "not_available"}
    assert all(row["amount"] == truth("binance").open_interest("BTC", at) for at, row in found.items())


def test_files_that_are_missing_or_wrong_are_gaps_of_their_days(world: Simulator, out: Path) -> None:
    with world.ordered(
        {"kind": "binance_missing_file", "route": "*BTCUSDT-metrics-2026-10-02.zip*"},
        {"kind": "binance_wrong_checksum", "route": "*BTCUSDT-metrics-2026-10-03.zip.CHECKSUM"},
    ):
        done = collected(world, out, "binance_perps", "assets=BTC", "start=2026-10-02", "end=2026-10-04")
    gaps = {(gap["reason"], gap["from"][:19], gap["to"][:19]) for gap in done.out.gaps()}
    assert gaps == {
        ("not_served", "2026-10-02T00:00:00", "2026-10-02T23:59:59"),
        ("checksum", "2026-10-03T00:00:00", "2026-10-03T23:59:59"),
    }
    days = {int(row["event_time"]) // 86_400 for row in rows(done.out, "binance", "open_interest")}
    assert days == {s("2026-10-01T00:00:00Z") // 86_400, s("2026-10-04T00:00:00Z") // 86_400}
    assert Decimal(0) not in {row["amount"] for row in rows(done.out, "binance", "open_interest")}


def test_a_contract_that_is_not_listed_any_more(world: Simulator, out: Path) -> None:
    arguments = ("assets=A2Z", "start=2026-03-23", "end=2026-03-28", "period=1h")
    with world.ordered({"kind": "binance_rows_after_end"}):
        done = collected(world, out, "binance_perps", *arguments)
    world_of, ended = truth("binance"), truth("binance").delisted("A2Z")
    assert ended is not None
    last = s("2026-03-25T00:00:00Z")  # of the day on which it ended
    settled = [row for row in rows(done.out, "binance", "fundings") if row["event_time"] < ended + 1]
    due = {each.at: each for each in world_of.settlements("A2Z", s("2026-03-01T00:00:00Z"), ended)}
    assert {round(row["event_time"]): row["rate"] for row in settled} == {
        at: each.rate for at, each in due.items()
    }
    for row in settled:
        assert row["interval_s"] == due[round(row["event_time"])].interval_s
    assert max(row["event_time"] for row in rows(done.out, "binance", "fundings")) <= last
    [made] = [manifest for manifest in done.out.manifests() if manifest.get("command") == "normalize"]
    assert sum(each["unreadable"].get("after_end", 0) for each in made["outputs"]) > 10
    for row in rows(done.out, "binance", "candles"):
        true = world_of.candle("A2Z", row["source"], int(row["event_time"]), 3600, s(NOW))
        prices = (row["open"], row["high"], row["low"], row["close"])
        assert prices == (true.open, true.high, true.low, true.close)
    opened = {int(row["event_time"]) for row in rows(done.out, "binance", "candles")}
    assert opened == set(range(s("2026-03-22T00:00:00Z"), ended, 3600)) - set(
        range(s("2026-03-22T00:00:00Z"), min(opened), 3600)
    )
    interest = {int(row["event_time"]): row["amount"] for row in rows(done.out, "binance", "open_interest")}
    assert max(interest) == ended - 300  # what is 0 after it is not taken
    assert all(amount == world_of.open_interest("A2Z", at) for at, amount in interest.items())


def test_rates_of_more_than_90_days_ago(world: Simulator, out: Path) -> None:
    arguments = ("assets=CRV", "start=2026-07-30", "end=2026-09-03", "period=1d")
    done = collected(world, out, "okx_perps", *arguments)
    assert done.out.gaps() == []
    found = [row for row in rows(done.out, "okx", "fundings") if row["kind"] == "settled"]
    first, last = s("2026-07-29T00:00:01Z"), s("2026-09-03T00:00:00Z")
    due = {each.at: each.rate for each in truth("okx").settlements("CRV", first, last)}
    by_hour = {int(row["event_time"]) // 3600 * 3600: row["rate"] for row in found}
    assert {at: rate for at, rate in by_hour.items() if first <= at <= last} == due
    boundary = s(NOW) - FUNDING_REACH_S
    assert min(due) < boundary < max(due)
    files = [line for line in world.served() if line["url"].startswith("https://static.okx.com/")]
    assert {line["url"].rpartition("-fundingrates-")[2] for line in files} == {"2026-07.zip", "2026-08.zip"}
    assert {line["sha256"] for line in files} <= done.out.payload_digests().keys()
    assert command("verify", out).returncode == 0


def test_a_month_that_is_not_there_is_a_gap(world: Simulator, out: Path) -> None:
    missing = {"kind": "status", "status": 404, "body": "<Code>NoSuchKey</Code>"}
    with world.ordered({**missing, "route": "static.okx.com/*2026-06.zip"}):
        done = collected(world, out, "okx_perps", "assets=BTC", "start=2026-06-10", "end=2026-07-02")
    [gap] = done.out.gaps()
    assert (gap["reason"], gap["scope"]["endpoint"]) == ("not_served", "okx_funding_file")
    assert (gap["from"][:19], gap["to"][:19]) == ("2026-06-09T08:01:00", "2026-06-30T15:59:59")
    settled = {
        int(row["event_time"]) for row in rows(done.out, "okx", "fundings") if row["kind"] == "settled"
    }
    assert min(settled) // 60 * 60 == s("2026-06-30T16:00:00Z")  # the month begins there in UTC+8
