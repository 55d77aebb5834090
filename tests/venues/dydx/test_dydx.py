"""What dYdX's statuses and rows mean, and how its indexer is asked."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.items import Market
from marketarchive.times import from_iso
from marketarchive.venues.answers import Answered
from marketarchive.venues.dydx import endpoints, queries
from marketarchive.venues.dydx.answers import judge
from marketarchive.venues.dydx.rows import parse
from marketarchive.venues.endpoint import Endpoint, Query
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perps import Range, Series, following
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import CandlesRow, OpenInterestRow
from tests.venues.perp_rows import singly

NOW = from_iso("2026-09-15T12:40:00Z")
BITCOIN = Series("BTC", symbols("dydx")["BTC"], "funding")
HOURLY = BITCOIN._replace(kind="trade", step_s=3600)
DAY = Range(1_789_430_400_000, 1_789_516_800_000)  # 2026-09-15, 2026-09-16
CANDLE = {
    "startedAt": "2026-09-15T11:00:00.000Z", "ticker": "BTC-USD", "resolution": "1HOUR", "low": "1",
    "high": "4", "open": "2", "close": "3", "baseTokenVolume": "5", "usdVolume": "12", "trades": 7,
    "startingOpenInterest": "9",
}  # fmt: skip
MARKET = {
    "ticker": "BTC-USD", "status": "ACTIVE", "oraclePrice": "100", "nextFundingRate": "0.0000125",
    "openInterest": "7",
}  # fmt: skip


def read(query: Query, document: Any) -> Parsed:
    payload = json.dumps(document).encode()
    return singly(parse(Received.answer("dydx", "perps", query, 200, payload, NOW, 1)))


def errors(*texts: str) -> bytes:
    return json.dumps({"errors": [{"msg": text} for text in texts]}).encode()


@pytest.mark.parametrize(
    ("status", "body", "headers", "reason", "retryable", "wait_s"),
    [
        (429, errors("Too many requests"), {"retry-after": "8000"}, "rate_limited", True, 8.0),
        (429, errors("Too many requests"), {}, "rate_limited", True, None),
        (400, errors("ticker must be a valid ticker (BTC-USD, etc)"), {}, "not_served", False, None),
        (404, errors("X-USD not found in markets of type perpetual"), {}, "not_served", False, None),
        (400, errors("limit must be a positive integer"), {}, "disconnect", False, None),
        (403, errors("GEOBLOCKED"), {}, "blocked", False, None),
        (403, b"<html>\xff</html>", {}, "blocked", False, None),
        (503, b"<html>Service Unavailable</html>", {}, "disconnect", True, None),
        (500, errors("Internal Server Error"), {}, "disconnect", True, None),
    ],
)
def test_what_a_status_means(
    status: int, body: bytes, headers: dict[str, str], reason: str, *, retryable: bool, wait_s: float | None
) -> None:
    failure = judge(Answered(queries.markets(), status, headers, body, NOW))
    assert failure is not None
    assert (failure.reason, failure.retryable, failure.wait_s) == (reason, retryable, wait_s)
    said = json.loads(body)["errors"][0]["msg"] if body.startswith(b"{") else ""
    assert said in failure.detail


def test_an_answer_is_no_failure() -> None:
    assert judge(Answered(queries.markets(), 200, {}, b"{}", NOW)) is None


def test_the_end_of_a_range_of_candles_is_asked_for_although_it_is_exclusive() -> None:
    query = queries.candles(HOURLY, DAY)
    assert query.url == "https://indexer.dydx.trade/v4/candles/perpetualMarkets/BTC-USD"  # v4 once
    assert query.params == {
        "resolution": "1HOUR", "limit": "25", "fromISO": "2026-09-15T00:00:00.000Z",
        "toISO": "2026-09-16T00:00:00.001Z",
    }  # fmt: skip
    year = queries.candles(HOURLY, Range(DAY.first, DAY.first + 365 * 86_400_000))
    assert year.params["limit"] == "1000"


def test_rates_have_no_lower_bound_and_a_row_before_the_range_ends_the_walk() -> None:
    query = queries.funding_rates(BITCOIN, DAY)
    assert query.url == "https://indexer.dydx.trade/v4/historicalFunding/BTC-USD"
    assert query.params == {"limit": "26", "effectiveBeforeOrAt": "2026-09-16T00:00:00.000Z"}
    came = [DAY.first + hour * 3_600_000 + 219 for hour in range(-1, 24)]
    assert following("backward", DAY, came) is None
    assert following("backward", DAY, came[5:]) == Range(DAY.first, came[5] - 1)


def test_eight_hourly_rates_are_one_of_eight_hours() -> None:
    sent = [
        {"ticker": "BTC-USD", "rate": "0.0000125", "price": "100", "effectiveAtHeight": "1",
         "effectiveAt": f"2026-09-15T0{hour}:00:00.219Z"}
        for hour in range(8, 0, -1)
    ]  # fmt: skip
    found = read(queries.funding_rates(BITCOIN, DAY), {"historicalFunding": sent}).statements
    assert sum(each.rate for each in found) == Decimal("0.0001")
    assert {(each.kind, each.interval_s, each.index_price) for each in found} == {
        ("settled", 3600, Decimal(100))
    }


def test_the_middle_of_the_book_has_no_high_and_no_low_and_old_candles_have_none_of_it() -> None:
    old = read(queries.candles(HOURLY, DAY), {"candles": [CANDLE]}).statements
    assert [each.source for each in old if isinstance(each, CandlesRow)] == ["trade"]  # never taken as mark
    missing = CANDLE | {"orderbookMidPriceOpen": None, "orderbookMidPriceClose": "2.5"}
    assert len(read(queries.candles(HOURLY, DAY), {"candles": [missing]}).statements) == 2
    new = CANDLE | {"orderbookMidPriceOpen": "2.1", "orderbookMidPriceClose": "2.9"}
    _, mark, interest = read(queries.candles(HOURLY, DAY), {"candles": [new]}).statements
    assert (mark.source, mark.open, mark.high, mark.low, mark.close) == (
        "mark", Decimal("2.1"), None, None, Decimal("2.9"),
    )  # fmt: skip
    assert isinstance(interest, OpenInterestRow)
    assert (interest.amount, interest.event_time) == (Decimal(9), from_iso("2026-09-15T11:00:00Z"))


def test_the_candle_that_still_runs_is_marked() -> None:
    running = CANDLE | {"startedAt": "2026-09-15T12:00:00.000Z"}
    found = read(queries.candles(HOURLY, DAY), {"candles": [running, CANDLE]}).statements
    assert [each.is_closed for each in found if isinstance(each, CandlesRow)] == [False, True]


def test_contracts_are_keyed_by_name_and_one_that_ended_has_no_rate_of_zero() -> None:
    ended = MARKET | {"ticker": "COMP-USD", "status": "FINAL_SETTLEMENT", "nextFundingRate": "0"}
    found = read(queries.markets(), {"markets": {"BTC-USD": MARKET, "COMP-USD": ended}})
    assert [(type(each).__name__, each.market) for each in found.statements] == [
        ("InstrumentsRow", "BTC-USD"),
        ("FundingsRow", "BTC-USD"),
        ("OpenInterestRow", "BTC-USD"),
        ("InstrumentsRow", "COMP-USD"),
    ]
    assert [item.status for item in found.items if isinstance(item, Market)] == ["active", "closed"]
    assert found.statements[1].next_at == from_iso("2026-09-15T13:00:00Z")


def test_an_expected_rate_is_cut_to_what_tables_hold() -> None:
    market = MARKET | {"nextFundingRate": "-0.00000143181818181818"}
    found = read(queries.markets(), {"markets": {"BTC-USD": market}}).statements
    assert found[1].rate == Decimal("-0.000001431818181818")


def test_a_bad_row_costs_itself_alone() -> None:
    found = read(
        queries.candles(HOURLY, DAY),
        {"candles": [CANDLE | {"open": "x"}, CANDLE | {"startedAt": "?"}, CANDLE]},
    )
    assert (len(found.errors), len(found.keys)) == (2, 2)
    assert len(found.statements) == 2


@pytest.mark.parametrize(
    "query",
    [
        Query(endpoints.CANDLES, {"resolution": "1WEEK"}, {"ticker": "BTC-USD"}),
        Query(Endpoint("x", "https://indexer.dydx.trade/v4/time", endpoints.REQUESTS)),
    ],
)
def test_nothing_reads_another_request(query: Query) -> None:
    with pytest.raises(ParseError):
        read(query, {"candles": []})
