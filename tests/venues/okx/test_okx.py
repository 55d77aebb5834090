"""What OKX's answers mean, and in which units they are."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.times import from_iso, to_ms
from marketarchive.venues.answers import Answered
from marketarchive.venues.endpoint import Endpoint, Query
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.okx import endpoints, queries
from marketarchive.venues.okx.answers import judge
from marketarchive.venues.okx.rows import parse
from marketarchive.venues.okx.venue import PERPS
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.symbols import symbols
from tests.venues.perp_rows import singly
from tests.venues.test_perp_files import packed

NOW = from_iso("2026-09-15T12:40:00Z")


def read(endpoint: Endpoint, data: Any, **params: str) -> Parsed:
    payload = json.dumps({"code": "0", "msg": "", "data": data}).encode()
    return singly(parse(Received.answer("okx", "perps", Query(endpoint, params), 200, payload, NOW, 1)))


def body_of(code: str, text: str) -> bytes:
    return json.dumps({"code": code, "msg": text, "data": []}).encode()


@pytest.mark.parametrize(
    ("status", "body", "reason", "retryable", "wait_s"),
    [
        (429, body_of("50011", "Too Many Requests"), "rate_limited", True, 2.0),
        (200, body_of("50011", "Rate limit reached"), "rate_limited", True, 2.0),
        (429, body_of("50013", "Systems are busy"), "disconnect", True, None),
        (503, body_of("50001", "Service temporarily unavailable"), "disconnect", True, None),
        (200, body_of("50026", "System error"), "disconnect", True, None),
        (200, body_of("51001", "Instrument ID does not exist"), "not_served", False, None),
        (
            200,
            body_of("50121", "You can't access our services through this IP"),
            "blocked",
            False,
            None,
        ),
        (403, b"<html>", "blocked", False, None),
        (200, body_of("51000", "Parameter instId error"), "disconnect", False, None),
        (400, body_of("51000", "Parameter instId error"), "disconnect", False, None),
    ],
)
def test_what_an_answer_means(
    status: int, body: bytes, reason: str, *, retryable: bool, wait_s: float | None
) -> None:
    failure = judge(Answered(queries.instruments(), status, {}, body, NOW))
    assert failure is not None
    assert (failure.reason, failure.retryable, failure.wait_s) == (reason, retryable, wait_s)


def test_no_data_is_no_failure() -> None:
    assert judge(Answered(queries.instruments(), 200, {}, body_of("0", ""), NOW)) is None


def test_open_interest_is_no_number_of_contracts() -> None:
    neiro = {
        "instType": "SWAP", "instId": "NEIRO-USDT-SWAP", "oi": "14546007", "oiCcy": "14546007000",
        "oiUsd": "30921319.84", "ts": "1789458600000",
    }  # fmt: skip
    [row] = read(endpoints.OPEN_INTEREST, [neiro]).statements
    assert (row.contracts, row.amount) == (Decimal(14546007), Decimal(14546007000))
    assert row.amount_quote == Decimal("30921319.84")


def test_what_was_charged_is_taken_and_not_what_was_expected() -> None:
    sent = {
        "instId": "BTC-USDT-SWAP", "instType": "SWAP", "fundingRate": "0.0001515032",
        "realizedRate": "0.00015", "fundingTime": "1704067200000",
    }  # fmt: skip
    [row] = read(endpoints.FUNDING_RATES, [sent]).statements
    assert (row.kind, row.rate) == ("settled", Decimal("0.00015"))


def test_a_candle_that_is_not_confirmed_is_not_closed() -> None:
    sent = [["1789458600000", "1", "2", "0.5", "1.5", "100", "1", "1.2", confirm] for confirm in "10"]
    parsed = read(endpoints.CANDLES, sent, instId="BTC-USDT-SWAP", bar="1m")
    assert [row.is_closed for row in parsed.statements] == [True, False]
    assert {row.volume for row in parsed.statements} == {Decimal(1)}  # of 100 contracts


def test_days_begin_at_midnight_utc() -> None:
    series = Series("BTC", symbols("okx")["BTC"], "trade", 86_400)
    assert queries.candles(series, Range(0, 86_400_000)).params["bar"] == "1Dutc"
    index = series._replace(kind="index", step_s=3600)
    assert queries.candles(index, Range(0, 1)).params["instId"] == "BTC-USDT"


def test_what_is_asked_for_fits_on_a_page() -> None:
    """`before` alone gives the newest of all: with both bounds the page has to hold all between."""
    for route in (each for each in PERPS.routes if each.file is None):
        series = Series("BTC", symbols("okx")["BTC"], route.kind, route.step_of(28_800))
        wanted = Range(0, 90 * 86_400_000)
        windows = list(route.windows(series, wanted))
        assert min(windows).first == 0
        assert windows[0].last == wanted.last
        for newer, older in pairwise(windows):
            assert older.last + 1 == newer.first
        for window in windows:
            query = route.page(series, window)
            step_ms = (series.step_s or 3600) * 1000
            assert (window.last - window.first) // step_ms + 1 <= int(query.params["limit"])


def test_a_loan_is_read_where_the_venue_wants_it_read() -> None:
    quota = {
        "basic": [{"ccy": "BTC", "rate": "0.0002", "quota": "1"}, {"ccy": "USDT", "rate": "0.1"}],
        "configCcyList": [{"ccy": "BTC", "rate": "0.0003"}],
    }
    [row] = read(endpoints.LOANS, [quota]).statements
    assert (row.asset, row.bps_per_day) == ("BTC", Decimal(3))


def test_nothing_reads_another_route() -> None:
    with pytest.raises(ParseError):
        read(Endpoint("x", "https://www.okx.com/api/v5/market/books", endpoints.CANDLES.limit), [])


def test_rates_of_before_90_days_are_in_files_of_months_of_china() -> None:
    series = Series("BTC", symbols("okx")["BTC"], "funding")
    at = to_ms(from_iso("2026-06-30T16:00:00Z"))
    july, june = (queries.funding_file(series, Range(each, each)) for each in (at, at - 1))
    folder = "https://static.okx.com/cdn/okex/traderecords/swaprates/monthly"
    assert july.url == f"{folder}/202607/BTC-USDT-SWAP-fundingrates-2026-07.zip"
    assert june.url == f"{folder}/202606/BTC-USDT-SWAP-fundingrates-2026-06.zip"
    text = (
        "instrument_name,funding_rate,funding_time\n"
        "BTC-USDT-SWAP,-0.0000123,1782835203000\nETH-USDT-SWAP,0.1,1782835203000\nBTC-USDT-SWAP,,\n"
    )
    found = parse(Received.answer("okx", "perps", july, 200, packed(text), NOW, 1))
    [row] = found.statements
    assert (row.market, row.asset, row.kind) == ("BTC-USDT-SWAP", "BTC", "settled")
    assert (row.rate, row.event_time) == (Decimal("-0.0000123"), 1782835203 * 10**9)
    assert len(found.errors) == 2
    failure = judge(Answered(june, 404, {}, b"<Code>NoSuchKey</Code>", NOW))
    assert failure is not None
    assert (failure.reason, failure.retryable) == ("not_served", False)


def test_intervals_of_all_contracts_are_terms_of_theirs() -> None:
    rows = [
        {"instId": "BTC-USDT-SWAP", "instType": "SWAP", "fundingTime": "1789488000000",
         "nextFundingTime": "1789516800000", "fundingRate": "0.0001"},
        {"instId": "ETH-USDT-SWAP", "instType": "SWAP", "fundingTime": "1789488000000",
         "prevFundingTime": "1789473600000", "nextFundingTime": "1789516800000", "fundingRate": "0.0001"},
        {"instId": "XAU-USD_UM_XPERP-310502", "instType": "FUTURES", "fundingTime": "1789488000000",
         "nextFundingTime": "1789516800000", "fundingRate": "0.0001"},
    ]  # fmt: skip
    found = read(endpoints.FUNDING_RATE, rows, instId="ANY")
    assert [(row.asset, row.funding_interval_s) for row in found.statements] == [
        ("BTC", 28_800), ("ETH", 14_400),
    ]  # fmt: skip
    assert [(item.market_id, item.funding_interval_s) for item in found.items] == [  # type: ignore[union-attr]
        ("BTC-USDT-SWAP", 28_800), ("ETH-USDT-SWAP", 14_400),
    ]  # fmt: skip
