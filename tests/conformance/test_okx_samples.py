"""Recorded answers of OKX's swaps, and examples of its documents, and what they come to by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from marketarchive.times import from_iso
from marketarchive.venues.answers import Answered
from marketarchive.venues.endpoint import Endpoint
from marketarchive.venues.okx import endpoints, queries
from marketarchive.venues.okx.answers import judge
from tests.conformance.perp_samples import NOW, needs_samples, parsed, row, sample

pytestmark = needs_samples


def test_settled_rates() -> None:
    payload = sample("okx", "funding-rate-history_nautilus")
    first, second = parsed("okx", endpoints.FUNDING_RATES, payload).statements
    assert row(first, "asset", "kind", "rate", "event_time") == (
        "BTC", "settled", Decimal("0.00015"), from_iso("2024-01-01T00:00:00Z"),
    )  # fmt: skip
    assert row(second, "rate", "event_time") == (Decimal("-0.00002"), from_iso("2023-12-31T16:00:00Z"))
    old = parsed("okx", endpoints.FUNDING_RATES, sample("okx", "funding-rate-history")).statements
    assert [row(each, "asset", "rate") for each in old] == [
        (None, Decimal("0.0000746572360545")), (None, Decimal("0.0002279755647389")),
    ]  # of contracts settled in coins  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "funding-rate_live_BTC_2026-08-01",
            ("BTC", Decimal("0.0000616430459607"), 28_800, from_iso("2026-08-01T08:00:00Z")),
        ),
        (
            "funding-rate_live_row_4h_OKB",
            (None, Decimal("0.00005"), 14_400, from_iso("2026-09-19T16:00:00Z")),
        ),
    ],
)
def test_expected_rates(name: str, expected: tuple[object, ...]) -> None:
    payload = sample("okx", name)
    if "_row_" in name:
        payload = b'{"code":"0","data":[' + payload + b"]}"
    [one] = parsed("okx", endpoints.FUNDING_RATE, payload).statements
    assert one.kind == "predicted"
    assert row(one, "asset", "rate", "interval_s", "next_at") == expected


def test_dated_contracts_are_no_swaps() -> None:
    payload = b'{"code":"0","data":[' + sample("okx", "funding-rate_live_row_XPERP_futures") + b"]}"
    assert parsed("okx", endpoints.FUNDING_RATE, payload).statements == []
    [example] = parsed("okx", endpoints.FUNDING_RATE, sample("okx", "funding-rate")).statements
    assert row(example, "rate", "interval_s") == (Decimal("0.0000182221218054"), 28_800)


def test_candles_of_trades() -> None:
    found = parsed("okx", endpoints.CANDLES, sample("okx", "candles"), instId="BTC-USDT-SWAP", bar="1m")
    newest = found.statements[0]
    assert row(newest, "open", "high", "low", "close", "volume", "volume_quote") == tuple(
        map(Decimal, ["102806.1", "102820.4", "102806.1", "102820.4", "10.4037", "1069603.34883"])
    )  # 1,040.37 contracts of 0.01 BTC
    assert newest.event_time == from_iso("2025-05-12T23:54:00Z")


@pytest.mark.parametrize(
    ("name", "endpoint", "inst", "source"),
    [
        ("history-mark-price-candles", endpoints.MARK_CANDLES, "BTC-USDT-SWAP", "mark"),
        ("history-index-candles", endpoints.INDEX_CANDLES, "BTC-USDT", "index"),
    ],
)
def test_candles_of_prices(name: str, endpoint: Endpoint, inst: str, source: str) -> None:
    first, _ = parsed("okx", endpoint, sample("okx", name), instId=inst, bar="1m").statements
    assert row(first, "market", "asset", "source", "open", "close", "volume", "is_closed") == (
        "BTC-USDT-SWAP", "BTC", source, Decimal("3.721"), Decimal("3.708"), None, True,
    )  # fmt: skip


def test_open_interest() -> None:
    one_row = b'{"code":"0","data":[' + sample("okx", "rubik_open-interest-history_row") + b"]}"
    [one] = parsed("okx", endpoints.OPEN_INTEREST_HISTORY, one_row, instId="BTC-USDT-SWAP").statements
    assert row(one, "amount", "contracts", "amount_quote") == tuple(
        map(Decimal, ["28006.5419", "2800476.45", "2360916466.88"])
    )  # of contracts of 0.01 BTC, but for their rounding
    [now] = parsed("okx", endpoints.OPEN_INTEREST, sample("okx", "open-interest")).statements
    assert row(now, "amount", "contracts", "amount_quote") == (
        Decimal("555.55"),
        Decimal(5000),
        Decimal(50000),
    )


def test_prices_now() -> None:
    [mark] = parsed("okx", endpoints.MARK_PRICE, sample("okx", "mark-price")).statements
    assert row(mark, "topic", "symbol", "asset", "value") == (
        "mark", "BTC-USDT-SWAP", "BTC", Decimal("84660.1"),
    )  # fmt: skip
    [index] = parsed("okx", endpoints.INDEX_TICKERS, sample("okx", "index-tickers")).statements
    assert row(index, "topic", "symbol", "asset", "value") == ("index", "BTC-USDT", "BTC", Decimal(103895))


def test_instruments_and_the_size_of_their_contracts() -> None:
    whole = parsed("okx", endpoints.INSTRUMENTS, sample("okx", "instruments_SWAP_full_2022-05-13"))
    sizes = {each.asset: each.contract_size for each in whole.statements if each.asset}
    assert sizes == {
        "BTC": Decimal("0.01"), "ETH": Decimal("0.1"), "AAVE": Decimal("0.1"), "UNI": Decimal(1),
        "COMP": Decimal("0.1"), "CRV": Decimal(1), "DOGE": Decimal(1000), "GALA": Decimal(10),
        "IMX": Decimal(1),
    }  # fmt: skip
    assert {each.quote for each in whole.statements} == {"USDT"}
    assert len(whole.items) == len(sizes)
    parsed("okx", endpoints.INSTRUMENTS, sample("okx", "instruments_SWAP_3rows"))


def test_what_a_loan_costs() -> None:
    [one] = parsed("okx", endpoints.LOANS, sample("okx", "interest-rate-loan-quota")).statements
    assert row(one, "asset", "bps_per_day") == ("BTC", Decimal("1.9992"))  # 0.00019992 a day


@pytest.mark.parametrize("name", ["error_50014_http200", "error_51000_http200"])
def test_recorded_errors(name: str) -> None:
    failure = judge(Answered(queries.instruments(), 200, {}, sample("okx", name), NOW))
    assert failure is not None
    assert (failure.reason, failure.retryable) == ("disconnect", False)
    assert "Parameter instId" in failure.detail
