"""Quotes of a market at a tick, from the stream or from REST."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from marketarchive.collecting.kalshi.price_polls import PolledMarket
from marketarchive.collecting.live_books import StateSource
from marketarchive.times import to_seconds
from marketarchive.venues.kalshi.quotes import AGE_MAX_S
from marketarchive.venues.market_messages import QuoteMessage

KEPT_TICKERS = 256
KEPT = 16
"""Most answers that are kept per market: a tick waits for its answer for fewer seconds than that."""


@dataclass(frozen=True, slots=True)
class YesQuote:
    """Best bid and ask of YES in dollars, volume and open interest in contracts.

    None: unknown or an empty side.
    """

    source: str  # "rest" or "stream"
    yes_bid: Decimal | None
    yes_ask: Decimal | None
    volume: Decimal | None
    open_interest: Decimal | None
    is_trading: bool | None  # False: trading is paused; None: not stated
    age_s: float  # greatest age that the state may have at the tick
    age_source: str  # where `age_s` is from: sequence, header, new, unchanged

    @property
    def is_fresh(self) -> bool:
        """Return whether the quote is fresh enough to count as observed."""
        return self.age_s <= AGE_MAX_S


class QuoteSource(Protocol):
    """Protocol of a source of quotes of Kalshi's markets: the stream, or REST."""

    def at(self, ticker: str, tick: int) -> YesQuote | None:
        """Return a market's quote at `tick` (wall ns); None where the source has none."""


class PolledQuotes:
    """Quotes from REST: of the newest answer whose request was sent at the tick, or before."""

    def __init__(self) -> None:
        self._answers: dict[str, OrderedDict[int, PolledMarket]] = {}

    def apply(self, polled: PolledMarket) -> None:
        """Remember the state of a market in an answer."""
        answers = self._answers.setdefault(polled.quoted.ticker, OrderedDict())
        answers[polled.tick] = polled
        while len(answers) > KEPT:
            answers.popitem(last=False)

    def forget(self, ticker: str) -> None:
        """Drop the answers about a market that has ended."""
        self._answers.pop(ticker, None)

    def at(self, ticker: str, tick: int) -> YesQuote | None:
        """Return a market's quote at `tick` (wall ns), None without one.

        Only requests sent by then count: a later one proves nothing about the tick.
        """
        before = [requested for requested in self._answers.get(ticker, ()) if requested <= tick]
        if not before:
            return None
        polled = self._answers[ticker][max(before)]
        quoted = polled.quoted
        age_s = polled.age_s + max(0.0, to_seconds(tick - polled.received_at))
        return YesQuote(
            "rest",
            quoted.yes_bid,
            quoted.yes_ask,
            quoted.volume,
            quoted.open_interest,
            quoted.is_trading,
            round(age_s, 3),
            polled.age_source,
        )


class StreamedQuotes:
    """Quotes from the socket: best prices of the book proven at the tick, volumes of the newest ticker."""

    def __init__(self) -> None:
        self._source: StateSource | None = None
        self._tickers: dict[str, OrderedDict[int, QuoteMessage]] = {}

    def apply_source(self, source: StateSource) -> None:
        """Read the proven books from `source` from now on."""
        self._source = source

    def apply(self, ticker: QuoteMessage) -> None:
        """Remember a ticker message."""
        held = self._tickers.setdefault(ticker.market, OrderedDict())
        held[ticker.at] = ticker
        while len(held) > KEPT_TICKERS:
            held.popitem(last=False)

    def forget(self, ticker: str) -> None:
        """Drop the ticker messages of a market that has ended."""
        self._tickers.pop(ticker, None)

    def at(self, ticker: str, tick: int) -> YesQuote | None:
        """Return a market's quote at `tick` (wall ns); None where the stream does not prove the book then."""
        top = None if self._source is None else self._source.state(ticker, tick)
        if top is None:
            return None
        before = [at for at in self._tickers.get(ticker, ()) if at <= tick]
        said = self._tickers[ticker][max(before)] if before else None
        return YesQuote(
            "stream",
            top.best_bid,
            top.best_ask,
            None if said is None or said.volume is None else Decimal(said.volume),
            None if said is None or said.open_interest is None else Decimal(said.open_interest),
            None,
            0.0,
            "sequence",
        )


def completed(quote: YesQuote, other: YesQuote | None) -> YesQuote:
    """Return `quote` with missing volume, open interest and trading state from `other`, if that is fresh."""
    if other is None or not other.is_fresh:
        return quote
    return replace(
        quote,
        volume=other.volume if quote.volume is None else quote.volume,
        open_interest=other.open_interest if quote.open_interest is None else quote.open_interest,
        is_trading=other.is_trading if quote.is_trading is None else quote.is_trading,
    )


def best_quote(sources: Sequence[QuoteSource], ticker: str, tick: int) -> YesQuote | None:
    """Return the first fresh quote of a market at `tick` (wall ns), or the newest where none is fresh.

    sources: in order of preference. None is returned where no source has a quote.
    """
    found = [quote for source in sources if (quote := source.at(ticker, tick)) is not None]
    fresh = [quote for quote in found if quote.is_fresh]
    if not fresh:
        return min(found, key=lambda quote: quote.age_s, default=None)
    return completed(fresh[0], next(iter(fresh[1:]), None))
