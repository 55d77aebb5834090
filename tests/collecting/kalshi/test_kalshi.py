"""Arguments of Kalshi's spiders, and how old a book may be."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from marketarchive.collecting.kalshi.tracking import Open
from marketarchive.exceptions import ArgumentError
from marketarchive.items import Market
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.kalshi.books import Book
from marketarchive.venues.kalshi.freshness import Freshness
from marketarchive.venues.kalshi.quotes import KalshiQuote
from tests.spiders_under_test import spiders
from tests.venues.kalshi.reading import market_of

ALL = spiders()


def book(bid: str, ticker: str = "A") -> Book:
    return Book(ticker, ((Decimal(bid), Decimal(1)),), ())


def test_a_stated_age_counts() -> None:
    ages = Freshness()
    assert ages.age(book("0.4"), 0, {"age": "7"}) == (7.0, "header")
    assert ages.age(book("0.4"), 5 * SECOND, {"age": "0"}) == (0.0, "header")


@pytest.mark.parametrize("age", [{}, {"age": ""}, {"age": "-1"}, {"age": "soon"}])
def test_without_one_a_book_is_as_old_as_its_first_receipt(age: dict[str, str]) -> None:
    ages = Freshness()
    assert ages.age(book("0.4"), 0, age) == (0.0, "new")
    assert ages.age(book("0.4", "B"), SECOND, age) == (0.0, "new")
    assert ages.age(book("0.4"), 3 * SECOND, age) == (3.0, "unchanged")
    assert ages.age(book("0.5"), 4 * SECOND, age) == (0.0, "new")
    assert ages.age(book("0.4"), 5 * SECOND, age) == (0.0, "new")


@pytest.mark.parametrize(
    ("given", "series"),
    [
        ({}, ("KXBTC15M",)),
        ({"assets": "ETH,BTC"}, ("KXETH15M", "KXBTC15M")),
        ({"series": "kxbtcd"}, ("KXBTCD",)),
        ({"markets": "A-1"}, ()),
        ({"markets": "all"}, ()),
    ],
)
def test_which_series_a_spider_takes(given: dict[str, str], series: tuple[str, ...]) -> None:
    spider: Any = ALL["kalshi_orderbook"](**given)
    assert spider.series == series


def test_without_arguments_lists_are_read_as_a_whole() -> None:
    for name in ("kalshi_markets", "kalshi_resolutions"):
        spider: Any = ALL[name]()
        assert spider.series == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"assets": "ZEC"}, "15-minute rounds of BTC"),
        ({"assets": "BTC", "series": "KXBTC15M"}, "give one of them"),
        ({"series": "KXBTC15M", "markets": "all"}, "give one of them"),
    ],
)
def test_what_cannot_be_meant(given: dict[str, str], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        ALL["kalshi_trades"].check_arguments(given)


def test_a_market_is_open_by_its_times() -> None:
    market: Market = market_of(status="initialized")
    known = Open.of(market)
    start, end = from_iso("2026-08-17T04:45:00Z"), from_iso("2026-08-17T05:00:00Z")
    assert [known.is_open(at) for at in (start - 1, start, end - 1, end)] == [False, True, True, False]
    assert (known.series, known.asset) == ("KXBTC15M", "BTC")
    assert Open("X", "S", None, None, None).is_open(0)


def row(**said: Any) -> KalshiQuote:
    common = {"venue": "kalshi", "feed": "orderbook", "received_at": 1, "timestamp": "2026-08-17T05:00:00Z"}
    known = {"asset": "BTC", "ticker_series": "KXBTC15M", "market_id": "A", "source": "orderbook"}
    return KalshiQuote(**{**common, **known, "seq": 3, "is_observed": 1, **said})


def test_rows() -> None:
    good = row(yes_bid=Decimal("0.4"), yes_ask=Decimal("0.41"), age_s=0.5, age_source="unchanged")
    assert good.problem() is None
    assert good.series == "kalshi_kxbtc15m"
    assert row().problem() is None  # an empty book was observed
    crossed = row(yes_bid=Decimal("0.4"), yes_ask=Decimal("0.4"))
    assert (crossed.problem() or ("",))[0] == "yes_bid"
    bare = crossed.unobserved()
    assert (bare.yes_bid, bare.yes_ask, bare.is_observed, bare.problem()) == (None, None, 0, None)
    assert (row(is_observed=0, yes_bid=Decimal("0.4")).problem() or ("",))[0] == "is_observed"
    stale = row(is_observed=0, age_s=9.0, age_source="header").columns()
    assert (stale["yes_bid"], stale["age_s"], stale["seq"]) == (None, 9.0, 3)
