from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.times import SECOND, from_iso
from marketarchive.venues.exact import dollars, e18
from marketarchive.venues.polymarket import rules

AUGUST_7 = from_iso("2026-08-07T00:00:00Z")
AUGUST_14 = from_iso("2026-08-14T00:00:00Z")


@pytest.mark.parametrize(
    ("duration", "start", "rule"),
    [
        ("5m", AUGUST_7 - 300 * SECOND, "chainlink spot"),
        ("5m", AUGUST_7, "chainlink twap 30s"),
        ("5m", AUGUST_14 - 1, "chainlink twap 30s"),
        ("5m", AUGUST_14, "chainlink twap 60s"),
        ("15m", AUGUST_7 - 1, "chainlink spot"),
        ("15m", AUGUST_7, "chainlink twap 60s"),
        ("4h", AUGUST_7 - 1, "chainlink spot"),
        ("4h", AUGUST_7, "chainlink twap 60s"),
        ("1h", AUGUST_7, "binance"),
        ("1d", AUGUST_14, "binance"),
        ("1w", AUGUST_14, None),
    ],
)
def test_the_dates_tell_the_rule(duration: str, start: int, rule: str | None) -> None:
    assert rules.by_date(duration, start) == rule


@pytest.mark.parametrize(
    ("said", "instrument", "stated_by"),
    [
        (None, "chainlink:btc-usd-twap-30s", "date"),
        ("chainlink spot", "chainlink:btc-usd", "market"),
        ("chainlink twap 60s", "chainlink:btc-usd-twap-60s", "market"),
        ("chainlink twap 90s", "chainlink:btc-usd-twap-90s", "market"),
    ],
)
def test_what_the_market_says_wins_over_the_dates(said: str | None, instrument: str, stated_by: str) -> None:
    rule = rules.rule_of("BTC", "5m", AUGUST_7, said)
    assert (rule.instrument, rule.stated_by) == (instrument, stated_by)


def test_what_no_feed_carries_is_named() -> None:
    assert rules.rule_of("SOL", "1h", AUGUST_7, None).instrument is None
    assert "SOLUSDT" in rules.rule_of("SOL", "1h", AUGUST_7, None).missing
    other = rules.rule_of("BTC", "5m", AUGUST_7, "https://example.com/price")
    assert other.instrument is None
    assert "https://example.com/price" in other.missing


@pytest.mark.parametrize(
    ("row", "source", "rule"),
    [
        ({}, "https://data.chain.link/streams/btc-usd", "chainlink spot"),
        ({}, "https://data.chain.link/streams/btc-usd-cexprice-streams", "chainlink spot"),
        ({}, "https://data.chain.link/streams/btc-usd-twap-30s-streams", "chainlink twap 30s"),
        ({}, "https://data.chain.link/streams/eth-usd-twap-30s-streams", None),
        ({}, "https://www.binance.com/en/trade/BTC_USDT", "binance"),
        ({}, "https://example.com/", None),
        ({}, "", None),
        ({"cryptoMarketConfig": {"twapEnabled": True, "twapLookbackSeconds": 60}}, "", "chainlink twap 60s"),
        (
            {"cryptoMarketConfig": {"twapEnabled": True, "twapLookbackSeconds": 30}},
            "https://data.chain.link/streams/btc-usd",
            "chainlink twap 30s",
        ),
        ({"cryptoMarketConfig": {"twapEnabled": False, "duration": "5m"}}, "", "chainlink spot"),
        ({"cryptoMarketConfig": {"twapEnabled": False, "duration": "1h"}}, "", None),
    ],
)
def test_what_a_row_states(row: dict[str, Any], source: str, rule: str | None) -> None:
    assert rules.stated(row, source, "BTC") == rule


@pytest.mark.parametrize(
    ("topic", "symbol", "window_s", "instrument"),
    [
        ("crypto_prices", "btcusdt", None, "binance:btcusdt"),
        ("crypto_prices_chainlink", "btc/usd", None, "chainlink:btc-usd"),
        ("crypto_prices_twap_thirty", "btc/usd", 30, "chainlink:btc-usd-twap-30s"),
        ("crypto_prices_twap_sixty", "btc/usd", 60, "chainlink:btc-usd-twap-60s"),
        ("equity_prices", "tsla", None, None),
    ],
)
def test_topics_carry_instruments(
    topic: str, symbol: str, window_s: int | None, instrument: str | None
) -> None:
    assert rules.instrument_of(topic, symbol, "BTC", window_s) == instrument


@given(st.integers(0, 10**38))
def test_a_tie_is_up_and_one_unit_less_is_down(strike: int) -> None:
    assert rules.winner(strike, strike) == "Up"
    assert rules.winner(strike, strike + 1) == "Up"
    assert rules.winner(strike + 1, strike) == "Down"


@given(st.integers(-(10**60), 10**60))
def test_prices_are_exact_integers_both_ways(value: int) -> None:
    """Far beyond what a float, or a Decimal in its default context, would keep."""
    assert e18(dollars(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_a_decimal_keeps_its_digits(value: Decimal) -> None:
    assert Fraction(e18(value), 10**18) == Fraction(value)


def test_more_than_18_decimals_is_refused() -> None:
    with pytest.raises(ValueError, match="18 decimals"):
        e18(Decimal("1.0000000000000000001"))
    with pytest.raises(ValueError, match="is not a number"):
        e18(Decimal("NaN"))
