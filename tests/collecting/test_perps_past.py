"""What a pass over the past of perpetuals requests, and which part of it is a gap."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from marketarchive.simulator.bybit import simulated
from marketarchive.simulator.messages import Reply
from marketarchive.simulator.perps_world import DELISTED
from marketarchive.times import DAY, SECOND, from_iso, from_ms, iso, to_ms
from marketarchive.venues.endpoint import Query
from marketarchive.venues.table_rows import CandlesRow, FundingsRow, InstrumentsRow
from tests.collecting.perps_past import FAILED, Changed, past

LIVE = {"binance_funding_rates", "binance_mark_candles", "binance_index_candles", "binance_candles"}


@pytest.mark.parametrize("failed", ["binance_instruments", "binance_funding_info"])
async def test_nothing_is_delisted_where_a_list_failed(tmp_path: Path, failed: str) -> None:
    def changed(query: Query, reply: Reply) -> Reply:
        return FAILED if query.endpoint.name == failed else reply

    assets = "BTC,GALA"
    done = await past("binance_perps", tmp_path, changed, assets=assets, start="2026-11-19", end="2026-11-20")
    for market in ("BTCUSDT", "GALAUSDT"):
        assert done.endpoints(market) >= LIVE
        assert not any("file" in name for name in done.endpoints(market))


async def test_nothing_is_delisted_where_a_row_of_the_list_is_unreadable(tmp_path: Path) -> None:
    def changed(query: Query, reply: Reply) -> Reply:
        if query.endpoint.name != "binance_instruments":
            return reply
        document = json.loads(reply.body)
        [row] = [row for row in document["symbols"] if row["symbol"] == "BTCUSDT"]
        row["onboardDate"] = "soon"
        return replace(reply, body=json.dumps(document).encode())

    done = await past("binance_perps", tmp_path, changed, assets="BTC", start="2026-11-19", end="2026-11-20")
    assert done.endpoints("BTCUSDT") >= LIVE
    assert not any("file" in name for name in done.endpoints("BTCUSDT"))


async def test_an_interval_of_funding_does_not_make_a_contract_listed(tmp_path: Path) -> None:
    def changed(query: Query, reply: Reply) -> Reply:
        if query.endpoint.name != "binance_funding_info":
            return reply
        rows = json.loads(reply.body)
        return replace(reply, body=json.dumps([*rows, {**rows[0], "symbol": "A2ZUSDT"}]).encode())

    done = await past("binance_perps", tmp_path, changed, assets="A2Z", start="2026-03-22", end="2026-03-23")
    assert not done.endpoints("A2ZUSDT") & LIVE
    assert done.endpoints("A2ZUSDT") >= {"binance_metrics_file_checksum"}


VENUES = ["binance", "bybit", "okx", "hyperliquid", "dydx", "velocity"]


@pytest.mark.parametrize("venue", VENUES)
async def test_the_settlement_before_the_first_due_one_is_requested(tmp_path: Path, venue: str) -> None:
    """How far apart the two are tells what interval the first rate is of."""
    at = "2026-11-19T16:00:00Z"
    done = await past(f"{venue}_perps", tmp_path, assets="ETH", start=at, end=at, period="1h")
    rates = [row for row in done.rows if isinstance(row, FundingsRow)]
    settled = [row.event_time or 0 for row in rates if row.kind == "settled"]
    period_began = from_iso("2026-11-19T15:00:00Z") + 60 * SECOND
    assert [each for each in settled if each > period_began]
    assert [each for each in settled if each <= period_began]


def without_rows(endpoint: str, first: str, last: str) -> Changed:
    """Leave out the rows of a route of OKX whose time lies in first <= time < last."""

    def changed(query: Query, reply: Reply) -> Reply:
        if query.endpoint.name != endpoint:
            return reply
        document = json.loads(reply.body)
        began, ended = from_iso(first), from_iso(last)
        document["data"] = [
            row
            for row in document["data"]
            if not began <= from_ms(int(row["fundingTime"] if isinstance(row, dict) else row[0])) < ended
        ]
        return replace(reply, body=json.dumps(document).encode())

    return changed


@pytest.mark.parametrize(
    ("first", "last", "missing"),
    [
        ("2019-01-01T00:00:00Z", "2026-09-09T16:00:00Z", ("2026-08-31T16:00:00", "2026-09-09T15:59:59")),
        ("2026-09-09T16:00:00Z", "2027-01-01T00:00:00Z", ("2026-09-09T12:00:00", "2026-10-31T20:00:00")),
        ("2026-09-09T16:00:00Z", "2026-09-20T00:00:00Z", ("2026-09-09T12:00:00", "2026-09-19T23:59:59")),
        ("2019-01-01T00:00:00Z", "2027-01-01T00:00:00Z", ("2026-08-31T16:00:00", "2026-10-31T20:00:00")),
    ],
    ids=["head", "tail", "middle", "all"],
)
async def test_candles_that_a_venue_does_not_list_are_one_gap(
    tmp_path: Path, first: str, last: str, missing: tuple[str, str]
) -> None:
    """Pages are of 100 rows, so that it is the gap of several of them."""
    changed = without_rows("okx_mark_candles", first, last)
    done = await past("okx_perps", tmp_path, changed, assets="BTC", start="2026-09-01", end="2026-11-01")
    [(reason, since, until)] = done.missing("okx_mark_candles")
    assert (reason, since, until[:16]) == ("not_served", missing[0], missing[1][:16])


async def test_settlements_that_a_venue_does_not_list_are_a_gap(tmp_path: Path) -> None:
    def changed(query: Query, reply: Reply) -> Reply:
        return replace(reply, body=b"[]") if query.endpoint.name == "binance_funding_rates" else reply

    done = await past("binance_perps", tmp_path, changed, assets="BTC", start="2026-11-10", end="2026-11-12")
    [(reason, since, until)] = done.missing("binance_funding_rates")
    assert (reason, since[:10], until[:16]) == ("not_served", "2026-11-09", "2026-11-12T00:01")


async def test_a_request_that_failed_is_one_gap_and_no_other(tmp_path: Path) -> None:
    pages = count(1)

    def changed(query: Query, reply: Reply) -> Reply:
        return FAILED if query.endpoint.name == "okx_mark_candles" and next(pages) == 2 else reply

    done = await past("okx_perps", tmp_path, changed, assets="BTC", start="2026-09-01", end="2026-11-01")
    [(reason, since, until)] = done.missing("okx_mark_candles")
    assert reason == "disconnect"
    assert from_iso(f"{until}Z") - from_iso(f"{since}Z") <= 100 * 4 * 3600 * SECOND


async def test_what_came_before_the_listing_is_no_gap(tmp_path: Path) -> None:
    listed = simulated(1).world.listed("ETH") * SECOND
    start, end = (iso(listed + days * DAY) for days in (-60, 60))
    done = await past("bybit_perps", tmp_path, assets="ETH", start=start, end=end, period="1d")
    assert done.gaps == []
    assert min(row.event_time or 0 for row in done.rows if isinstance(row, CandlesRow)) >= listed - DAY


async def test_what_the_newest_period_lacks_is_no_gap_yet(tmp_path: Path) -> None:
    changed = without_rows("okx_mark_candles", "2026-11-20T08:00:00Z", "2027-01-01T00:00:00Z")
    done = await past("okx_perps", tmp_path, changed, assets="BTC", start="2026-11-20", period="1h")
    assert done.missing("okx_mark_candles") == []


async def test_a_contract_that_ended_at_an_unknown_time_has_no_gap_after_its_rows(tmp_path: Path) -> None:
    ended = to_ms(from_iso("2026-11-10T12:00:00Z"))

    def changed(query: Query, reply: Reply) -> Reply:
        document = json.loads(reply.body)
        if query.endpoint.name == "hyperliquid_instruments":
            [coin] = [each for each in document["universe"] if each["name"] == "CRV"]
            coin["isDelisted"] = True
        else:
            document = [row for row in document if row.get("time", row.get("t")) < ended]
        return replace(reply, body=json.dumps(document).encode())

    done = await past(
        "hyperliquid_perps", tmp_path, changed, assets="CRV", start="2026-11-05", end="2026-11-18"
    )
    assert len(done.rows) > 24
    assert done.gaps == []


ENDED = DELISTED["A2Z"]


@pytest.mark.parametrize(
    ("at", "status"),
    [
        (simulated(1).world.listed("A2Z") - 3600, "PreLaunch"),
        (ENDED - 3600, "Trading"),
        (ENDED + 60, "Delivering"),
        (ENDED + 86_400, "Closed"),
    ],
)
async def test_contracts_of_every_status_are_requested(tmp_path: Path, at: int, status: str) -> None:
    now = at * SECOND
    done = await past("bybit_perps", tmp_path, now=now, assets="BTC", start=iso(now - DAY), end=iso(now))
    [row] = [row for row in done.rows if isinstance(row, InstrumentsRow) and row.market == "A2ZUSDT"]
    assert (row.status, row.delisted_at) == (status, ENDED * SECOND)
    assert row.listed_at == simulated(1).world.listed("A2Z") * SECOND


@pytest.mark.parametrize("start", ["", "2026-04-03"])
async def test_a_pass_after_the_end_of_a_venue_says_what_to_give(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, start: str
) -> None:
    done = await (past("drift_perps", tmp_path, start=start) if start else past("drift_perps", tmp_path))
    assert (done.queries, done.gaps) == ([], [])
    [told] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "Nothing of drift was requested" in told
    assert "ended on 2026-04-01: give a start= before that" in told


async def test_a_pass_before_the_listing_says_what_to_give(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done = await past("bybit_perps", tmp_path, assets="BTC", start="2019-01-01", end="2019-02-01")
    assert done.endpoints() == {"bybit_instruments", "bybit_borrow_rates"}
    assert "Nothing of bybit was requested" in caplog.text
    assert "give a later end=" in caplog.text
