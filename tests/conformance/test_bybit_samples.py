"""Recorded answers of Bybit's perpetuals, and examples of its documents, and what they come to by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from marketarchive.times import from_iso
from marketarchive.venues.bybit import endpoints
from tests.conformance.perp_samples import needs_samples, parsed, row, sample

pytestmark = needs_samples


def test_funding() -> None:
    [one] = parsed("bybit", endpoints.FUNDING_RATES, sample("bybit", "funding_history")).statements
    assert row(one, "market", "asset", "kind", "rate", "event_time") == (
        "ETHPERP", None, "settled", Decimal("0.0001"), from_iso("2022-12-26T08:00:00Z"),
    )  # settled in USDC: another instrument  # fmt: skip


def test_open_interest_of_one_side_and_a_time_in_seconds() -> None:
    payload = sample("bybit", "open-interest_linear_5min")
    found = parsed("bybit", endpoints.OPEN_INTEREST, payload, intervalTime="5min")
    assert [row(each, "asset", "amount", "event_time") for each in found.statements] == [
        ("BTC", Decimal("26332.321"), from_iso("2026-09-15T07:50:00Z")),
        ("BTC", Decimal("26336.672"), from_iso("2026-09-15T07:45:00Z")),
        ("BTC", Decimal("26326.209"), from_iso("2026-09-15T07:40:00Z")),
    ]
    assert found.keys == ["1789458600000", "1789458300000", "1789458000000"]


@pytest.mark.parametrize(
    ("name", "interval", "endpoint", "expected"),
    [
        ("mark-price-kline", "60", endpoints.MARK_CANDLES, ("mark", "17164.16", "17131.64", None, None)),
        ("index-price-kline", "1", endpoints.INDEX_CANDLES, ("index", "17167.00", "17163.07", None, None)),
        ("kline", "60", endpoints.CANDLES, ("trade", "17071", "17055.5", "268611", "15.74462667")),
    ],
)
def test_candles(name: str, interval: str, endpoint: object, expected: tuple[str | None, ...]) -> None:
    found = parsed("bybit", endpoint, sample("bybit", name), symbol="x", interval=interval)  # type: ignore[arg-type]
    newest = found.statements[0]
    source, *numbers = expected
    assert newest.source == source
    assert row(newest, "open", "close", "volume", "volume_quote") == tuple(
        None if each is None else Decimal(each) for each in numbers
    )
    assert newest.event_time == from_iso("2022-12-09T18:00:00Z")
    assert newest.is_closed


def test_the_present() -> None:
    """The one recorded ticker came on a socket; over REST it has the same fields in a list."""
    sent = sample("bybit", "ws_tickers_snapshot_live_2026-08-13").decode()
    ticker = sent.partition('"data":')[2].rpartition("}")[0].partition(',"cs"')[0]
    payload = f'{{"retCode":0,"result":{{"list":[{ticker}]}},"time":1786659827000}}'.encode()
    funding, interest = parsed("bybit", endpoints.TICKERS, payload).statements
    assert row(funding, "kind", "rate", "interval_s", "mark_price", "index_price", "next_at") == (
        "predicted", Decimal("0.00005013"), 28_800, Decimal("63560.80"), Decimal("63585.51"),
        from_iso("2026-08-14T00:00:00Z"),
    )  # fmt: skip
    assert row(interest, "amount", "amount_quote", "rule") == (
        Decimal("29986.128"), Decimal("1905942284.58"), "one side as listed",
    )  # of 59972.256 on both sides  # fmt: skip


def test_tickers_and_instruments_of_the_documents() -> None:
    payload = sample("bybit", "tickers_inverse")
    assert [each.asset for each in parsed("bybit", endpoints.TICKERS, payload).statements] == [None, None]
    [one] = parsed("bybit", endpoints.INSTRUMENTS, sample("bybit", "instruments-info")).statements
    assert row(one, "asset", "listed_at", "delisted_at", "funding_interval_s") == (
        "BTC", from_iso("2020-03-30T00:00:00Z"), None, 28_800,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "hourly"),
    [("spot-margin-trade_data", "0.000001502122"), ("spot-margin-trade_data_BTC_NoVIP", "0.000000503043")],
)
def test_what_a_loan_costs(name: str, hourly: str) -> None:
    [one] = parsed("bybit", endpoints.BORROW_RATES, sample("bybit", name), vipLevel="No VIP").statements
    assert one.asset == "BTC"
    assert one.bps_per_day == Decimal(hourly) * 24 * 10_000
    if "NoVIP" in name:
        assert one.bps_per_day == Decimal("0.12073032")  # basis points a day
