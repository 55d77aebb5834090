"""What Binance's statuses and rows mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.items import Market
from marketarchive.times import from_iso
from marketarchive.venues.answers import Answered
from marketarchive.venues.binance import endpoints, queries
from marketarchive.venues.binance.answers import judge
from marketarchive.venues.binance.rows import parse
from marketarchive.venues.endpoint import Endpoint, Query
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.symbols import symbols
from tests.venues.perp_rows import singly

NOW = from_iso("2026-09-15T12:40:00Z")
WEIGHT = {"code": -1003, "msg": "Way too much request weight used; IP banned until 1789476120000. Please"}
OLD = {"code": -1130, "msg": "parameter 'startTime' is invalid."}
GEO = {"code": 0, "msg": "Service unavailable from a restricted location according to 'b. Eligibility'"}


def read(endpoint: Endpoint, document: Any, **params: str) -> Parsed:
    payload = json.dumps(document).encode()
    return singly(parse(Received.answer("binance", "perps", Query(endpoint, params), 200, payload, NOW, 1)))


@pytest.mark.parametrize(
    ("status", "body", "headers", "reason", "retryable", "wait_s"),
    [
        (429, {"code": -1003, "msg": "Too many requests"}, {"retry-after": "7"}, "rate_limited", True, 7.0),
        (418, WEIGHT, {"retry-after": "5"}, "rate_limited", True, 120.0),
        (418, {}, {"retry-after": "180"}, "rate_limited", True, 180.0),
        (418, {}, {}, "rate_limited", True, 120.0),
        (403, {}, {}, "blocked", False, None),
        (451, GEO, {}, "blocked", False, None),
        (503, {"code": -1008, "msg": "overloaded"}, {}, "disconnect", True, None),
        (400, {"code": -1121, "msg": "Invalid symbol."}, {}, "not_served", False, None),
        (400, OLD, {}, "not_served", False, None),
    ],
)
def test_what_a_status_means(
    status: int,
    body: dict[str, Any],
    headers: dict[str, str],
    reason: str,
    *,
    retryable: bool,
    wait_s: float | None,
) -> None:
    query = queries.instruments()
    failure = judge(Answered(query, status, headers, json.dumps(body).encode(), NOW))
    assert failure is not None
    assert (failure.reason, failure.retryable) == (reason, retryable)
    assert failure.wait_s == wait_s
    assert str(body.get("msg", ""))[:40] in failure.detail


def test_an_answer_is_no_failure_and_a_page_of_html_spoils_nothing() -> None:
    query = queries.instruments()
    assert judge(Answered(query, 200, {}, b"{}", NOW)) is None
    failure = judge(Answered(query, 403, {}, b"<html>\xff</html>", NOW))
    assert failure is not None
    assert failure.reason == "blocked"


def test_special_rates_are_no_settlements_but_count_for_paging() -> None:
    regular = {"symbol": "BTCUSDT", "fundingTime": 1789430400000, "fundingRate": "0.00003563"}
    special = {**regular, "rateType": "Special", "fundingTime": 1789430400001}
    parsed = read(endpoints.FUNDING_RATES, [regular, special])
    assert [row.event_time for row in parsed.statements] == [1789430400000 * 10**6]
    assert len(parsed.keys) == 2


def test_a_contract_that_is_being_settled_has_no_expected_rate() -> None:
    settling = {
        "symbol": "A2ZUSDT", "markPrice": "0.1", "indexPrice": "0.1", "lastFundingRate": "0.00000000",
        "nextFundingTime": 0, "time": 1789478303000,
    }  # fmt: skip
    assert read(endpoints.PREMIUM, [settling]).statements == []


def test_the_candle_that_still_runs_is_marked() -> None:
    opened = [NOW // 10**6 - 60_000, NOW // 10**6 - 59_999]
    sent = [[at, "1", "2", "0.5", "1.5", "3", at + 59_999, "4", 5, "0", "0", "0"] for at in opened]
    parsed = read(endpoints.CANDLES, sent, symbol="BTCUSDT", interval="1m")
    assert [row.is_closed for row in parsed.statements] == [True, False]


def test_instruments_are_perpetuals_in_dollars_of_coins() -> None:
    row = {
        "symbol": "A2ZUSDT", "status": "SETTLING", "contractType": "PERPETUAL", "quoteAsset": "USDT",
        "onboardDate": 1750000000000, "deliveryDate": 1774339200000,
    }  # fmt: skip
    others = [row | {"contractType": kind} for kind in ("CURRENT_QUARTER", "TRADIFI_PERPETUAL")]
    parsed = read(endpoints.INSTRUMENTS, {"symbols": [*others, row | {"quoteAsset": "USD"}, row]})
    [listed], [market] = parsed.statements, parsed.items
    assert isinstance(market, Market)
    assert str(market.contract_size) == "1"
    assert market.funding_interval_s is None
    assert (listed.asset, listed.delisted_at) == ("A2Z", from_iso("2026-03-24T08:00:00Z"))
    assert isinstance(market, Market)
    assert market.status == "closed"


def test_weights_follow_the_size_of_the_page() -> None:
    series = Series("BTC", symbols("binance")["BTC"], "mark", 3600)
    day, year = (
        queries.candles(series, Range(0, 86_400_000)),
        queries.candles(series, Range(0, 365 * 86_400_000)),
    )
    assert (day.params["limit"], day.cost) == ("99", 1.0)
    assert (year.params["limit"], year.cost) == ("499", 2.0)


def test_nothing_reads_another_route() -> None:
    with pytest.raises(ParseError):
        read(Endpoint("x", "https://fapi.binance.com/fapi/v1/depth", endpoints.WEIGHT), {})
