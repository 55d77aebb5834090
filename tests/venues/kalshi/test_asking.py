"""Queries, pages, and which answers are failures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.times import SECOND
from marketarchive.venues import venues
from marketarchive.venues.answers import Answered
from marketarchive.venues.endpoint import Query
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.answers import judge
from marketarchive.venues.messages import Parsed
from tests.venues.kalshi.reading import read

T = 1_787_000_000


def test_it_is_found() -> None:
    venue = venues()["kalshi"]
    collected = {"markets", "orderbook", "prices", "stream", "trades", "resolutions", "backfill"}
    assert set(venue.feeds) == collected | {"probe"}
    assert venue.market_facts("KXBTC15M-26AUG170100-00").asset == "BTC"


def test_lists_leave_out_combinations_and_send_no_parameter_that_is_not_known() -> None:
    query = queries.markets(status="settled", series="KXBTC15M", settled_since_ns=T * SECOND)
    assert query.url == "https://api.elections.kalshi.com/trade-api/v2/markets"
    assert query.params == {
        "status": "settled",
        "series_ticker": "KXBTC15M",
        "min_settled_ts": str(T),
        "mve_filter": "exclude",
        "limit": "1000",
    }
    assert queries.old_markets("S").params == {"series_ticker": "S", "limit": "1000"}
    assert queries.old_markets().params == {"mve_filter": "exclude", "limit": "1000"}
    assert queries.books(["A", "B"]).params == {"tickers": ["A", "B"]}
    assert queries.book("A").url.endswith("/markets/A/orderbook")
    assert {queries.book("A").cost, queries.cutoff().cost} == {10.0}


def test_the_cursor_alone_tells_whether_there_is_more() -> None:
    query = queries.trades("A", since_ns=T * SECOND)
    following = queries.next_page(query, Parsed(next_cursor="c1"))  # though the page had no row
    assert following is not None
    assert following.params == {**query.params, "cursor": "c1"}
    again = queries.next_page(following, Parsed(next_cursor="c2", keys=["x"]))
    assert again is not None
    assert again.params["cursor"] == "c2"
    assert queries.next_page(again, Parsed(keys=["x"])) is None


@pytest.mark.parametrize("cursor", ["", None])
def test_an_empty_cursor_is_the_last_page(cursor: str | None) -> None:
    assert read("/markets", {"markets": [], "cursor": cursor}).next_cursor is None


def answered(query: Query, status: int, body: Any) -> Answered:
    return Answered(query, status, {}, json.dumps(body).encode(), T * SECOND)


@pytest.mark.parametrize(
    ("status", "body", "reason", "retryable", "said"),
    [
        (
            429,
            {"error": {"code": "too_many_requests", "message": "too many"}},
            "rate_limited",
            True,
            "too many",
        ),
        (429, {"error": "too many requests"}, "rate_limited", True, "too many requests"),
        (400, {"msg": "Parameter validation failed"}, "disconnect", False, "Parameter validation"),
        (
            400,
            {"code": "bad_request", "details": "invalid status filter"},
            "disconnect",
            False,
            "invalid status",
        ),
        (401, {"error": {"code": "signature_is_missing_from_headers"}}, "disconnect", False, "needs a key"),
        (403, "blocked", "blocked", False, "403"),
        (503, [], "disconnect", True, "503"),
    ],
)
def test_failures_carry_the_venues_words(
    status: int, body: Any, reason: str, retryable: bool, said: str
) -> None:
    failure = judge(answered(queries.markets(), status, body))
    assert failure is not None
    assert (failure.reason, failure.retryable) == (reason, retryable)
    assert said in failure.detail


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (queries.market("A"), 404),
        (queries.book("A"), 404),
        (queries.books(["A"]), 401),
        (queries.status(), 503),
        (queries.markets(), 200),
    ],
)
def test_answers_that_are_none_of_that(query: Query, status: int) -> None:
    assert judge(answered(query, status, {"error": "x"})) is None


def test_statements() -> None:
    (status,) = read("/exchange/status", {"exchange_active": True, "trading_active": False}).statements
    assert (status.exchange_active, status.trading_active) == (True, False)
    dated = {"market_settled_ts": "2026-06-12T00:00:00Z", "trades_created_ts": "2026-06-11T00:00:00Z"}
    (cutoff,) = read("/historical/cutoff", dated).statements
    assert cutoff.market_settled_ts == "2026-06-12T00:00:00Z"
    parsed = read("/series", {"series": [{"ticker": "S", "title": "Some"}, {"title": "none"}]})
    assert (parsed.series, len(parsed.errors)) == ({"Some": "S"}, 1)
    assert read("/series", {"series": None}).keys == []


@pytest.mark.parametrize("path", ["/nothing", "/markets/A/candlesticks", "/account/limits"])
def test_a_route_that_nothing_reads_raises(path: str) -> None:
    with pytest.raises(ParseError, match="nothing reads"):
        read(path, {})


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000, b"null", b"[]"])
@pytest.mark.parametrize(
    "path", ["/markets", "/events", "/markets/trades", "/markets/A/orderbook", "/series/A"]
)
def test_what_is_no_document_raises(path: str, body: bytes) -> None:
    with pytest.raises(ParseError):
        read(path, body)
