"""Content of the simulated socket about rounds and indices, pure functions of the second.

The changes that lead to the book of a whole second happen within the second before it. So at a whole second
the stream shows the same book as REST.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from marketarchive.simulator.kalshi.books import Books, Side, SimBook, SimTrade
from marketarchive.simulator.kalshi.rounds import MEAN_S, ROUND_S, SimRound
from marketarchive.simulator.prices import E18, Prices
from marketarchive.times import MICROSECOND, MILLISECOND, SECOND

_FIRST, _LAST = 50 * MILLISECOND, 930 * MILLISECOND
"""Changes of books happen between these times (ns) within a second."""
TICKER_AT = 960 * MILLISECOND
INDEX_LAG = 150 * MILLISECOND


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A change of the size of one level."""

    ns: int
    side: str  # yes or no
    price: str  # price of that outcome
    change: str


@dataclass(frozen=True, slots=True)
class SimTicker:
    """The fields of a market's ticker at a moment."""

    ns: int
    book: SimBook
    last: SimTrade | None
    volume: str


@dataclass(frozen=True, slots=True)
class IndexPrice:
    """The value of an index at a whole second, and its means as (value, number of prices, from s, to s)."""

    second: int
    value: Decimal
    trailing: tuple[Decimal, int, int, int]
    settling: tuple[Decimal, int, int, int] | None


class StreamWorld:
    """Source of the content of the socket: books, tickers, trades and indices of a seed's rounds."""

    def __init__(self, books: Books, prices: Prices) -> None:
        self._books = books
        self._prices = prices
        self.changes = lru_cache(maxsize=1 << 12)(self._changes)

    def _changes(self, market: SimRound, second: int) -> tuple[LevelChange, ...]:
        """Return the changes of a round's book after a Unix second and before the next, in order of time."""
        before, after = self._books.at(market, second), self._books.at(market, second + 1)
        found = [
            (side, price, change)
            for side, old, new in (("yes", before.yes, after.yes), ("no", before.no, after.no))
            for price, change in _differences(old, new)
        ]
        step = (_LAST - _FIRST) // max(len(found), 1)
        first = second * SECOND + _FIRST
        return tuple(
            LevelChange((first + place * step) // MICROSECOND * MICROSECOND, *each)
            for place, each in enumerate(found)
        )

    def book(self, market: SimRound, ns: int) -> SimBook:
        """Return the book of a round at `ns` (simulated wall clock)."""
        second = ns // SECOND
        held = self._books.at(market, second)
        sides = {"yes": dict(held.yes), "no": dict(held.no)}
        for each in self.changes(market, second):
            if each.ns <= ns:
                side = sides[each.side]
                size = Decimal(side.pop(each.price, "0.00")) + Decimal(each.change)
                if size:
                    side[each.price] = str(size)
        yes, no = (
            tuple(sorted(side.items(), key=lambda level: Decimal(level[0]))) for side in sides.values()
        )
        return SimBook(yes, no)

    def trades(self, market: SimRound, second: int) -> list[SimTrade]:
        """Return the trades of a round after a Unix second and up to the next, in order of time."""
        low, high = second * 1_000_000, (second + 1) * 1_000_000
        return [each for each in self._books.trades(market) if low < each.at_us <= high]

    def ticker(self, market: SimRound, second: int) -> SimTicker | None:
        """Return the ticker that a round sends late in a Unix second.

        None when none of its fields has changed.
        """
        ns = second * SECOND + TICKER_AT
        before, now = self.state(market, ns - SECOND), self.state(market, ns)
        return None if _said(before) == _said(now) else now

    def state(self, market: SimRound, ns: int) -> SimTicker:
        """Return the fields of a round's ticker at `ns` (simulated wall clock)."""
        trades = self._books.trades_until(market, ns // 1000)
        volume = sum((Decimal(trade.size) for trade in trades), Decimal())
        return SimTicker(ns, self.book(market, ns), trades[-1] if trades else None, f"{volume:.2f}")

    def index(self, asset: str, second: int) -> IndexPrice:
        """Return the index of an asset at a Unix second."""
        close = -(-second // ROUND_S) * ROUND_S
        first = close - MEAN_S
        settling = None
        if second > first:
            settling = self._mean(asset, first + 1, second), second - first, first, second
        trailing = self._mean(asset, second - MEAN_S, second - 1), MEAN_S, second - MEAN_S, second
        return IndexPrice(second, self._value(asset, second), trailing, settling)

    def _value(self, asset: str, second: int) -> Decimal:
        return Decimal(self._prices.spot(asset, second)) / E18

    def _mean(self, asset: str, first: int, last: int) -> Decimal:
        total = sum(self._prices.spot(asset, each) for each in range(first, last + 1))
        return Decimal(total) / E18 / (last - first + 1)


def _differences(old: Side, new: Side) -> Iterator[tuple[str, str]]:
    """Yield (price, change of its size) for each level that differs, removed levels first."""
    before, after = dict(old), dict(new)
    for price in sorted({*before, *after}, key=lambda each: (each in after, each)):
        change = Decimal(after.get(price, "0.00")) - Decimal(before.get(price, "0.00"))
        if change:
            yield price, str(change)


def _said(ticker: SimTicker) -> tuple[object, ...]:
    return ticker.book.yes_bid, ticker.book.yes_ask, ticker.last, ticker.volume
