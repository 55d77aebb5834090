"""Spiders of perpetuals on the simulator: what they archived is what was true, to the last digit."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
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
from marketarchive.venues.perps import Column, Perps, sectors
from marketarchive.venues.symbols import symbols
from tests.e2e.harness import SCRAPY, Done, Output, Simulator, command, crawl, run, simulator

pytestmark = pytest.mark.e2e

VENUES = sorted(
    name
    for name, venue in venues().items()
    if venue.perps is not None and set(symbols(name)) >= set(sectors())
)
"""Those that have all assets; the others have tests of their own."""
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
    line = [*SCRAPY, "perps", *VENUES, "-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={world.url}"]
    line += ["-s", f"DOWNLOAD_TIMEOUT={PATIENCE}", *options]
    done = run([*line, "--json"])
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


def has(venue: str, column: str) -> bool:
    return declared(venue).columns[column].origin == "source"


def rows(out: Output, venue: str, table: str) -> list[dict[str, Any]]:
    """A table's rows; times are Unix seconds."""
    path = str(out.root / "tables" / table / f"venue={venue}/*/*/*.parquet")
    sql = f"SELECT * REPLACE (epoch(event_time) AS event_time) FROM read_parquet('{path}')"
    found: list[dict[str, Any]] = duckdb.connect().sql(sql).to_arrow_table().to_pylist()
    return found


@pytest.mark.parametrize("venue", VENUES)
def test_every_settlement_of_the_week(week: Week, venue: str) -> None:
    first, last = from_iso(START) // SECOND - EIGHT_H + 1, from_iso(END) // SECOND
    settled = [
        row
        for row in rows(week.out, venue, "fundings")
        if row["kind"] == "settled" and row["event_time"] >= first + 60  # a page may begin before
    ]
    found = Counter((row["asset"], round(row["event_time"] / 60) * 60, row["rate"]) for row in settled)
    due = Counter(
        (asset, each.at, each.rate)
        for asset in sectors()
        for each in truth(venue).settlements(asset, first, last)
    )
    assert found == due
    intervals = {each.interval_s for a in sectors() for each in truth(venue).settlements(a, first, last)}
    assert len(intervals) > 1 or intervals == {3600}


@pytest.mark.parametrize("venue", VENUES)
def test_every_candle_of_the_week(week: Week, venue: str) -> None:
    now = from_iso("2026-11-20T10:01:00Z") // SECOND
    found = {
        (row["asset"], row["source"], int(row["event_time"])): row for row in rows(week.out, venue, "candles")
    }
    [step] = {row["interval_s"] for row in found.values()}
    ahead = step * any(route.opens_with_open_interest for route in declared(venue).routes)
    due = range(from_iso(START) // SECOND - EIGHT_H, from_iso(END) // SECOND + ahead, step)
    kinds = {source for _, source, _ in found}
    assert kinds >= {route.kind for route in declared(venue).routes} & {"trade", "mark", "index"}
    assert found.keys() == {(asset, kind, at) for asset in sectors() for kind in kinds for at in due}
    for (asset, kind, opened), row in found.items():
        true = truth(venue).candle(asset, kind, opened, step, now)
        assert (row["open"], row["close"]) == (true.open, true.close)
        is_middle = declared(venue).columns.get(kind, Column("source", "")).taken_as == "book mid"
        assert (row["high"], row["low"]) == ((None, None) if is_middle else (true.high, true.low))
        assert row["volume"] == (true.volume if kind == "trade" else None)
        says_value = kind == "trade" and has(venue, "volume_quote")
        assert row["volume_quote"] == (true.volume_quote if says_value else None)
        assert row["is_closed"]


@pytest.mark.parametrize("venue", VENUES)
def test_open_interest_of_the_week(week: Week, venue: str) -> None:
    found = {
        (row["asset"], int(row["event_time"])): row
        for row in rows(week.out, venue, "open_interest")
        if row["event_time"] < from_iso("2026-11-20T10:01:00Z") // SECOND  # not what is listed at the crawl
    }
    due: Collection[int] = ()
    for route in declared(venue).routes:
        if route.kind == "open_interest" and route.older_s is None:
            step = route.step_of(EIGHT_H)
            due = range(from_iso(START) // SECOND - EIGHT_H + step, from_iso(END) // SECOND + 1, step)
        if route.opens_with_open_interest:
            step = route.step_of(EIGHT_H)
            due = range(from_iso(START) // SECOND - EIGHT_H, from_iso(END) // SECOND + 1, step)
    assert found.keys() == {(asset, at) for asset in sectors() for at in due}
    for (asset, at), row in found.items():
        true = truth(venue).open_interest(asset, at)
        assert row["amount"] == true
        worth = truth(venue).open_interest_value(asset, at)
        assert row["amount_quote"] == (worth if has(venue, "open_interest_usd") else None)


def test_everything_sent_is_archived_and_nothing_is_missing(week: Week, world: Simulator) -> None:
    assert {
        each["venue"]: (each["exit_code"], each["attempts"], each["gaps"]) for each in week.report["venues"]
    } == (dict.fromkeys(VENUES, (0, 1, {})))
    assert week.out.gaps() == []
    sent = Counter(line["sha256"] for line in world.served() if line["whole"])
    assert week.out.payload_digests() <= sent
    assert command("verify", week.out.root).returncode == 0
    for venue in VENUES:
        found = rows(week.out, venue, "instruments")
        listed = {row["asset"] for row in found if row["status"]}
        assert listed >= set(sectors())
        dated = {row["asset"] for row in found if row["listed_at"] is not None}
        assert dated == (listed if has(venue, "listed") else set())


@pytest.mark.parametrize("venue", VENUES)
def test_the_master_has_the_terms_of_contracts(week: Week, venue: str) -> None:
    with closing(sqlite3.connect(week.out.root / "master.db")) as connection:
        query = "SELECT * FROM perpetuals_view WHERE platform = ?"
        found = pd.read_sql_query(query, connection, params=(venue,)).set_index("market_id")
    now = from_iso("2026-11-20T10:01:00Z") // SECOND
    for asset in sectors():
        row, known = found.loc[symbols(venue)[asset]["symbol"]], symbols(venue)[asset]
        assert (row["asset"], row["status"]) == (asset, "active")
        assert not known["contract_size"] or row["contract_size"] == float(known["contract_size"])
        if venue == "binance" and asset in ("BTC", "ETH"):
            assert pd.isna(row["funding_interval_s"])  # it lists only those that ever had another
        else:
            assert row["funding_interval_s"] == truth(venue).interval(asset, now)
        if has(venue, "listed"):
            assert from_iso(str(row["listed_at"])) // SECOND == truth(venue).listed(asset)
        assert row["delisted_at"] is None


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
            if has(row["venue"], "volume_quote"):
                assert row["volume_quote"] == float(candle.volume_quote)
        elif has(row["venue"], kind):
            prices = [float(price) for price in (candle.open, candle.high, candle.low, candle.close)]
            assert [row[f"{kind}_{each}"] for each in "ohlc"] == prices
            assert row[f"{kind}_source"] == "candles"
    perps = declared(row["venue"])
    if str(row["index_source"]).endswith("samples"):
        assert row["index_source"] == f"{len(settled)} samples"
        prices = [float(world.price(asset, "index", each.at)) for each in settled]
        told = [row[f"index_{each}"] for each in "ohlc"]
        assert told == [prices[0], max(prices), min(prices), prices[-1]]
    if row["mark_source"] == "book mid":
        middle = world.candle(asset, "mark", at - EIGHT_H, EIGHT_H, at)
        assert [row["mark_o"], row["mark_c"]] == [float(middle.open), float(middle.close)]
        assert pd.isna(row["mark_h"])
        assert pd.isna(row["mark_l"])
    if any(route.kind == "open_interest" or route.opens_with_open_interest for route in perps.routes):
        assert row["open_interest"] == float(world.open_interest(asset, at))
        worth = world.open_interest_value(asset, at)
        if not has(row["venue"], "open_interest_usd"):
            worth = world.open_interest(asset, at) * world.price(asset, "mark", at)
        assert row["open_interest_usd"] == float(worth)
    for column, found in row.items():  # what a venue does not say is not zero
        if column in perps.columns and perps.columns[str(column)].origin == "null":
            assert pd.isna(found)
    if perps.borrow_bps_per_day is not None:
        assert row["borrow_bps_per_day"] == float(perps.borrow_bps_per_day)
    fee = row["fees_taker_bps_perp"]
    assert pd.isna(fee) if perps.taker_bps is None else fee == float(perps.taker_bps)
    assert row["sector"] == sectors().get(asset) or (asset == "PEPE" and pd.isna(row["sector"]))
    assert not has(row["venue"], "listed") or row["listed_from"].timestamp() == world.listed(asset)


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
        if row["asset"] in ("BTC", "CRV"):  # where the venue says no time, it is when the answer came
            moments = range(int(row["event_time"]) - 10, int(row["event_time"]) + 1)
            assert row["amount"] in {truth(venue).open_interest(row["asset"], at) for at in moments}
    for row in rows(done.out, venue, "borrow_rates"):
        second = int(row["event_time"])
        assert row["bps_per_day"] == truth(venue).borrow_per_day(row["asset"], second) * 10_000


@pytest.mark.parametrize("venue", VENUES)
def test_each_tick_leaves_a_row(world: Simulator, out: Path, venue: str) -> None:
    done = collected(world, out, f"{venue}_perps", "assets=BTC,PEPE", "interval=10s", "duration=30s")
    assert done.code == 0, done.log
    for asset in ("BTC", "PEPE"):
        kept = done.out.records(f"perps_{venue}_{asset.lower()}")
        ticks = [from_iso(row["timestamp"]) // SECOND for row in kept]
        assert len(ticks) == 3
        assert ticks == list(range(ticks[0], ticks[0] + 30, 10))
        for row, tick in zip(kept, ticks, strict=True):
            assert (row["is_observed"], row["market_id"]) == (1, symbols(venue)[asset]["symbol"])
            check_observed(venue, asset, row, tick)


def check_observed(venue: str, asset: str, row: Mapping[str, Any], tick: int) -> None:
    """What a row says was true when it was requested, in the ten seconds of its tick."""
    world, moments = truth(venue), range(tick - 1, tick + 10)
    due = world.next_settlement(asset, tick)
    assert row["funding_kind"] == "predicted"
    assert row["funding_rate"] == float(world.rate(asset, due))
    assert from_iso(row["next_funding_at"]) // SECOND == due
    assert row["open_interest"] in {float(world.open_interest(asset, at)) for at in moments}
    for kind in ("mark", "index"):
        if row[kind] is not None:
            assert row[kind] in {float(world.price(asset, kind, at)) for at in moments}
    assert row["index"] is not None


def test_a_tick_without_answers_has_a_row_without_values(world: Simulator, out: Path) -> None:
    with world.ordered(
        {"kind": "status", "status": 400, "route": "*/fapi/v1/premiumIndex", "every": 2},
        {"kind": "status", "status": 400, "route": "*/fapi/v1/openInterest", "every": 4},
    ):
        done = collected(world, out, "binance_perps", "assets=BTC", "interval=10s", "duration=40s")
    first, second, third, fourth = done.out.records("perps_binance_btc")
    assert [row["is_observed"] for row in (first, second, third, fourth)] == [0, 1, 1, 1]
    assert (first["open_interest"], first["received_at"], first["seq"]) == (None, None, None)
    assert second["mark"] is not None
    assert (third["mark"], third["funding_rate"]) == (None, None)
    assert third["open_interest"] is not None
    assert {gap["reason"] for gap in done.out.gaps()} == {"disconnect"}


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


def test_a_list_that_failed_says_of_no_contract_that_it_ended(world: Simulator, out: Path) -> None:
    with world.ordered({"kind": "status", "status": 503, "route": "fapi.binance.com/fapi/v1/exchangeInfo*"}):
        arguments = ("assets=BTC", f"start={START}", f"end={END}")
        done = crawl(world.url, out, "binance_perps", *arguments, REQUEST_ATTEMPTS=1)
    assert command("normalize", out).returncode == 0
    settled = rows(done.out, "binance", "fundings")
    assert len([row for row in settled if row["kind"] == "settled"]) > 20
    assert "not_served" not in {gap["reason"] for gap in done.out.gaps()}


def test_pages_without_rows_are_a_gap(world: Simulator, out: Path) -> None:
    body = json.dumps({"code": "0", "msg": "", "data": []})
    route = "*/api/v5/market/history-mark-price-candles*"
    with world.ordered({"kind": "status", "status": 200, "body": body, "route": route}):
        done = collected(world, out, "okx_perps", "assets=BTC", f"start={START}", f"end={END}")
    assert done.code == 0, done.log
    [gap] = done.out.gaps()
    assert (gap["reason"], gap["scope"]["endpoint"]) == ("not_served", "okx_mark_candles")
    assert (gap["from"], gap["to"]) == ("2026-11-12T16:00:00.000000Z", "2026-11-19T20:00:00.000000Z")


def test_a_time_in_which_nothing_was_listed_is_said(world: Simulator, out: Path) -> None:
    done = collected(world, out, "drift_perps", "assets=BTC", f"start={START}", f"end={END}")
    assert done.code == 0, done.log
    assert (
        "Nothing of drift was requested: none of its contracts was listed from 2026-11-13T00:00:00"
        in done.log
    )


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


def test_a_coin_that_is_not_listed_is_one_gap_and_is_not_asked_for(world: Simulator, out: Path) -> None:
    done = collected(world, out, "hyperliquid_perps", "assets=SHIB", f"start={START}", f"end={END}")
    assert done.code == 0, done.log
    [gap] = done.out.gaps()
    assert (gap["reason"], gap["scope"]["markets"]) == ("not_served", ["kSHIB"])
    assert (gap["from"], gap["to"]) == ("2026-11-12T16:00:00.000000Z", "2026-11-20T00:00:00.000000Z")
    assert done.out.payload_digests().total() == 1  # the list itself


def test_rates_before_and_after_a_venue_became_hourly(world: Simulator, out: Path) -> None:
    arguments = ("assets=BTC", "start=2023-06-07", "end=2023-06-10", "period=1d")
    done = collected(world, out, "hyperliquid_perps", *arguments)
    assert done.code == 0, done.log
    assert command("normalize", out).returncode == 0
    settled = sorted(rows(done.out, "hyperliquid", "fundings"), key=lambda row: row["event_time"])
    assert [row["interval_s"] for row in settled] == [28_800] * 7 + [3600] * 48  # one before the first period
    assert (settled[6]["event_time"] // 60 * 60) == from_iso("2023-06-08T00:00:00Z") // SECOND


def test_candles_that_are_not_kept_are_a_gap(world: Simulator, out: Path) -> None:
    arguments = ("assets=BTC", "start=2026-01-01", "end=2026-05-01", "period=1h")
    done = collected(world, out, "hyperliquid_perps", *arguments)
    assert done.code == 0, done.log
    [gap] = done.out.gaps()
    assert (gap["reason"], gap["scope"]["endpoint"]) == ("not_served", "hyperliquid_candles")
    assert gap["from"] == "2025-12-31T23:00:00.000000Z"
    assert command("normalize", out).returncode == 0
    first, last = from_iso("2026-01-01T00:00:00Z") // SECOND, from_iso("2026-05-01T00:00:00Z") // SECOND
    due = [each.rate for each in truth("hyperliquid").settlements("BTC", first, last)]
    settled = sorted(rows(done.out, "hyperliquid", "fundings"), key=lambda row: row["event_time"])
    found = [row["rate"] for row in settled if row["event_time"] >= first]  # some lie before the first period
    assert found == due  # 2,881 rows on six pages
    kept = sorted(int(row["event_time"]) for row in rows(done.out, "hyperliquid", "candles"))
    assert kept == list(range(kept[0], last, 3600))
    assert 0 <= kept[0] - from_iso(gap["to"]) // SECOND <= 3600
    assert len(range(kept[0], from_iso("2026-11-20T10:01:00Z") // SECOND, 3600)) in range(4977, 4982)


def test_pages_that_begin_with_the_newest_row_are_followed_back(world: Simulator, out: Path) -> None:
    arguments = ("assets=CRV", "start=2026-09-01", "end=2026-10-31", "period=1h")
    done = collected(world, out, "dydx_perps", *arguments)
    assert done.code == 0, done.log
    assert command("normalize", out).returncode == 0
    first, last = from_iso("2026-09-01T00:00:00Z") // SECOND, from_iso("2026-10-31T00:00:00Z") // SECOND
    due = {each.at: each.rate for each in truth("dydx").settlements("CRV", first, last)}
    assert len(due) == 1441  # on two pages
    settled = [row for row in rows(done.out, "dydx", "fundings") if row["kind"] == "settled"]
    assert {int(row["event_time"]) // 3600 * 3600: row["rate"] for row in settled}.items() >= due.items()
    assert len(settled) <= len(due) + 3  # one is wanted before the range, and the last page may begin earlier
    opened = [int(row["event_time"]) for row in rows(done.out, "dydx", "candles") if row["source"] == "trade"]
    assert sorted(opened) == list(range(first - 3600, last + 1, 3600))
