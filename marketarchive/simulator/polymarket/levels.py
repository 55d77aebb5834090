"""Books at whole seconds: best prices, levels and their sizes.

The book of a live round changes about once a second, other books less often. Few levels differ from one
change to the next: the best ones, those that the price has crossed, and each other one about every 32
changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import shake_128

from marketarchive.simulator.noise import bits
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.polymarket.world import World

LIVE_BEFORE_S = 60  # seconds before its window from which a round's book is lively
NEAR_BEFORE_S = 3600
_FAR_S, _NEAR_S, _OTHER_S = 60, 10, 20  # seconds between two changes of a quiet book
_KEPT = 32  # changes of a book between two of a level that is not the best
# levels of a fine grid: each tick near the best price, only round prices further away
_EACH, _COARSE, _COARSE_TO, _SPARSE = 4, 3, 60, 25
_STAMP_MS = 300  # the last change before a whole second is at most so many ms before it


@dataclass(frozen=True, slots=True)
class SimTop:
    """The best prices of the first token, in ticks; None: the side is empty."""

    ticks: int  # ticks per dollar
    bid: int | None
    ask: int | None

    @property
    def mid(self) -> float:
        low = self.bid if self.bid is not None else 0
        high = self.ask if self.ask is not None else self.ticks
        return (low + high) / 2 / self.ticks


@dataclass(frozen=True, slots=True)
class TargetBook:
    """A book of the first token: price in ticks -> size in hundredths of a share."""

    ticks: int
    bids: dict[int, int]
    asks: dict[int, int]


class Levels:
    """Source of the books at whole seconds, a pure function of (market, second)."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tops: dict[tuple[int, int], SimTop] = {}
        self._drawn = lru_cache(maxsize=1 << 13)(self._draw)

    def changed(self, market: SimMarket, second: int) -> int:
        """Return the Unix second of the last change at or before `second`; the listing counts as one."""
        start = market.start if market.kind == "round" else None
        if start is None:
            period, since = _OTHER_S, market.listed_at
        elif second >= start - LIVE_BEFORE_S:
            period, since = 1, start - LIVE_BEFORE_S
        elif second >= start - NEAR_BEFORE_S:
            period, since = _NEAR_S, start - NEAR_BEFORE_S
        else:
            period, since = _FAR_S, market.listed_at
        if period > 1:
            return max(since, second - (second - market.number) % period)
        while second > since and bits(self._world.seed, "still", market.number, second) % 8 == 0:
            second -= 1
        return second

    def changes_into(self, market: SimMarket, second: int) -> bool:
        """Return whether the book changes in the second that ends at the Unix second `second`."""
        return second > market.listed_at and self.changed(market, second) == second

    def stamp(self, market: SimMarket, changed: int) -> int:
        """Return the Unix ms at which the book last changed.

        changed: the Unix second that follows the change, as the method `changed` returns it.
        """
        return changed * 1000 - bits(self._world.seed, "stamp", market.number, changed) % _STAMP_MS

    def top(self, market: SimMarket, changed: int) -> SimTop:
        key = (market.number, changed)
        if (top := self._tops.get(key)) is None:
            if len(self._tops) > 1 << 15:
                self._tops.clear()
            top = self._tops[key] = self._top(market, changed)
        return top

    def _top(self, market: SimMarket, changed: int) -> SimTop:
        world = self._world
        ticks = world.ticks(market, changed)
        spread = 1 + (bits(world.seed, "wide", market.number, changed) % 10 == 0)
        bid = int(world.chance(market, changed) * ticks - spread / 2)
        ask = bid + spread
        return SimTop(ticks, bid if bid > 0 else None, ask if ask < ticks else None)

    def target(self, market: SimMarket, changed: int) -> TargetBook:
        """Return the whole book at a Unix second at which it changed."""
        top = self.top(market, changed)
        ticks = top.ticks
        bids = [] if top.bid is None else _grid(range(top.bid, 0, -1), ticks)
        asks = [] if top.ask is None else _grid(range(top.ask, ticks), ticks)
        block, rest = divmod(_step(market, changed), _KEPT)
        draw = bits(self._world.seed, "touch", market.number, changed)
        # hundredths at the best prices differ from those of the change before, so that every change is
        # visible
        touch = [(110 + (draw >> shift) % 3000) * 100 + changed % 97 for shift in (0, 32)]
        sides = []
        for side, levels in enumerate((bids, asks)):
            old, new = (self._drawn(market.number, side, each, ticks) for each in (block, block + 1))
            sizes = {}
            for level in levels:
                table = new if rest + (level * 11 + market.number) % _KEPT >= _KEPT else old
                sizes[level] = 500 + table[2 * level] * 256 + table[2 * level + 1]
            for end in (1, ticks - 1):  # cheap bids at the lowest and asks at the highest price
                if end in sizes:
                    sizes[end] += 200_000
            if levels:
                sizes[levels[0]] = touch[side]
            sides.append(sizes)
        return TargetBook(ticks, sides[0], sides[1])

    def _draw(self, number: int, side: int, block: int, ticks: int) -> bytes:
        """Return two random bytes for each price, from which sizes are made.

        number: of the market; side: 0 = bids, 1 = asks; block: number of the period; ticks: number of prices.
        """
        return shake_128(f"{self._world.seed}|sizes|{number}|{side}|{block}".encode()).digest(2 * ticks)


def _step(market: SimMarket, changed: int) -> int:
    """Return a number that rises by about one with each change of the book."""
    if market.kind != "round" or market.start is None:
        return changed // _OTHER_S
    live = market.start - LIVE_BEFORE_S
    near = market.start - NEAR_BEFORE_S
    if changed >= live:
        return changed - live
    if changed >= near:
        return (changed - live) // _NEAR_S
    return (near - live) // _NEAR_S + (changed - near) // _FAR_S


def _grid(levels: range, ticks: int) -> list[int]:
    """Return the prices (ticks) at which the book has orders, best first."""
    if ticks == 100:
        return list(levels)
    near, rest = levels[:_EACH], levels[_EACH:]
    coarse = [level for level in rest[: _COARSE_TO - _EACH] if level % _COARSE == 0]
    return [*near, *coarse, *(level for level in rest[_COARSE_TO - _EACH :] if level % _SPARSE == 0)]
