"""What Velocity's statuses and rows mean."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.times import from_iso, to_ms
from marketarchive.venues.answers import Answered
from marketarchive.venues.endpoint import Endpoint, Query
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import TableRow, UnreadableRow, single_rows
from marketarchive.venues.velocity import endpoints, queries
from marketarchive.venues.velocity.answers import judge
from marketarchive.venues.velocity.rows import VelocityRows, parse

NOW = from_iso("2026-11-20T10:01:00Z")
BTC = Series("BTC", symbols("velocity")["BTC"], "funding", 3600, to_ms(NOW))
DAY = {"symbol": "BTC-PERP", "year": "2026", "month": "09", "day": "13"}


def received(endpoint: Endpoint, document: Any, **path: str) -> Received:
    payload = json.dumps(document).encode()
    return Received.answer("velocity", "perps", Query(endpoint, {}, path), 200, payload, NOW, 1)


def read(endpoint: Endpoint, document: Any, **path: str) -> Parsed:
    return parse(received(endpoint, document, **path))


def settled(long: str, short: str, oracle: str = "80000.000000", mark: str = "80192.000000") -> Any:
    """A premium of 192, a 24th of which is 8: 0.0001 of the price."""
    return {
        "ts": 1789336860, "symbol": "BTC-PERP", "fundingRate": long, "fundingRateLong": long,
        "fundingRateShort": short, "oraclePriceTwap": oracle, "markPriceTwap": mark,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"success": True}, None),
        (200, {"success": False, "error": "overloaded"}, ("disconnect", True)),
        (400, {"success": False, "error": "Date cannot be in the future"}, ("disconnect", False)),
        (404, {"message": "Route GET:/x not found", "statusCode": 404}, ("not_served", False)),
        (429, {}, ("rate_limited", True)),
        (451, {}, ("blocked", False)),
        (503, {}, ("disconnect", True)),
    ],
)
def test_what_a_status_means(status: int, body: dict[str, Any], expected: tuple[str, bool] | None) -> None:
    failure = judge(Answered(queries.markets(), status, {}, json.dumps(body).encode(), NOW))
    assert (None if failure is None else (failure.reason, failure.retryable)) == expected
    if failure is not None:
        assert str(body.get("error", "")) in failure.detail


def test_a_settlement_is_quote_per_base_unit_and_its_sides_differ() -> None:
    records = [settled("8.000000000", "4.000000000")]
    [row] = read(endpoints.FUNDINGS, {"records": records}, symbol="BTC-PERP").statements
    assert (row.rate, row.rate_short) == (Decimal("0.0001"), Decimal("0.00005"))
    assert (row.kind, row.interval_s, row.asset) == ("settled", 3600, "BTC")
    assert (row.mark_price, row.index_price) == (80192, 80000)


@pytest.mark.parametrize(
    "record",
    [
        settled("8000000000", "8000000000"),  # 10**9
        settled("8000000000", "8000000000", "80000000000", "80192000000"),  # 10**9 and 10**6
        settled("-8.0", "-8.0"),  # the other sign
        settled("0.0001", "0.0001", "0.000000", "1.000000"),
    ],
)
def test_a_settlement_that_does_not_follow_from_the_premium_is_left_out(record: Any) -> None:
    found = read(endpoints.FUNDINGS, {"records": [record]}, symbol="BTC-PERP")
    assert found.statements == []
    assert len(found.errors) == 1


def test_floor_and_dead_zone_are_no_other_sign() -> None:
    """A premium of -0.3 bp an hour that the floor of 0.125 bp and the dead zone of 0.2 bp undo."""
    record = settled("1.000000000", "1.000000000", mark="79942.000000")
    [row] = read(endpoints.FUNDINGS, {"records": [record]}, symbol="BTC-PERP").statements
    assert row.rate == Decimal("0.0000125")


def market(**changed: Any) -> dict[str, Any]:
    return {
        "symbol": "BTC-PERP", "marketType": "perp", "status": "active", "quoteAsset": "USDT",
        "oraclePrice": "77305.1", "markPrice": "77390.2", "fees": {"maker": -0.000025, "taker": 0.0002},
        "openInterest": {"long": "0.335", "short": "-0.0206"},
        "fundingRate": {"long": "-0.008181", "short": "0.008181"},
    } | changed  # fmt: skip


def test_what_is_expected_is_percent_an_hour_and_a_cash_flow() -> None:
    listed, funding, interest = read(endpoints.MARKETS, {"markets": [market()]}).statements
    assert (funding.kind, funding.rate, funding.rate_short) == (
        "predicted", Decimal("0.00008181"), Decimal("0.00008181"),
    )  # fmt: skip
    assert (interest.amount, interest.amount_long, interest.amount_short) == (
        Decimal("0.335"), Decimal("0.335"), Decimal("0.0206"),
    )  # fmt: skip
    assert (listed.taker_bps, listed.maker_bps) == (2, Decimal("-0.25"))


def candle(scale: int = 1, **changed: Any) -> dict[str, Any]:
    prices = {f"{name}{part}": 77000 * scale for name in ("fill", "oracle") for part in ("Open", "Low")}
    prices |= {f"{name}{part}": 77400 * scale for name in ("fill", "oracle") for part in ("High", "Close")}
    return {"ts": 1795161600, **prices, "baseVolume": 0.5, "quoteVolume": 38600 * scale, **changed}


def candles(*sent: dict[str, Any], markets: Any = None) -> list[TableRow]:
    rows = VelocityRows()
    list(rows.rows(received(endpoints.MARKETS, {"markets": [market()] if markets is None else markets})))
    path = {"symbol": "BTC-PERP", "resolution": "60"}
    return list(single_rows(rows.rows(received(endpoints.CANDLES, {"records": sent}, **path))))


def test_a_candle_is_of_trades_and_of_the_index() -> None:
    index, trade = candles(candle())
    assert (index.source, index.volume, index.close) == ("index", None, 77400)  # type: ignore[union-attr]
    assert (trade.source, trade.volume) == ("trade", Decimal("0.5"))  # type: ignore[union-attr]
    assert trade.volume_quote == 38600  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("sent", "markets"),
    [
        (candle(scale=10**6), None),
        (candle(), []),
        (candle(fillClose=77400 * 10**6), None),
        (candle(quoteVolume=0.5), None),
    ],
)
def test_candles_whose_unit_nothing_shows_are_left_out(sent: dict[str, Any], markets: Any) -> None:
    made = candles(sent, markets=markets)
    assert made
    assert all(isinstance(row, UnreadableRow) for row in made)


def test_recent_settlements_are_asked_for_back_from_now_and_older_ones_by_day() -> None:
    week = queries.fundings(BTC, Range(to_ms(NOW) - 7 * 86_400_000, to_ms(NOW)))
    assert (week.params, week.url.rpartition("/")[0]) == (
        {"limit": "170"}, "https://data.velocity.exchange/market/BTC-PERP",
    )  # fmt: skip
    day = queries.funding_day(BTC, Range(to_ms(from_iso("2026-08-05T23:00Z")), to_ms(NOW)))
    assert day.url.endswith("/market/BTC-PERP/fundingRates/2026/08/05")


def test_pages_of_a_day_are_followed_and_a_cursor_that_stays_is_not() -> None:
    day = Query(endpoints.FUNDING_DAY, path=DAY)
    record = settled("8.0", "8.0")
    first = read(endpoints.FUNDING_DAY, {"records": [record], "meta": {"nextPage": 2}}, **DAY)
    second = queries.next_page(day, first)
    assert second is not None
    assert (second.params, second.url) == ({"page": "2"}, day.url)
    assert queries.next_page(second, first) is None
    last = read(endpoints.FUNDING_DAY, {"records": [record], "meta": {"nextPage": None}}, **DAY)
    assert queries.next_page(second, last) is None
    recent = read(endpoints.FUNDINGS, {"records": [record], "meta": {"nextPage": "eyJ"}}, symbol="BTC-PERP")
    assert queries.next_page(day, recent) is None


def test_nothing_reads_another_route() -> None:
    with pytest.raises(ParseError):
        read(Endpoint("x", f"{endpoints.BASE}/stats/fundingRates", endpoints.REQUESTS), {})
