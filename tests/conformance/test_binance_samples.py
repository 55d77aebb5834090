"""Recorded answers of Binance's perpetuals, and what they come to by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from marketarchive.times import from_iso
from marketarchive.venues.answers import Answered
from marketarchive.venues.binance import endpoints, queries
from marketarchive.venues.binance.answers import judge
from tests.conformance.perp_samples import NOW, SAMPLES, needs_samples, parsed, row, sample

pytestmark = needs_samples


def test_funding() -> None:
    first, second = parsed("binance", endpoints.FUNDING_RATES, sample("binance", "fundingRate")).statements
    assert row(first, "asset", "kind", "rate", "mark_price") == (
        "BTC", "settled", Decimal("0.00003563"), Decimal("78178.3"),
    )  # fmt: skip
    assert second.event_time == from_iso("2026-09-15T08:00:00.005Z")  # 5 ms late, kept as it is


def test_candles_of_trades() -> None:
    found = parsed("binance", endpoints.CANDLES, sample("binance", "klines"), symbol="BTCUSDT", interval="1m")
    last = found.statements[-1]
    assert row(last, "open", "high", "low", "close", "volume", "volume_quote", "is_closed") == (
        Decimal("76953.60"), Decimal("76957.30"), Decimal("76914.90"), Decimal("76914.90"),
        Decimal("28.720"), Decimal("2209840.15800"), True,
    )  # fmt: skip
    assert [row(each, "event_time", "interval_s") for each in found.statements] == [
        (from_iso(f"2026-09-15T13:{minute}:00Z"), 60) for minute in (16, 17, 18)
    ]


@pytest.mark.parametrize(
    ("name", "opened", "prices"),
    [
        ("indexPriceKlines", 1789478280000, "76993.72956522 76994.69130435 76953.00391304 76953.00391304"),
        ("docs_indexPriceKlines", 1591256400000, "9653.69440000 9653.69640000 9651.38600000 9651.55200000"),
    ],
)
def test_candles_of_the_index(name: str, opened: int, prices: str) -> None:
    [one] = parsed(
        "binance", endpoints.INDEX_CANDLES, sample("binance", name), pair="BTCUSDT", interval="1m"
    ).statements
    assert row(one, "open", "high", "low", "close") == tuple(map(Decimal, prices.split()))
    assert row(one, "source", "event_time", "volume") == ("index", opened * 10**6, None)


def test_candles_of_the_mark_price() -> None:
    payload = sample("binance", "docs_markPriceKlines")
    [one] = parsed("binance", endpoints.MARK_CANDLES, payload, symbol="BTCUSDT", interval="1m").statements
    assert row(one, "source", "open", "close", "volume") == (
        "mark", Decimal("9653.29201333"), Decimal("9653.07367333"), None,
    )  # fmt: skip


def test_open_interest() -> None:
    one_row = b"[" + sample("binance", "openInterestHist_one_row") + b"]"
    [one] = parsed("binance", endpoints.OPEN_INTEREST_HISTORY, one_row).statements
    assert row(one, "amount", "amount_quote") == (Decimal("104882.705"), Decimal("6653666199.09"))
    written = parsed("binance", endpoints.OPEN_INTEREST_HISTORY, sample("binance", "docs_openInterestHist"))
    assert [each.event_time for each in written.statements] == [
        1583127900000 * 10**6, 1583128200000 * 10**6,
    ]  # the documents write times as text  # fmt: skip
    [now] = parsed("binance", endpoints.OPEN_INTEREST, sample("binance", "openInterest")).statements
    assert row(now, "amount", "event_time") == (Decimal("106312.376"), 1789478297197 * 10**6)


def test_expected_funding_with_mark_and_index() -> None:
    [one] = parsed("binance", endpoints.PREMIUM, sample("binance", "premiumIndex")).statements
    assert row(one, "kind", "rate", "mark_price", "index_price", "next_at") == (
        "predicted", Decimal("0.00008972"), Decimal("76916.95122464"), Decimal("76959.67847826"),
        from_iso("2026-09-15T16:00:00Z"),
    )  # fmt: skip


def test_a_settling_contract_is_listed_and_has_an_end() -> None:
    whole = parsed("binance", endpoints.INSTRUMENTS, sample("binance", "exchangeInfo_full_2021-07-22"))
    by_market = {each.market: each for each in whole.statements}
    assert row(by_market["BTCUSDT"], "asset", "listed_at", "delisted_at") == (
        "BTC", from_iso("2019-09-25T08:00:00Z"), None,
    )  # fmt: skip
    known = {each.asset for each in whole.statements} - {None}
    assert known == {"BTC", "ETH", "AAVE", "UNI", "COMP", "CRV", "DOGE"}  # seven of the eleven, by then
    assert {each.quote for each in whole.statements} == {"USDT"}
    assert len(whole.items) == len(known)
    one = b'{"symbols":[' + sample("binance", "exchangeInfo_symbol_BTCUSDT") + b"]}"
    [today] = parsed("binance", endpoints.INSTRUMENTS, one).statements
    assert today.listed_at == from_iso("2019-09-08T17:55:00Z")


def test_intervals_of_funding() -> None:
    tail = b"[" + sample("binance", "fundingInfo_tail_row") + b"]"
    [bitcoin] = parsed("binance", endpoints.FUNDING_INFO, tail).statements
    assert row(bitcoin, "asset", "funding_interval_s", "listed_at") == ("BTC", 28_800, None)
    others = parsed("binance", endpoints.FUNDING_INFO, sample("binance", "fundingInfo_first2"))
    assert others.statements == []  # of contracts that no asset here has


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("binance/error_*.json")), ids=lambda path: path.stem)
def test_recorded_errors(path: object) -> None:
    name = str(getattr(path, "stem", ""))
    status = 451 if "451" in name else 400
    failure = judge(Answered(queries.instruments(), status, {}, sample("binance", name), NOW))
    assert failure is not None
    assert not failure.retryable
    is_unserved = "openInterestHist" in name or "-1121" in name
    assert failure.reason == ("blocked" if status == 451 else "not_served" if is_unserved else "disconnect")
    assert "msg" not in failure.detail
    assert len(failure.detail) > 15
