"""Order books of any market at any millisecond, computable in any order.

At each whole second a book is what `levels` states, less what trades have taken since. Between two seconds a
series of changes of single levels leads from one book to the next, each at its own millisecond. Within a
second the trade comes first (before `LAST_MS`), then the changes; a change to a finer tick size changes all
levels at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from marketarchive.simulator.noise import digest
from marketarchive.simulator.polymarket.ladder import MIN_ORDER_SIZE, Ladder
from marketarchive.simulator.polymarket.levels import Levels, SimTop, TargetBook
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.polymarket.tape import LAST_MS, Tape, TapeTrade
from marketarchive.simulator.polymarket.world import World

__all__ = ["MIN_ORDER_SIZE", "BookStep", "SimBooks", "SimTop"]

_SECONDS_KEPT = _LADDERS_KEPT = 1024
_LEAST_LEFT = 100  # hundredths of a share that a trade leaves at a level at least


@dataclass(frozen=True, slots=True)
class BookStep:
    """One event of a market's book, with the state that it leads to.

    Levels are prices of the first token in ticks.
    """

    ms: int
    kind: Literal["change", "trade", "retick"]
    hashes: tuple[str, str]
    before: SimTop
    top: SimTop
    last: str
    is_bid: bool = False
    level: int = 0
    size: int = 0  # new size in hundredths of a share; 0: the level is removed
    trade: TapeTrade | None = None
    # (bids, asks) of both tokens as text, if the whole book is sent
    sides: tuple[tuple[bytes, bytes], ...] = ()


class SimBooks:
    """Source of all books of a simulated world.

    The newest books are cached, so that going forward in time is fast.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.levels = Levels(world)
        self.tape = Tape(world, self.levels)
        self._bodies: dict[int, tuple[int, tuple[bytes, bytes]]] = {}
        self._seconds: dict[tuple[int, int], tuple[BookStep, ...]] = {}
        self._ends: dict[int, tuple[int, Ladder]] = {}

    # --- at a whole second -------------------------------------------------------------------------------

    def body(self, market: SimMarket, side: int, second: int) -> bytes:
        """Return the book of one token at a Unix second in the JSON of /book; the market must be open.

        side: 0 or 1, the token.
        """
        return self.body_at(market, side, second * 1000)

    def top(self, market: SimMarket, second: int) -> SimTop:
        return self.levels.top(market, self.levels.changed(market, second))

    def last_trade(self, market: SimMarket, second: int) -> str:
        """Return the last trade price with three decimals, equal for both tokens; "" before any trade.

        second: Unix seconds.
        """
        trade = self.tape.last(market, second - 1)
        return trade.last_price if trade else ""

    # --- at a millisecond --------------------------------------------------------------------------------

    def body_at(self, market: SimMarket, side: int, ms: int) -> bytes:
        """Return the book of one token in the JSON of /book, after all events up to `ms` (Unix ms).

        side: 0 or 1, the token.
        """
        second = ms // 1000
        done = self._done(market, ms)
        stamp = done[-1].ms if done else self._stamp(market, second)
        made = self._bodies.get(market.number)
        if made is None or made[0] != stamp:
            ladder = self._base(market, second)
            for step in done:
                self._apply(ladder, market, step)
            if len(self._bodies) > 5000:
                self._bodies.clear()
            bodies = ladder.body(0, stamp), ladder.body(1, stamp)
            made = self._bodies[market.number] = (stamp, bodies)
        return made[1][side]

    def top_at(self, market: SimMarket, ms: int) -> SimTop:
        done = self._done(market, ms)
        return done[-1].top if done else self.top(market, ms // 1000)

    def last_trade_at(self, market: SimMarket, ms: int) -> str:
        done = self._done(market, ms)
        return done[-1].last if done else self.last_trade(market, ms // 1000)

    def _done(self, market: SimMarket, ms: int) -> list[BookStep]:
        """Return the events in the second that contains `ms` (Unix ms), up to `ms`."""
        second, rest = divmod(ms, 1000)
        return [step for step in self.steps(market, second) if step.ms <= ms] if rest else []

    # --- events --------------------------------------------------------------------------------------------

    def steps(self, market: SimMarket, second: int) -> tuple[BookStep, ...]:
        """Return all events after a Unix second, up to and including the next one, in order."""
        trade = self.tape.at(market, second)
        is_changed = self.levels.changes_into(market, second + 1)
        if trade is None and not is_changed:
            return ()
        key = (market.number, second)
        if (found := self._seconds.get(key)) is None:
            found = self._seconds[key] = tuple(self._walk(market, second, trade, is_changed=is_changed))
            if len(self._seconds) > _SECONDS_KEPT:
                del self._seconds[next(iter(self._seconds))]
        return found

    def _walk(
        self, market: SimMarket, second: int, trade: TapeTrade | None, *, is_changed: bool
    ) -> Iterator[BookStep]:
        closes = None if market.closed_at is None else market.closed_at * 1000
        ladder = self._base(market, second, take=True)
        stamp = self._stamp(market, second)
        for step in self._series(market, second, ladder, trade, is_changed=is_changed):
            stamp = step.ms
            if closes is None or stamp < closes:
                yield step
        if len(self._ends) > _LADDERS_KEPT:
            self._ends.clear()
        self._ends[market.number] = (stamp, ladder)

    def _series(
        self, market: SimMarket, second: int, ladder: Ladder, trade: TapeTrade | None, *, is_changed: bool
    ) -> Iterator[BookStep]:
        if trade is not None:
            before = ladder.top
            _take(ladder, trade)
            yield _whole(ladder, trade.ms, "trade", before, trade)
        if not is_changed:
            return
        target = self.levels.target(market, second + 1)
        last_ms = self.levels.stamp(market, second + 1)
        if target.ticks != ladder.ticks:
            before = ladder.top
            ladder.reset(target)
            yield _whole(ladder, last_ms, "retick", before, None)
            return
        # if a book gets a new time but by chance the same levels, one unchanged level is sent again
        changes = ladder.differences(target) or [_same(target)]
        draws = digest(64, self.world.seed, "order", market.number, second)
        removals = sum(not size for _, _, size in changes)
        rest = sorted(enumerate(changes[removals:]), key=lambda each: (draws[each[0] % 64], each[0]))
        changes[removals:] = [change for _, change in rest]
        first_ms = second * 1000 + LAST_MS + 1
        share = (last_ms - first_ms) / len(changes)
        top = ladder.top
        for place, (is_bid, level, size) in enumerate(changes, 1):
            ms = first_ms + int((place - 1) * share + draws[-place % 64] / 256 * max(share - 1, 0))
            if place == len(changes):
                ms = last_ms
            ladder.put(level, size, is_bid=is_bid)
            before, top = top, ladder.top
            hashes = ladder.hash(0, ms), ladder.hash(1, ms)
            yield BookStep(ms, "change", hashes, before, top, ladder.last, is_bid, level, size)

    def _stamp(self, market: SimMarket, second: int) -> int:
        """Return the Unix ms of the last event at or before a Unix second."""
        stamp = self.levels.stamp(market, self.levels.changed(market, second))
        trade = self.tape.last(market, second - 1)
        return stamp if trade is None else max(stamp, trade.ms)

    def _base(self, market: SimMarket, second: int, *, take: bool = False) -> Ladder:
        """Return the book at a Unix second, to be changed by the caller.

        take: True = the caller turns it into the book of the next second; False = it is a copy.
        """
        kept = self._ends.get(market.number)
        if kept is not None and kept[0] == self._stamp(market, second):
            if take:
                del self._ends[market.number]
            return kept[1] if take else kept[1].copy()
        changed = self.levels.changed(market, second)
        before = self.tape.last(market, changed - 1)
        ladder = Ladder(market, self.levels.target(market, changed), before.last_price if before else "")
        for trade in self.tape.between(market, changed, second - 1):
            _take(ladder, trade)
        return ladder

    def _apply(self, ladder: Ladder, market: SimMarket, step: BookStep) -> None:
        if step.trade is not None:
            _take(ladder, step.trade)
        elif step.kind == "retick":
            ladder.reset(self.levels.target(market, step.ms // 1000 + (step.ms % 1000 > 0)))
        else:
            ladder.put(step.level, step.size, is_bid=step.is_bid)


def _same(target: TargetBook) -> tuple[bool, int, int]:
    side = target.bids or target.asks
    level = next(iter(side))
    return bool(target.bids), level, side[level]


def _take(ladder: Ladder, trade: TapeTrade) -> None:
    left = max(ladder.size(trade.level, is_bid=trade.takes_bid) - trade.hundredths, _LEAST_LEFT)
    ladder.put(trade.level, left, is_bid=trade.takes_bid)
    ladder.last = trade.last_price


def _whole(
    ladder: Ladder, ms: int, kind: Literal["trade", "retick"], before: SimTop, trade: TapeTrade | None
) -> BookStep:
    return BookStep(
        ms=ms,
        kind=kind,
        hashes=(ladder.hash(0, ms), ladder.hash(1, ms)),
        before=before,
        top=ladder.top,
        last=ladder.last,
        trade=trade,
        sides=(ladder.sides(0), ladder.sides(1)),
    )
