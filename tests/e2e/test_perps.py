"""Spiders of perpetuals on the simulator: what they archived is what was true, to the last digit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
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
from tests.e2e.harness import SCRAPY, Done, Output, Simulator, command, crawl, run, simulator

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


@dataclass
class Week:
    """Seven days of all assets of all venues, collected in one process."""

    out: Output
    report: dict[str, Any]


PATIENCE = "120"
"""Seconds (wall) that an answer may take: a loaded machine is late, not wrong."""


def collected(world: Simulator, out: Path, spider: str, *arguments: str) -> Done:
    return crawl(world.url, out, spider, *arguments, DOWNLOAD_TIMEOUT=PATIENCE)


def perps(world: Simulator, out: Path, *options: str) -> dict[str, Any]:
    """What `scrapy perps` reports."""
    settings = (
        "-s",
        f"OUTPUT_DIR={out}",
        "-s",
        f"SIMULATOR_URL={world.url}",
        "-s",
        f"DOWNLOAD_TIMEOUT={PATIENCE}",
    )
    done = run([*SCRAPY, "perps", *VENUES, *settings, *options, "--json"])
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture(scope="module")
def week(world: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Week:
    out = tmp_path_factory.mktemp("week")
    return Week(Output(out), perps(world, out, "--start", START, "--end", END))


@cache
def truth(venue: str) -> PerpsWorld:
    made: PerpsWorld = import_module(f"marketarchive.simulator.{venue}").simulated(1).world
    return made


def declared(venue: str) -> Perps:
    found = venues()[venue].perps
    assert found is not None
    return found


def rows(out: Output, venue: str, table: str) -> list[dict[str, Any]]:
    """A table's rows; times are Unix seconds."""
    path = str(out.root / "tables" / table / f"venue={venue}/*/*/*.parquet")
    sql = f"SELECT * REPLACE (epoch(event_time) AS event_time) FROM read_parquet('{path}')"
    found: list[dict[str, Any]] = duckdb.connect().sql(sql).to_arrow_table().to_pylist()
    return found


@pytest.mark.parametrize("venue", VENUES)
def test_every_settlement_of_the_week(week: Week, venue: str) -> None:
    first, last = from_iso(START) // SECOND - EIGHT_H + 1, from_iso(END) // SECOND
    settled = [row for row in rows(week.out, venue, "fundings") if row["kind"] == "settled"]
    found = Counter((row["asset"], round(row["event_time"] / 60) * 60, row["rate"]) for row in settled)
    due = Counter(
        (asset, each.at, each.rate)
        for asset in sectors()
        for each in truth(venue).settlements(asset, first, last)
    )
    assert found == due
    assert len({each.interval_s for a in sectors() for each in truth(venue).settlements(a, first, last)}) > 1


@pytest.mark.parametrize("venue", VENUES)
def test_every_candle_of_the_week(week: Week, venue: str) -> None:
    now = from_iso("2026-11-20T10:01:00Z") // SECOND
    found = {
        (row["asset"], row["source"], int(row["event_time"])): row for row in rows(week.out, venue, "candles")
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
def test_open_interest_of_the_week(week: Week, venue: str) -> None:
    found = {(row["asset"], int(row["event_time"])): row for row in rows(week.out, venue, "open_interest")}
    step = next(each for each in declared(venue).routes if each.kind == "open_interest").step_of(EIGHT_H)
    due = range(from_iso(START) // SECOND - EIGHT_H + step, from_iso(END) // SECOND + 1, step)
    assert found.keys() == {(asset, at) for asset in sectors() for at in due}
    for (asset, at), row in found.items():
        true = truth(venue).open_interest(asset, at)
        assert row["amount"] == true
        has_worth = declared(venue).columns["open_interest_usd"].origin == "source"
        worth = truth(venue).open_interest_value(asset, at)
        assert row["amount_quote"] == (worth if has_worth else None)


def test_everything_sent_is_archived_and_nothing_is_missing(week: Week, world: Simulator) -> None:
    assert {
        each["venue"]: (each["exit_code"], each["attempts"], each["gaps"]) for each in week.report["venues"]
    } == (dict.fromkeys(VENUES, (0, 1, {})))
    assert week.out.gaps() == []
    sent = Counter(line["sha256"] for line in world.served() if line["whole"])
    assert week.out.payload_digests() <= sent
    assert command("verify", week.out.root).returncode == 0
    for venue in VENUES:
        listed = {
            row["asset"] for row in rows(week.out, venue, "instruments") if row["listed_at"] is not None
        }
        assert listed >= set(sectors())


def test_all_venues_in_one_file(week: Week, world: Simulator) -> None:
    folder = week.out.root / "perps"
    found = pd.read_parquet(folder / "unified_data.parquet")
    keys = ["timestamp", "venue", "symbol"]
    assert found.equals(found.sort_values(keys, ignore_index=True))
    assert not found.duplicated(keys).any()
    assert len(found) == week.report["rows"] == len(VENUES) * len(sectors()) * 22
    for row in found.to_dict("records"):
        check_unified(row)
    for venue in VENUES:
        one = pd.read_parquet(folder / venue / f"{symbols(venue)['BTC']['symbol']}.parquet")
        assert len(one) == 22
    assert set(pd.read_csv(folder / "symbols_map.csv")["venue"]) >= set(VENUES)
    again = perps(world, week.out.root, "--start", START, "--end", END, "--no-crawl")
    assert (again["made"], again["rows"]) == ([], len(found))
    assert set(again["kept"]) >= set(VENUES)


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
    perps = declared(row["venue"])
    worth = world.open_interest_value(asset, at)
    if perps.columns["open_interest_usd"].origin == "substitute":
        worth = world.open_interest(asset, at) * world.price(asset, "mark", at)
    assert row["open_interest_usd"] == float(worth)
    assert row["fees_taker_bps_perp"] == float(perps.taker_bps or "nan")
    assert row["sector"] == sectors().get(asset) or (asset == "PEPE" and pd.isna(row["sector"]))
    assert row["listed_from"].timestamp() == world.listed(asset)


def test_contracts_of_a_thousand_are_turned_into_base_units(world: Simulator, out: Path) -> None:
    fault = {"kind": "status", "status": 500, "route": "fapi.binance.com/fapi/v1/klines", "count": 5}
    with world.ordered(fault):  # fails in all its attempts, and is there when the venue is tried again
        report = perps(world, out, "--assets", "PEPE", "--start", "2026-11-19T16:00:00Z", "--end", END)
    assert {each["venue"]: each["attempts"] for each in report["venues"]} == {
        venue: 1 + (venue == "binance") for venue in VENUES
    }
    found = pd.read_parquet(out / "perps" / "unified_data.parquet").to_dict("records")
    assert Counter(row["venue"] for row in found) == dict.fromkeys(VENUES, 2)
    for row in found:
        check_unified(row)


@pytest.mark.parametrize("venue", VENUES)
def test_the_present(world: Simulator, out: Path, venue: str) -> None:
    done = crawl(
        world.url,
        out,
        f"{venue}_perps",
        "assets=BTC,CRV",
        "interval=10s",
        "duration=30s",
        DOWNLOAD_TIMEOUT=120,
    )
    assert done.code == 0, done.log
    assert done.out.gaps() == []
    assert command("normalize", out).returncode == 0
    chosen = [row for row in rows(done.out, venue, "fundings") if row["asset"] in ("BTC", "CRV")]
    expected = [row for row in chosen if row["kind"] == "predicted"]
    assert Counter(row["asset"] for row in expected) == {"BTC": 3, "CRV": 3}
    for row in expected:
        due = truth(venue).next_settlement(row["asset"], int(row["event_time"]))
        assert row["rate"] == truth(venue).rate(row["asset"], due)
        assert row["next_at"].timestamp() == due
    for row in rows(done.out, venue, "open_interest"):
        if row["asset"] in ("BTC", "CRV"):
            assert row["amount"] == truth(venue).open_interest(row["asset"], int(row["event_time"]))
    for row in rows(done.out, venue, "borrow_rates"):
        second = int(row["event_time"])
        assert row["bps_per_day"] == truth(venue).borrow_per_day(row["asset"], second) * 10_000


def test_what_a_venue_refuses_is_a_gap_of_what_is_missing(world: Simulator, out: Path) -> None:
    ban = json.dumps({"code": -1003, "msg": "Way too many requests; IP banned until 1990000000000."})
    with world.ordered(
        {"kind": "status", "status": 418, "body": ban, "route": "*/fapi/v1/markPriceKlines"},
        {"kind": "status", "status": 503, "route": "*/fapi/v1/fundingRate", "count": 2},
    ):
        done = crawl(
            world.url,
            out,
            "binance_perps",
            "assets=BTC,GALA",
            f"start={START}",
            f"end={END}",
            DOWNLOAD_TIMEOUT=120,
        )
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
        done = crawl(
            world.url,
            out,
            "binance_perps",
            "assets=BTC",
            f"start={START}",
            f"end={END}",
            DOWNLOAD_TIMEOUT=120,
        )
    assert done.code == 4, done.log
    assert {gap["reason"] for gap in done.out.gaps()} == {"blocked"}


def test_open_interest_that_is_not_served_any_more_is_a_gap(world: Simulator, out: Path) -> None:
    done = crawl(
        world.url,
        out,
        "binance_perps",
        "assets=BTC",
        "start=2026-10-01",
        "end=2026-10-02",
        DOWNLOAD_TIMEOUT=120,
    )
    assert done.code == 0, done.log
    [gap] = done.out.gaps()
    assert (gap["reason"], gap["scope"]["markets"]) == ("not_served", ["BTCUSDT"])
    assert (gap["from"], gap["to"]) == ("2026-09-30T16:00:00.001000Z", "2026-10-02T00:00:00.000000Z")


def test_a_contract_that_ended_has_nothing_after_its_end(world: Simulator, out: Path) -> None:
    arguments = ("assets=A2Z", "start=2026-03-22", "end=2026-03-26", "period=1h")
    done = collected(world, out, "binance_perps", *arguments)
    assert done.code == 0, done.log
    assert command("normalize", out).returncode == 0
    ended = truth("binance").delisted("A2Z")
    assert ended is not None
    assert max(row["event_time"] for row in rows(done.out, "binance", "fundings")) // 60 * 60 == ended
    assert max(row["event_time"] + row["interval_s"] for row in rows(done.out, "binance", "candles")) == ended
    assert Decimal(0) not in {row["rate"] for row in rows(done.out, "binance", "fundings")}
