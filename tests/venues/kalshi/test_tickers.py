"""What tickers say: closes in US Eastern time, over both changes of clocks."""

from __future__ import annotations

import pytest

from marketarchive.times import SECOND, from_iso, iso
from marketarchive.venues.kalshi.tickers import ROUND_NS, event_of, market_facts, round_at, ticker_of


@pytest.mark.parametrize(
    ("ticker", "closes"),
    [
        ("KXBTC15M-26AUG170100-00", "2026-08-17T05:00:00"),  # real objects
        ("KXBTC15M-26SEP101800-00", "2026-09-10T22:00:00"),
        ("KXBTC15M-26JUL290015-15", "2026-07-29T04:15:00"),
        ("KXBTC15M-26FEB091530-30", "2026-02-09T20:30:00"),
    ],
)
def test_rounds(ticker: str, closes: str) -> None:
    facts = market_facts(ticker)
    assert facts.asset == "BTC"
    assert facts.start_ns is not None
    assert facts.end_ns is not None
    assert iso(facts.end_ns)[:19] == closes
    assert facts.end_ns - facts.start_ns == ROUND_NS
    assert ticker_of("KXBTC15M", facts.end_ns) == ticker
    assert ticker.startswith(event_of("KXBTC15M", facts.end_ns))
    found = round_at("KXBTC15M", facts.start_ns)
    assert found is not None
    assert (found.ticker, found.start_ns, found.end_ns) == (ticker, facts.start_ns, facts.end_ns)


def test_other_crypto_markets_say_their_close() -> None:
    facts = market_facts("KXBTCD-26AUG1717-T72749.99")
    assert (facts.asset, facts.start_ns) == ("BTC", None)
    assert facts.end_ns == from_iso("2026-08-17T21:00:00Z")
    assert market_facts("KXETH-26JUN1917-B51250").asset == "ETH"


@pytest.mark.parametrize(
    "ticker",
    [
        "KXNFLGAME-26OCT08TBDAL-DAL",
        "btc-updown-5m-1784853900",
        "",
        "KXMVENFLSINGLEGAME-S2-6",
        "KXGOLD15M-26AUG170100-00",
    ],
)
def test_other_names_say_nothing(ticker: str) -> None:
    facts = market_facts(ticker)
    assert (facts.asset, facts.start_ns, facts.end_ns) == (None, None, None)


@pytest.mark.parametrize(
    "ticker", ["KXBTC15M-26AUG170100-15", "KXBTC15M-26FEB301200-00", "KXBTC15M-26AUG1701-00"]
)
def test_a_time_that_is_none_is_not_made_up(ticker: str) -> None:
    facts = market_facts(ticker)
    assert (facts.asset, facts.start_ns, facts.end_ns) == ("BTC", None, None)


def test_the_hour_that_comes_twice_is_not_read() -> None:
    assert market_facts("KXBTC15M-26NOV010130-30").end_ns is None
    at = from_iso("2026-11-01T05:15:00Z")
    assert round_at("KXBTC15M", at) is None
    before, after = round_at("KXBTC15M", at - 3600 * SECOND), round_at("KXBTC15M", at + 7200 * SECOND)
    assert before is not None
    assert after is not None
    assert (before.ticker, after.ticker) == ("KXBTC15M-26NOV010030-30", "KXBTC15M-26NOV010230-30")
