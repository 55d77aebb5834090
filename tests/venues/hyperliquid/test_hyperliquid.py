"""What Hyperliquid's statuses and rows mean, and how it is asked."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.items import Market
from marketarchive.times import from_iso
from marketarchive.venues.answers import Answered
from marketarchive.venues.endpoint import Query
from marketarchive.venues.hyperliquid import endpoints, queries
from marketarchive.venues.hyperliquid.answers import judge
from marketarchive.venues.hyperliquid.rows import parse
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import FundingsRow, OpenInterestRow
from tests.venues.perp_rows import singly

NOW = from_iso("2026-09-15T12:40:00Z")
HOUR = 3_600_000
BITCOIN = Series("BTC", symbols("hyperliquid")["BTC"], "funding")
DAY = Range(1_789_430_400_000, 1_789_516_800_000)
CONTEXT = {
    "funding": "0.0000125",
    "openInterest": "10.5",
    "oraclePx": "100.0",
    "markPx": "100.5",
    "midPx": None,
}


def read(query: Query, document: Any) -> Parsed:
    payload = json.dumps(document).encode()
    return singly(parse(Received.answer("hyperliquid", "perps", query, 200, payload, NOW, 1)))


def requested(query: Query) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(query.body or b"")
    return document


@pytest.mark.parametrize(
    ("status", "body", "headers", "reason", "cause", "retryable", "wait_s"),
    [
        (429, b"null", {}, "rate_limited", "venue", True, 10.0),
        (429, b"", {"retry-after": "3"}, "rate_limited", "venue", True, 3.0),
        (422, b"Failed to deserialize the JSON body", {}, "disconnect", "ours", False, None),
        (500, b"null", {}, "disconnect", "venue", True, None),
        (403, b"<html>", {}, "blocked", "venue", False, None),
        (502, b"<html>\xff", {}, "disconnect", "venue", True, None),
    ],
)
def test_what_a_status_means(
    status: int,
    body: bytes,
    headers: dict[str, str],
    reason: str,
    cause: str,
    *,
    retryable: bool,
    wait_s: Any,
) -> None:
    failure = judge(Answered(queries.instruments(), status, headers, body, NOW))
    assert failure is not None
    assert (failure.reason, failure.cause, failure.retryable) == (reason, cause, retryable)
    assert failure.wait_s == wait_s
    assert body.decode("utf-8", "replace") in failure.detail


def test_an_answer_is_no_failure() -> None:
    assert judge(Answered(queries.instruments(), 200, {}, b"{}", NOW)) is None


def test_eight_hourly_rates_of_an_hour_are_one_of_eight_hours() -> None:
    sent = [
        {"coin": "ETH", "fundingRate": "0.0000125", "premium": "0.0", "time": DAY.first + hour * HOUR + 3}
        for hour in range(1, 9)
    ]
    found = read(queries.funding_rates(BITCOIN, DAY), sent).statements
    assert {each.interval_s for each in found} == {3600}
    assert sum(each.rate for each in found) == Decimal("0.0001")


def test_the_rate_of_the_change_is_of_eight_hours_and_the_next_of_one() -> None:
    times = (1_686_182_400_254, 1_686_186_000_011)  # 2023-06-08T00:00, 01:00
    sent = [{"coin": "BTC", "fundingRate": "0.0001", "premium": "0", "time": at} for at in times]
    found = read(queries.funding_rates(BITCOIN, DAY), sent).statements
    assert [each.interval_s for each in found] == [28_800, 3600]


def test_a_page_of_rates_goes_on_after_its_last_row() -> None:
    query = queries.funding_rates(BITCOIN, Range(DAY.first, DAY.first + 3000 * HOUR))
    assert requested(query) == {
        "type": "fundingHistory", "coin": "BTC", "startTime": DAY.first, "endTime": DAY.first + 3000 * HOUR,
    }  # fmt: skip
    assert query.cost == 45  # a full page: 20 and one per 20 of 500 rows
    assert queries.funding_rates(BITCOIN, DAY).cost == 22  # 25 rows
    assert query.endpoint.method == "POST"


def test_candles_are_asked_for_from_a_whole_step_on() -> None:
    """The candle that holds the start would come again on every page."""
    series = BITCOIN._replace(kind="trade", step_s=3600)
    query = queries.candles(series, Range(DAY.first + 1, DAY.last))
    assert requested(query)["req"] == {
        "coin": "BTC", "interval": "1h", "startTime": DAY.first + HOUR, "endTime": DAY.last,
    }  # fmt: skip
    assert query.cost == 21
    year = queries.candles(series, Range(DAY.first, DAY.first + 4999 * HOUR))
    assert year.cost == 104  # 5000 rows: 20 and one per 60
    assert endpoints.WEIGHT.amount // year.cost == 11


def test_contexts_are_joined_by_place_and_one_that_ended_keeps_its_place() -> None:
    coins = [{"name": "BTC"}, {"name": "MATIC", "isDelisted": True}, {"name": "kPEPE"}]
    contexts = [
        CONTEXT,
        CONTEXT | {"funding": "0.0"},
        CONTEXT | {"funding": "-0.00002", "markPx": "0.0071234"},
    ]
    found = read(queries.present(), [{"universe": coins}, contexts])
    fundings = [each for each in found.statements if isinstance(each, FundingsRow)]
    assert [(each.market, each.rate) for each in fundings] == [
        ("BTC", Decimal("0.0000125")), ("kPEPE", Decimal("-0.00002")),
    ]  # fmt: skip
    assert fundings[1].mark_price == Decimal("0.0000071234")
    assert fundings[1].next_at == from_iso("2026-09-15T13:00:00Z")
    interest = [each for each in found.statements if isinstance(each, OpenInterestRow)]
    assert [each.amount for each in interest] == [Decimal("10.5"), Decimal(10500)]


def test_contexts_that_cannot_be_joined_are_no_rows() -> None:
    with pytest.raises(ParseError, match="1 contexts of 2 coins"):
        read(queries.present(), [{"universe": [{"name": "BTC"}, {"name": "ETH"}]}, [CONTEXT]])


def test_a_bad_context_costs_itself_alone() -> None:
    coins = [{"name": "BTC"}, {"name": "ETH"}]
    found = read(queries.present(), [{"universe": coins}, [CONTEXT | {"markPx": "NaN"}, CONTEXT]])
    assert {each.market for each in found.statements} == {"ETH"}
    assert len(found.errors) == 1


def test_the_candle_that_still_runs_is_marked() -> None:
    series = BITCOIN._replace(kind="trade", step_s=60)
    sent = [
        {
            "t": at,
            "T": at + 59_999,
            "s": "BTC",
            "i": "1m",
            "o": "1",
            "h": "2",
            "l": "0.5",
            "c": "1.5",
            "v": "3",
            "n": 1,
        }
        for at in (NOW // 10**6 - 60_000, NOW // 10**6 - 59_999)
    ]
    assert [each.is_closed for each in read(queries.candles(series, DAY), sent).statements] == [True, False]


def test_a_contract_that_ended_is_closed() -> None:
    found = read(queries.instruments(), {"universe": [{"name": "COMP", "isDelisted": True}, {"name": "BTC"}]})
    assert [each.status for each in found.statements] == ["isDelisted", "listed"]
    assert [item.status for item in found.items if isinstance(item, Market)] == ["closed", "active"]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"type":"l2Book"}', b'{"type":"candleSnapshot"}', b"\xff"])
def test_nothing_reads_the_answer_to_another_request(body: bytes) -> None:
    with pytest.raises(ParseError):
        read(Query(endpoints.CANDLES, body=body), [])
