"""Spot markets of a simulated exchange, whose books and trades are a function of seed and time.

A book is a grid of levels around the mid price. Within a second it moves from the state at its beginning to
that at its end; levels are removed before others are added, so that it never crosses.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from marketarchive.simulator.noise import bits, wave
from marketarchive.simulator.prices import E18, prices_of
from marketarchive.times import SECOND

Levels = tuple[tuple[str, str], ...]
"""Levels of one side as (price, size) texts, best price first."""

_GRID = {"BTC": Decimal("1.00"), "ETH": Decimal("0.05"), "SOL": Decimal("0.010"), "XRP": Decimal("0.00010")}
_SIZE = {"BTC": 0.2, "ETH": 4.0, "SOL": 60.0, "XRP": 4_000.0}  # typical size of a level
_PERIOD_S = 40
"""Seconds after which the size of a level changes; each level at a time of its own."""
_AT_ONCE = 3
"""Levels that one message changes."""
_TRADES = (0, 2, 3, 5, 6, 9)
"""Seconds of every ten that have a trade; always the same, so that trades can be numbered from the epoch."""


@dataclass(frozen=True, slots=True)
class SpotTrade:
    """One trade; `number` is consecutive among the trades of its market."""

    number: int
    side: str  # side of the taker, BUY or SELL
    price: str
    size: str


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a market, a change of levels or a trade, with the book after it."""

    ns: int
    number: int  # consecutive number among the steps of its market
    bids: Levels
    asks: Levels
    changes: Sequence[tuple[str, str, str]] = ()  # (bid or ask, price, size); size "0" removes the level
    trade: SpotTrade | None = None


class SpotWorld:
    """The spot markets of one simulated exchange."""

    def __init__(self, seed: int, venue: str, assets: Mapping[str, str], depth: int) -> None:
        """Create the markets.

        venue: name of the exchange; assets: symbol -> asset; depth: levels per side of each book.
        """
        self.assets = dict(assets)
        self._seed = seed
        self._venue = venue
        self._depth = depth
        self._prices = prices_of(seed)
        self.steps = lru_cache(maxsize=1 << 10)(self._steps)
        self._levels = lru_cache(maxsize=1 << 10)(self._levels_at)
        self._size = lru_cache(maxsize=1 << 14)(self._size_of)
        self._level = lru_cache(maxsize=1 << 14)(self._level_of)

    def book(self, symbol: str, ns: int) -> tuple[Levels, Levels]:
        """Return (bids, asks) of a market at `ns` (simulated wall clock)."""
        second = ns // SECOND
        steps = self.steps(symbol, second)
        place = bisect_right(steps, ns, key=_moment)
        if place:
            return steps[place - 1].bids, steps[place - 1].asks
        bids, asks = self._levels(symbol, second)
        return tuple(bids.items()), tuple(asks.items())

    def changed(self, symbol: str, ns: int) -> Step:
        """Return the newest step at or before `ns` that changed the book of a market."""
        second = ns // SECOND
        while True:
            for step in reversed(self.steps(symbol, second)):
                if step.ns <= ns and step.trade is None:
                    return step
            second -= 1

    def newest(self, symbol: str, ns: int) -> int:
        """Return the number of a market's newest step (change of its book, or trade) at or before `ns`."""
        second = ns // SECOND
        while not (found := [step.number for step in self.steps(symbol, second) if step.ns <= ns]):
            second -= 1
        return found[-1]

    def trades_before(self, symbol: str, ns: int, count: int) -> list[tuple[int, SpotTrade]]:
        """Return (ns, trade) of the `count` newest trades at or before `ns`, oldest first."""
        found: list[tuple[int, SpotTrade]] = []
        second = ns // SECOND
        while len(found) < count:
            steps = [step for step in self.steps(symbol, second) if step.trade is not None and step.ns <= ns]
            found[:0] = [(step.ns, step.trade) for step in steps if step.trade is not None]
            second -= 1
        return found[-count:]

    def _steps(self, symbol: str, second: int) -> tuple[Step, ...]:
        """Return all steps of a market in a Unix second, in order; their times are whole microseconds."""
        before, after = self._levels(symbol, second), self._levels(symbol, second + 1)
        gone, new = [], []
        for side, old, now in zip(("bid", "ask"), before, after, strict=True):
            gone += [(side, price, "0") for price in old if price not in now]
            new += [(side, price, size) for price, size in now.items() if old.get(price) != size]
        changes = gone + new
        parts = [changes[place : place + _AT_ONCE] for place in range(0, len(changes), _AT_ONCE)]
        trade = self._trade(symbol, second, before)
        events: list[tuple[int, Sequence[tuple[str, str, str]], SpotTrade | None]] = [
            (second * SECOND + (place + 1) * 990_000 // (len(parts) + 1) * 1000, part, None)
            for place, part in enumerate(parts)
        ]
        if trade is not None:
            at = second * SECOND + (1 + bits(self._seed, self._venue, symbol, second, "at") % 989_999) * 1000
            events.append((at, (), trade))
        events.sort(key=lambda event: (event[0], event[2] is not None))
        grid = float(_GRID[self.assets[symbol]])
        bids, asks = _Side(before[0], grid, is_bid=True), _Side(before[1], grid, is_bid=False)
        steps = []
        for number, (ns, part, traded) in enumerate(events, second * 1000 + 1):
            for side, price, size in part:
                (bids if side == "bid" else asks).change(price, size)
            steps.append(Step(ns, number, bids.levels(), asks.levels(), part, traded))
        return tuple(steps)

    def _levels_at(self, symbol: str, second: int) -> tuple[dict[str, str], dict[str, str]]:
        """Return (bids, asks) at the beginning of a Unix second, each price -> size, best price first."""
        asset = self.assets[symbol]
        grid = _GRID[asset]
        basis = math.exp(5e-5 * wave(self._seed, f"{self._venue}{asset}", 6, second))
        mid = int(self._prices.spot(asset, second) * basis / E18 / float(grid))
        found = []
        for best, step in ((mid, -1), (mid + 1, 1)):
            levels = {}
            for place in range(best, best + step * self._depth, step):
                price, phase = self._level(symbol, place)
                levels[price] = self._size(symbol, place, (second + phase) // _PERIOD_S)
            found.append(levels)
        return found[0], found[1]

    def _level_of(self, symbol: str, place: int) -> tuple[str, int]:
        """Return the price of a level, and the second of its period at which its size changes.

        place: number of the level on the grid.
        """
        phase = bits(self._seed, self._venue, symbol, place) % _PERIOD_S
        return f"{place * _GRID[self.assets[symbol]]}", phase

    def _size_of(self, symbol: str, place: int, period: int) -> str:
        drawn = bits(self._seed, self._venue, symbol, place, period) % 10_000
        return f"{_SIZE[self.assets[symbol]] * (1 + drawn) / 5_000:.8f}"

    def _trade(
        self, symbol: str, second: int, levels: tuple[Mapping[str, str], Mapping[str, str]]
    ) -> SpotTrade | None:
        if second % 10 not in _TRADES:
            return None
        number = second // 10 * len(_TRADES) + _TRADES.index(second % 10)
        drawn = bits(self._seed, self._venue, symbol, second, "trade")
        is_buy = bool(drawn % 2)
        price = next(iter(levels[1 if is_buy else 0]))
        size = f"{_SIZE[self.assets[symbol]] * (1 + drawn % 997) / 5_000:.8f}"
        return SpotTrade(number, "BUY" if is_buy else "SELL", price, size)


class _Side:
    """One side of a book while it changes, kept sorted by best price so that no step has to sort it."""

    def __init__(self, levels: Mapping[str, str], grid: float, *, is_bid: bool) -> None:
        """Create a side of a book.

        levels: price -> size, best price first, without missing steps of the grid; grid: price step.
        """
        self._step = -grid if is_bid else grid
        best = self._place(next(iter(levels)))
        self._places = list(range(best, best + len(levels)))
        self._levels = list(levels.items())
        self._reported: Levels | None = None

    def change(self, price: str, size: str) -> None:
        """Set the size of a level; "0" removes it."""
        wanted = self._place(price)
        place = bisect_left(self._places, wanted)
        is_there = place < len(self._places) and self._places[place] == wanted
        if size == "0":
            del self._places[place], self._levels[place]
        elif is_there:
            self._levels[place] = price, size
        else:
            self._places.insert(place, wanted)
            self._levels.insert(place, (price, size))
        self._reported = None

    def _place(self, price: str) -> int:
        """Return the number of a price on the grid; better prices have lower numbers."""
        return round(float(price) / self._step)

    def levels(self) -> Levels:
        """Return the present levels; the same object until one changes."""
        self._reported = tuple(self._levels) if self._reported is None else self._reported
        return self._reported


def _moment(step: Step) -> int:
    return step.ns
