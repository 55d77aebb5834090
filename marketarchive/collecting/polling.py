"""Polling at fixed multiples of the wall clock: the base class of spiders that do so."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from marketarchive.clock import LOOK_AGAIN_S, sleep
from marketarchive.collecting.spider import PendingRequest
from marketarchive.collecting.sweep import SweepSpider
from marketarchive.scope import Scope
from marketarchive.times import SECOND, from_seconds, to_seconds

MISSED_ROWS_MAX = 5_000
"""Most rows written at once for missed ticks (as after the machine's sleep); the gap covers all of them."""


class PollingSpider(SweepSpider):
    """Base class of polling spiders: one pass and exit, or a tick at each multiple of `interval`.

    Ticks are multiples of the interval since the epoch; a slow answer does not delay the next tick. A
    subclass implements `prepare`, `due` and `missed`.
    """

    async def prepare(self) -> None:
        """Look up what must be known before the first tick, such as which markets there are.

        By default nothing.
        """

    def due(self, tick: int) -> Iterable[PendingRequest]:
        """Return the requests to send at `tick` (wall ns)."""
        raise NotImplementedError

    def missed(self, ticks: Iterable[int]) -> Iterable[Any]:
        """Return the rows, not observed, of ticks (wall ns) at which no request was sent."""
        raise NotImplementedError

    async def main(self) -> None:
        self.run.counted_from = None  # looking up what to ask does not shorten the run
        await self.prepare()
        self.run.count_from_now()
        if self.run.stop.is_set():
            return
        if self.arguments.interval is None:
            now = self.run.clock.now_ns()
            self._send_tick(now - now % SECOND, None)
            return
        await self._ticks(from_seconds(self.arguments.interval))

    async def _ticks(self, step: int) -> None:
        run = self.run
        begun = run.counted_from if run.counted_from is not None else run.clock.now_ns()
        tick = -(-begun // step) * step  # also where it has passed meanwhile
        while (reached := await self._reach(tick, step)) is not None:
            tick = reached
            latest = max(tick, run.clock.now_ns() // step * step)
            if run.ends_at is not None:
                latest = min(latest, (run.ends_at - 1) // step * step)
            if latest > tick:
                self._missed(tick, latest, step)
            self._send_tick(latest, step)
            tick = latest + step

    async def _reach(self, tick: int, step: int) -> int | None:
        """Wait for `tick` (wall ns) and return it.

        An earlier tick is returned if the wall clock steps back, None when the run ends. step: ns between two
        ticks.
        """
        run = self.run
        while run.ends_at is None or tick < run.ends_at:
            left = tick - run.clock.now_ns()
            if left <= 0:
                return None if run.stop.is_set() else tick
            if left > step + SECOND:
                earlier = -(-run.clock.now_ns() // step) * step
                if run.counted_from is not None:
                    run.counted_from -= tick - earlier
                tick = earlier
            elif not await sleep(run.clock, min(to_seconds(left), LOOK_AGAIN_S), run.stop):
                return None
        return None

    def _send_tick(self, tick: int, step: int | None) -> None:
        self.run.stats.inc_value("ticks/due")
        for pending in self.due(tick):
            pending.from_ns = tick
            if step is not None:
                pending.to_ns = tick + step
                left = max(tick + step - self.run.clock.now_ns(), 0)
                pending.deadline = self.run.clock.mono_ns() + left
            self.submit(pending)

    def _missed(self, first: int, end: int, step: int) -> None:
        """Record a gap for ticks that passed while this process did not run (load, sleep, clock step).

        first, end: range of the ticks, wall ns, end excluded; step: ns between two ticks.
        """
        count = (end - first) // step
        self.run.stats.inc_value("ticks/due", count)
        self.run.stats.inc_value("ticks/missed", count)
        self.put(
            self.run.gap("missed_tick", "ours", first, end, Scope(self.venue, self.feed), f"{count} ticks")
        )
        self.put(*islice(self.missed(range(first, end, step)), MISSED_ROWS_MAX))
