"""A market's quote at a moment, from the source that knows it best."""

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
"""Answers that are remembered of each market: a tick waits for its answer for less than so many seconds."""


@dataclass(frozen=True, slots=True)
class YesQuote:
    """Best bid and ask of YES in dollars with their sizes in contracts; None of an empty side."""

    source: str  # rest, stream
    yes_bid: Decimal | None
    yes_ask: Decimal | None
    volume: Decimal | None
    open_interest: Decimal | None
    is_trading: bool | None  # None: its source does not say
    age_s: float  # that the state may have at the moment asked for, at most
    age_source: str  # what says so

    @property
    def is_fresh(self) -> bool:
        """Return whether the quote is fresh enough to count as observed."""
        return self.age_s <= AGE_MAX_S


class QuoteSource(Protocol):
    """Knows what markets trade at."""

    def at(self, ticker: str, tick: int) -> YesQuote | None:
        """Return the state at `tick`, wall ns; None where nothing is known of it."""


class PolledQuotes:
    """By REST: the newest answer to a request of the tick, or of one before."""

    def __init__(self) -> None:
        self._answers: dict[str, OrderedDict[int, PolledMarket]] = {}

    def apply(self, polled: PolledMarket) -> None:
        """Remember an answer."""
        answers = self._answers.setdefault(polled.quoted.ticker, OrderedDict())
        answers[polled.tick] = polled
        while len(answers) > KEPT:
            answers.popitem(last=False)

    def forget(self, ticker: str) -> None:
        """Let go of a market that is over."""
        self._answers.pop(ticker, None)

    def at(self, ticker: str, tick: int) -> YesQuote | None:
        """Return the state at `tick`, of requests sent by then; a later request proves nothing about it."""
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
    """By the socket: the top of a book that the stream proves at the tick, volumes of the newest ticker."""

    def __init__(self) -> None:
        self._source: StateSource | None = None
        self._tickers: dict[str, OrderedDict[int, QuoteMessage]] = {}

    def apply_source(self, source: StateSource) -> None:
        """Read the books of `source` from now on."""
        self._source = source

    def apply(self, ticker: QuoteMessage) -> None:
        """Remember what a ticker said."""
        held = self._tickers.setdefault(ticker.market, OrderedDict())
        held[ticker.at] = ticker
        while len(held) > KEPT_TICKERS:
            held.popitem(last=False)

    def forget(self, ticker: str) -> None:
        """Let go of a market that is over."""
        self._tickers.pop(ticker, None)

    def at(self, ticker: str, tick: int) -> YesQuote | None:
        """Return the state at `tick`, None where the stream does not prove it."""
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
    """Return `quote` with what its source does not say taken from a fresh other one."""
    if other is None or not other.is_fresh:
        return quote
    return replace(
        quote,
        volume=other.volume if quote.volume is None else quote.volume,
        open_interest=other.open_interest if quote.open_interest is None else quote.open_interest,
        is_trading=other.is_trading if quote.is_trading is None else quote.is_trading,
    )


def best_quote(sources: Sequence[QuoteSource], ticker: str, tick: int) -> YesQuote | None:
    """Return the first fresh quote of `sources`, the best first; where none is fresh, the newest."""
    found = [quote for source in sources if (quote := source.at(ticker, tick)) is not None]
    fresh = [quote for quote in found if quote.is_fresh]
    if not fresh:
        return min(found, key=lambda quote: quote.age_s, default=None)
    return completed(fresh[0], next(iter(fresh[1:]), None))
