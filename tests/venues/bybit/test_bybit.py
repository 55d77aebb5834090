"""What Bybit's answers mean: mostly what stands in a body with status 200."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.times import from_iso
from marketarchive.venues.answers import Answered
from marketarchive.venues.bybit import endpoints, queries
from marketarchive.venues.bybit.answers import judge
from marketarchive.venues.bybit.rows import parse
from marketarchive.venues.endpoint import Endpoint, Query
from marketarchive.venues.messages import Parsed, Received
from tests.venues.perp_rows import singly

NOW = from_iso("2026-09-15T12:40:00Z")
GEO = b"<HTML>The Amazon CloudFront distribution is configured to block access from your country.</HTML>"


def read(endpoint: Endpoint, result: Any, **params: str) -> Parsed:
    document = {"retCode": 0, "retMsg": "OK", "result": result, "time": NOW // 10**6}
    payload = json.dumps(document).encode()
    return singly(parse(Received.answer("bybit", "perps", Query(endpoint, params), 200, payload, NOW, 1)))


def body_of(code: int, text: str) -> bytes:
    return json.dumps({"retCode": code, "retMsg": text, "result": {}, "time": 1}).encode()


@pytest.mark.parametrize(
    ("status", "body", "reason", "retryable", "wait_s"),
    [
        (403, b"403, Access Too Frequent", "rate_limited", True, 600.0),
        (403, GEO, "blocked", False, None),
        (429, b"", "rate_limited", True, None),
        (200, body_of(10006, "Too many visits!"), "rate_limited", True, None),
        (200, body_of(10429, "System level frequency protection"), "rate_limited", True, None),
        (200, body_of(10016, "server error"), "disconnect", True, None),
        (200, body_of(10009, "Service Restricted"), "blocked", False, None),
        (200, body_of(10024, "compliance rules triggered"), "blocked", False, None),
        (200, body_of(10001, "params error: symbol invalid"), "not_served", False, None),
        (200, body_of(10001, "params error: limit invalid"), "disconnect", False, None),
        (503, body_of(10000, "Server Timeout"), "disconnect", True, None),
    ],
)
def test_what_an_answer_means(
    status: int, body: bytes, reason: str, *, retryable: bool, wait_s: float | None
) -> None:
    failure = judge(Answered(queries.instruments(), status, {}, body, NOW))
    assert failure is not None
    assert (failure.reason, failure.retryable, failure.wait_s) == (reason, retryable, wait_s)


def test_an_answer_is_no_failure() -> None:
    assert judge(Answered(queries.instruments(), 200, {}, body_of(0, "OK"), NOW)) is None


def test_open_interest_of_both_sides_is_halved() -> None:
    """Before 2026-06-11 there is no `singleOpenInterest`; a single one is taken as it stands."""
    both = {"openInterest": "7300000.00000000", "timestamp": "1770000000000"}
    single = {**both, "singleOpenInterest": "3650000", "timestamp": "1789458600000"}
    parsed = read(endpoints.OPEN_INTEREST, {"symbol": "BTCUSDT", "list": [single, both]})
    assert [row.amount for row in parsed.statements] == [Decimal(3650000), Decimal(3650000)]
    assert [row.rule for row in parsed.statements] == ["one side as listed", "half of both sides"]


def test_contracts_in_other_money_are_left_out_and_the_list_has_pages() -> None:
    row = {
        "symbol": "BTCUSDT", "contractType": "LinearPerpetual", "status": "Trading", "quoteCoin": "USDT",
        "launchTime": "1585526400000", "deliveryTime": "0", "fundingInterval": 240,
    }  # fmt: skip
    others = [row | {"symbol": "BTCPERP", "quoteCoin": "USDC"}, row | {"contractType": "LinearFutures"}]
    parsed = read(endpoints.INSTRUMENTS, {"list": [*others, row], "nextPageCursor": "abc"})
    [listed] = parsed.statements
    assert (listed.funding_interval_s, listed.delisted_at) == (14_400, None)
    following = queries.next_page(queries.instruments(), parsed)
    assert following is not None
    assert following.params["cursor"] == "abc"
    assert queries.next_page(following, read(endpoints.INSTRUMENTS, {"list": []})) is None


def test_a_contract_with_a_date_of_delivery_ends_then() -> None:
    row = {
        "symbol": "A2ZUSDT", "contractType": "LinearPerpetual", "status": "Closed", "quoteCoin": "USDT",
        "launchTime": "1750000000000", "deliveryTime": "1774339200000", "fundingInterval": 60,
    }  # fmt: skip
    [listed] = read(endpoints.INSTRUMENTS, {"list": [row]}).statements
    assert listed.delisted_at == from_iso("2026-03-24T08:00:00Z")


def test_nothing_reads_another_route() -> None:
    with pytest.raises(ParseError):
        read(Endpoint("x", "https://api.bybit.com/v5/market/orderbook", endpoints.HTTP), {})
