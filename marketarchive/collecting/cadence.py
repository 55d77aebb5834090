"""Asking at fixed wall-clock multiples, and the base of spiders that do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from marketarchive.clock import SECOND, sleep_until
from marketarchive.collecting.spider import Ask
from marketarchive.collecting.sweep import SweepSpider

MISSED_ROWS_MAX = 3600
"""Ticks missed at a stretch (a machine asleep) that still get a row each; the gap covers them all."""


class CadenceSpider(SweepSpider):
    """Use it when the same things are asked again and again: one pass and exit, or a tick each `interval`.

    Ticks are multiples of the interval since the epoch and do not drift; a slow answer does not delay the
    next tick. A subclass writes `prepare`, `due` and `missed`.
    """

    async def prepare(self) -> None:
        """Whatever must be known before the first tick, e.g. which markets there are."""

    def due(self, tick: int) -> Iterable[Ask]:
        """What to ask at `tick` (wall ns)."""
        raise NotImplementedError

    def missed(self, ticks: Iterable[int]) -> Iterable[Any]:
        """The rows of ticks at which nothing was asked."""
        raise NotImplementedError

    async def main(self) -> None:
        await self.prepare()
        if self.run.stop.is_set():
            return
        if self.arguments.interval is None:
            now = self.run.clock.now_ns()
            self._send_tick(now - now % SECOND, None)
            return
        await self._ticks(int(self.arguments.interval * SECOND))

    async def _ticks(self, step: int) -> None:
        run = self.run
        tick = -(-run.clock.now_ns() // step) * step
        run.counted_from = tick  # looking up what to ask does not shorten the run
        ends_at = run.ends_at
        while ends_at is None or tick < ends_at:
            if not await sleep_until(run.clock, tick, run.stop):
                return
            latest = max(tick, run.clock.now_ns() // step * step)
            if ends_at is not None:
                latest = min(latest, (ends_at - 1) // step * step)
            if latest > tick:
                self._missed(tick, latest, step)
            self._send_tick(latest, step)
            tick = latest + step

    def _send_tick(self, tick: int, step: int | None) -> None:
        self.run.stats.inc_value("ticks/due")
        for ask in self.due(tick):
            ask.from_ns = tick
            if step is not None:
                ask.to_ns = tick + step
                left = max(tick + step - self.run.clock.now_ns(), 0)
                ask.deadline = self.run.clock.mono_ns() + left
            self.submit(ask)

    def _missed(self, first: int, end: int, step: int) -> None:
        """Ticks that passed while this process did not run (load, sleep, a step of the clock)."""
        count = (end - first) // step
        self.run.stats.inc_value("ticks/due", count)
        self.run.stats.inc_value("ticks/missed", count)
        self.put(
            self.run.gap("missed_tick", "ours", first, end, {"feed": self.feed}, detail=f"{count} ticks")
        )
        self.put(*self.missed(range(first, end, step)[:MISSED_ROWS_MAX]))
