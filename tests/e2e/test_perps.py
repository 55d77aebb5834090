"""Spiders of perpetuals on the simulator: what they archived is what was true, to the last digit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from marketarchive.simulator.perps_world import PerpsWorld
from marketarchive.times import SECOND, from_iso
from marketarchive.venues import venues
from marketarchive.venues.perps import Perps, sectors
from marketarchive.venues.symbols import symbols
from tests.e2e.harness import SCRAPY, Done, Simulator, command, crawl, run, simulator

pytestmark = pytest.mark.e2e

WHOLE = {"funding", "trade", "mark", "index", "open_interest"}
VENUES = sorted(
    name
    for name, venue in venues().items()
    if venue.perps is not None and {route.kind for route in venue.perps.routes} == WHOLE
)
"""Those that serve the whole past; others have tests of their own."""
START, END = "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"
EIGHT_H = 8 * 3600


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    options = ("--speed", "40", "--start", "2026-11-20T10:01:00Z")
    with simulator(tmp_path_factory.mktemp("truth"), *options) as running:
        yield running


@pytest.fixture(scope="module")
def week(world: Simulator, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """Seven days of all assets, each venue in a folder of its own."""
    found = {}
    for venue in VENUES:
        out = tmp_path_factory.mktemp(venue)
        found[venue] = crawl(world.url, out, f"{venue}_perps", f"start={START}", f"end={END}")
        assert found[venue].code == 0, found[venue].log
        assert command("normalize", out, "--strict").returncode == 0
    return found


def truth(venue: str) -> PerpsWorld:
    made: PerpsWorld = import_module(f"marketarchive.simulator.{venue}").simulated(1).world
    return made


def declared(venue: str) -> Perps:
    found = venues()[venue].perps
    assert found is not None
    return found


def rows(done: Done, table: str) -> list[dict[str, Any]]:
    """A table's rows; times are Unix seconds."""
    path = str(done.out.root / "tables" / table / "*/*/*/*.parquet")
    sql = f"SELECT * REPLACE (epoch(event_time) AS event_time) FROM read_parquet('{path}')"
    found: list[dict[str, Any]] = duckdb.connect().sql(sql).to_arrow_table().to_pylist()
    return found


@pytest.mark.parametrize("venue", VENUES)
def test_every_settlement_of_the_week(week: dict[str, Done], venue: str) -> None:
    first, last = from_iso(START) // SECOND - EIGHT_H + 1, from_iso(END) // SECOND
    settled = [row for row in rows(week[venue], "fundings") if row["kind"] == "settled"]
    found = Counter((row["asset"], round(row["event_time"] / 60) * 60, row["rate"]) for row in settled)
    due = Counter(
        (asset, each.at, each.rate)
        for asset in sectors()
        for each in truth(venue).settlements(asset, first, last)
    )
    assert found == due
    assert len({each.interval_s for a in sectors() for each in truth(venue).settlements(a, first, last)}) > 1


@pytest.mark.parametrize("venue", VENUES)
def test_every_candle_of_the_week(week: dict[str, Done], venue: str) -> None:
    now = from_iso("2026-11-20T10:01:00Z") // SECOND
    found = {
        (row["asset"], row["source"], int(row["event_time"])): row for row in rows(week[venue], "candles")
    }
    [step] = {row["interval_s"] for row in found.values()}
    due = range(from_iso(START) // SECOND - EIGHT_H, from_iso(END) // SECOND, step)
    kinds = ("trade", "mark", "index")
    assert found.keys() == {(asset, kind, at) for asset in sectors() for kind in kinds for at in due}
    for (asset, kind, opened), row in found.items():
        true = truth(venue).candle(asset, kind, opened, step, now)
        assert (row["open"], row["high"], row["low"], row["close"]) == (
            true.open, true.high, true.low, true.close,
        )  # fmt: skip
        assert row["volume"] == (true.volume if kind == "trade" else None)
        assert row["volume_quote"] == (true.volume_quote if kind == "trade" else None)
        assert row["is_closed"]


@pytest.mark.parametrize("venue", VENUES)
def test_open_interest_of_the_week(week: dict[str, Done], venue: str) -> None:
    found = {(row["asset"], int(row["event_time"])): row for row in rows(week[venue], "open_interest")}
    step = next(each for each in declared(venue).routes if each.kind == "open_interest").step_of(EIGHT_H)
    due = range(from_iso(START) // SECOND - EIGHT_H + step, from_iso(END) // SECOND + 1, step)
    assert found.keys() == {(asset, at) for asset in sectors() for at in due}
    for (asset, at), row in found.items():
        true = truth(venue).open_interest(asset, at)
        assert row["amount"] == true
        assert row["amount_quote"] == truth(venue).open_interest_value(asset, at)


@pytest.mark.parametrize("venue", VENUES)
def test_everything_sent_is_archived_and_nothing_is_missing(
    week: dict[str, Done], world: Simulator, venue: str
) -> None:
    done = week[venue]
    assert done.out.gaps() == []
    hosts = {query.url.split("/")[2] for query in declared(venue).instruments}
    sent = [line for line in world.served() if line["url"].split("/")[2] in hosts and line["whole"]]
    digests = done.out.payload_digests()
    assert digests <= Counter(line["sha256"] for line in sent)
    assert command("verify", done.out.root).returncode == 0
    listed = {row["asset"]: row for row in rows(done, "instruments") if row["listed_at"] is not None}
    assert listed.keys() >= set(sectors())


@pytest.mark.parametrize("venue", VENUES)
def test_contracts_of_a_thousand_are_turned_into_base_units(world: Simulator, out: Path, venue: str) -> None:
    assert symbols(venue)["PEPE"]["multiplier"] in ("1", "1000")
    done = crawl(world.url, out, f"{venue}_perps", "assets=PEPE", f"start={END}", f"end={END}")
    assert done.code == 0, done.log
    assert command("normalize", out).returncode == 0
    now, opened = from_iso("2026-11-20T10:01:00Z") // SECOND, from_iso(END) // SECOND - EIGHT_H
    for row in rows(done, "candles"):
        if int(row["event_time"]) == opened:
            true = truth(venue).candle("PEPE", row["source"], opened, row["interval_s"], now)
            assert (row["open"], row["close"]) == (true.open, true.close)
            assert row["volume"] == (true.volume if row["source"] == "trade" else None)
    [*_, newest] = sorted(rows(done, "open_interest"), key=lambda row: row["event_time"])
    assert newest["amount"] == truth(venue).open_interest("PEPE", int(newest["event_time"]))


@pytest.mark.parametrize("venue", VENUES)
def test_the_present(world: Simulator, out: Path, venue: str) -> None:
    done = crawl(world.url, out, f"{venue}_perps", "assets=BTC,CRV", "interval=10s", "duration=30s")
    assert done.code == 0, done.log
    assert done.out.gaps() == []
    assert command("normalize", out).returncode == 0
    chosen = [row for row in rows(done, "fundings") if row["asset"] in ("BTC", "CRV")]
    expected = [row for row in chosen if row["kind"] == "predicted"]
    assert Counter(row["asset"] for row in expected) == {"BTC": 3, "CRV": 3}
    for row in expected:
        due = truth(venue).next_settlement(row["asset"], int(row["event_time"]))
        assert row["rate"] == truth(venue).rate(row["asset"], due)
        assert row["next_at"].timestamp() == due
    for row in rows(done, "open_interest"):
        if row["asset"] in ("BTC", "CRV"):
            assert row["amount"] == truth(venue).open_interest(row["asset"], int(row["event_time"]))


def test_what_a_venue_refuses_is_a_gap_of_what_is_missing(world: Simulator, out: Path) -> None:
    ban = json.dumps({"code": -1003, "msg": "Way too many requests; IP banned until 1990000000000."})
    with world.ordered(
        {"kind": "status", "status": 418, "body": ban, "route": "*/fapi/v1/markPriceKlines"},
        {"kind": "status", "status": 503, "route": "*/fapi/v1/fundingRate", "count": 2},
    ):
        done = crawl(world.url, out, "binance_perps", "assets=BTC,GALA", f"start={START}", f"end={END}")
    assert done.code == 0, done.log
    gaps = [gap for gap in done.out.gaps() if gap["reason"] == "rate_limited"]
    assert {market for gap in gaps for market in gap["scope"]["markets"]} >= {"BTCUSDT", "GALAUSDT"}
    marks = [gap for gap in gaps if gap["scope"]["endpoint"] == "binance_mark_candles"]
    assert {(gap["from"], gap["to"]) for gap in marks} == {
        ("2026-11-12T16:00:00.000000Z", "2026-11-19T16:00:00.000000Z")
    }


def test_a_country_that_is_not_served_is_one_clear_gap(world: Simulator, out: Path) -> None:
    refusal = json.dumps({"code": 0, "msg": "Service unavailable from a restricted location"})
    with world.ordered({"kind": "status", "status": 451, "body": refusal, "route": "fapi.binance.com/*"}):
        done = crawl(world.url, out, "binance_perps", "assets=BTC", f"start={START}", f"end={END}")
    assert done.code == 4, done.log
    assert {gap["reason"] for gap in done.out.gaps()} == {"blocked"}


def test_open_interest_that_is_not_served_any_more_is_a_gap(world: Simulator, out: Path) -> None:
    done = crawl(world.url, out, "binance_perps", "assets=BTC", "start=2026-10-01", "end=2026-10-02")
    assert done.code == 0, done.log
    [gap] = done.out.gaps()
    assert (gap["reason"], gap["scope"]["markets"]) == ("not_served", ["BTCUSDT"])
    assert (gap["from"], gap["to"]) == ("2026-09-30T16:00:00.001000Z", "2026-10-02T00:00:00.000000Z")


def test_a_contract_that_ended_has_nothing_after_its_end(world: Simulator, out: Path) -> None:
    arguments = ("assets=A2Z", "start=2026-03-20", "end=2026-03-27", "period=1h")
    done = crawl(world.url, out, "binance_perps", *arguments)
    assert done.code == 0, done.log
    assert command("normalize", out).returncode == 0
    ended = truth("binance").delisted("A2Z")
    assert ended is not None
    assert max(row["event_time"] for row in rows(done, "fundings")) // 60 * 60 == ended
    assert max(row["event_time"] + row["interval_s"] for row in rows(done, "candles")) == ended
    assert Decimal(0) not in {row["rate"] for row in rows(done, "fundings")}


def test_all_venues_in_one_file(world: Simulator, out: Path) -> None:
    options = ("--start", "2026-11-18", "--end", END, "--assets", "BTC,CRV", "--json")
    line = [
        *SCRAPY,
        "perps",
        *VENUES,
        "-s",
        f"OUTPUT_DIR={out}",
        "-s",
        f"SIMULATOR_URL={world.url}",
        *options,
    ]
    fault = {"kind": "status", "status": 500, "route": "fapi.binance.com/fapi/v1/klines", "count": 10}
    with world.ordered(fault):  # one series fails, and is there at the second attempt
        told = run(line)
    assert told.returncode == 0, told.stderr
    done = json.loads(told.stdout)
    assert {each["venue"]: each["attempts"] for each in done["venues"]} == {
        venue: 1 + (venue == "binance") for venue in VENUES
    }
    found = pd.read_parquet(out / "perps" / "unified_data.parquet")
    keys = ["timestamp", "venue", "symbol"]
    assert found.equals(found.sort_values(keys, ignore_index=True))
    assert not found.duplicated(keys).any()
    assert len(found) == done["rows"] == len(VENUES) * 2 * 7
    for row in found.to_dict("records"):
        check_unified(row)
    one = pd.read_parquet(out / "perps" / "binance" / "BTCUSDT.parquet")
    assert len(one) == 7
    symbols_map = pd.read_csv(out / "perps" / "symbols_map.csv")
    assert set(symbols_map["venue"]) >= set(VENUES)
    again = run([*line, "--no-crawl"])
    assert json.loads(again.stdout)["made"] == []


def check_unified(row: Mapping[Any, Any]) -> None:
    """Every column is the truth after its conversion, the nearest double of it."""
    asset, at, world = row["asset"], int(row["timestamp"].timestamp()), truth(row["venue"])
    settled = world.settlements(asset, at - EIGHT_H + 1, at)
    assert row["funding_rate"] == float(sum((each.rate for each in settled), Decimal(0)))
    assert row["funding_rate_30m"] == row["funding_rate"] / 16
    assert (row["n_settlements"], row["funding_kind"]) == (len(settled), "settled")
    assert row["funding_interval_h"] == settled[-1].interval_s / 3600
    for kind in ("mark", "index", "trade"):
        candle = world.candle(asset, kind, at - EIGHT_H, EIGHT_H, at)
        if kind == "trade":
            assert row["volume"] == float(candle.volume)
            assert row["volume_quote"] == float(candle.volume_quote)
        else:
            prices = [float(price) for price in (candle.open, candle.high, candle.low, candle.close)]
            assert [row[f"{kind}_{each}"] for each in "ohlc"] == prices
            assert row[f"{kind}_source"] == "candles"
    assert row["open_interest"] == float(world.open_interest(asset, at))
    assert row["open_interest_usd"] == float(world.open_interest_value(asset, at))
    taker = declared(row["venue"]).taker_bps
    assert row["fees_taker_bps_perp"] == (None if taker is None else float(taker))
    assert row["sector"] == sectors()[asset]
    assert row["listed_from"].timestamp() == world.listed(asset)
