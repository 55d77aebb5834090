"""Candlesticks of the live and the historical tier, whose field names differ.

The end of a candlestick is inclusive; daily ones end at midnight in New York, 04:00 or 05:00 UTC. A period
without trades has no candlestick (August 2026).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from marketarchive.simulator.kalshi.books import Books
from marketarchive.simulator.kalshi.catalog import Listing, quote
from marketarchive.simulator.kalshi.rounds import SimRound
from marketarchive.times import SECOND, utc
from marketarchive.venues.kalshi.tickers import EASTERN

PERIODS = (1, 60, 1440)
"""Lengths of candlesticks in minutes."""
MOST = 5000
"""Most candlestick periods that the range of a request may cover, with or without candlesticks in them."""
_SAMPLES = {1: 1, 60: 12, 1440: 24}  # minutes -> prices looked at within a period


class _Prices(NamedTuple):
    """Open, high, low and close in thousandths of a dollar."""

    bid: int
    ask: int


@dataclass(frozen=True)
class SimCandle:
    """One candlestick: open, high, low and close of best bid, best ask and trades.

    Prices are in thousandths of a dollar.
    """

    end: int
    bids: tuple[int, ...]
    asks: tuple[int, ...]
    trades: tuple[int, ...]
    previous: int | None
    volume: float
    open_interest: float

    def row(self, *, is_historical: bool) -> dict[str, Any]:
        """Return the candlestick in the form of the historical or the live tier."""
        name, count = ("", "") if is_historical else ("_dollars", "_fp")
        price = {**_ohlc(self.trades, name), f"mean{name}": _dollars(sum(self.trades) / len(self.trades))}
        if self.previous is not None:
            price[f"previous{name}"] = _dollars(self.previous)
        return {
            "end_period_ts": self.end,
            f"open_interest{count}": f"{self.open_interest:.2f}",
            "price": price,
            f"volume{count}": f"{self.volume:.2f}",
            "yes_ask": _ohlc(self.asks, name),
            "yes_bid": _ohlc(self.bids, name),
        }


class CandleSource:
    """Source of the candlesticks of markets."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def between(
        self, market: SimRound | Listing, start: int, end: int, minutes: int, now: int
    ) -> Iterator[SimCandle]:
        """Yield a market's candlesticks that ended in start <= time <= end and by `now`, in order of time.

        start, end, now: Unix seconds; minutes: length of a candlestick.
        """
        opens, closes = market.start, market.end
        for low, high in _periods(max(start, opens), min(end, now, closes + minutes * 60), minutes):
            candle = self._candle(market, max(low, opens), min(high, closes - 1), high, minutes)
            if candle is not None:
                yield candle

    def _candle(
        self, market: SimRound | Listing, low: int, high: int, end: int, minutes: int
    ) -> SimCandle | None:
        if high <= low:
            return None
        before, after = self._volume(market, low), self._volume(market, high)
        if after <= before:
            return None
        step = max((high - low) // _SAMPLES[minutes], 1)
        quotes = [self._quote(market, at) for at in (*range(low, high, step), high)]
        return SimCandle(
            end,
            tuple(each.bid for each in quotes),
            tuple(each.ask for each in quotes),
            tuple(each.bid if place % 2 else each.ask for place, each in enumerate(quotes)),
            self._quote(market, low).bid if low > market.start else None,
            round(after - before, 2),
            after / 2,
        )

    def _quote(self, market: SimRound | Listing, second: int) -> _Prices:
        if isinstance(market, Listing):
            return _Prices(*quote(market.life, second))
        book = self._books.at(market, second)
        bid, ask = book.yes_bid, book.yes_ask
        return _Prices(
            0 if bid is None else round(float(bid[0]) * 1000),
            1000 if ask is None else round(float(ask[0]) * 1000),
        )

    def _volume(self, market: SimRound | Listing, second: int) -> float:
        if isinstance(market, Listing):
            return market.life.volume(second)
        return float(self._books.volume(market, second))


def span(start: int, end: int, minutes: int) -> float:
    """Return how many candlestick periods a range of Unix seconds covers. minutes: length of each."""
    return (end - start) / (minutes * 60)


def _periods(start: int, end: int, minutes: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of the periods that end in start <= time <= end, all in Unix seconds."""
    if minutes < 1440:
        step = minutes * 60
        for high in range(-(-start // step) * step, end + 1, step):
            yield high - step, high
        return
    low = _midnight(start - 2 * 86_400)
    while (high := _midnight(low + 30 * 3600)) <= end:
        if high >= start:
            yield low, high
        low = high


def _midnight(second: int) -> int:
    """Return the beginning of the New York day that contains a Unix second."""
    at = utc(second * SECOND).astimezone(EASTERN)
    return int(at.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())


def _ohlc(prices: tuple[int, ...], name: str) -> dict[str, str]:
    found = {"open": prices[0], "low": min(prices), "high": max(prices), "close": prices[-1]}
    return {f"{key}{name}": _dollars(price) for key, price in found.items()}


def _dollars(thousandths: float) -> str:
    return f"{thousandths / 1000:.4f}"
