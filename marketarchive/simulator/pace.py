"""The pace of simulated time: never faster than everyone who takes part in it keeps up with.

Time runs at the speed asked for while the event loops of the simulator and of the processes that collect from
it are caught up, and stands still while one of them is late, so a busy machine makes a run longer, never
wrong. While nobody takes part, or a process starts, it runs no faster than the wall. It is granted in leases
of some milliseconds, and so stands by itself when the simulator is late.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from marketarchive.time_page import SILENT_NS, Slot, SlotView, TimePage, is_alive
from marketarchive.times import MILLISECOND, SECOND

ALLOWED_NS = SECOND // 4
"""Simulated nanoseconds by which an event loop may be late."""
ALLOWED_LEAST_NS, ALLOWED_MOST_NS = 4 * MILLISECOND, 100 * MILLISECOND
"""The same on the wall: what any machine is late by now and then, and what is noticed at low speeds."""
HIGHEST = ALLOWED_NS / ALLOWED_LEAST_NS
"""Simulated seconds per second that are granted at most: past it nobody could be kept from being late."""
PAGE_ALLOWED_NS = SECOND // 2
"""Simulated nanoseconds in which a page in a browser is to ask for what it shows in a second."""


@dataclass(eq=False)
class PageTurn:
    """Of a page in a browser: since when it is about to ask for and show what a second brought."""

    told_ns: int | None = None  # simulated
    late_since: int | None = None  # machine's monotonic time

    def ended(self) -> None:
        """The page has said that it shows it."""
        self.told_ns = self.late_since = None


class Pace:
    """Grants simulated time, lease by lease."""

    def __init__(self, page: TimePage, own: Slot) -> None:
        """`own` is the slot of the simulator itself."""
        self._page = page
        self._own = own.number
        limit = page.limit
        self.allowed_ns = int(min(ALLOWED_MOST_NS, max(ALLOWED_LEAST_NS, ALLOWED_NS / limit)))
        self.lease_ns = 2 * self.allowed_ns
        self.pages: set[PageTurn] = set()  # those that are open
        self.held_ns = 0  # machine's; for which time stood still or was slowed down
        self._renewed_at = time.monotonic_ns()

    async def keep(self) -> None:
        """Grant time until cancelled."""
        while True:
            self.renew()
            await asyncio.sleep(self.allowed_ns / 2 / SECOND)

    def renew(self) -> None:
        """Grant the next lease, at the speed that everyone keeps up with."""
        now = time.monotonic_ns()
        speed = self.speed(now)
        if speed < self._page.limit:
            self.held_ns += now - self._renewed_at
        self._renewed_at = now
        self._page.write(speed, self.lease_ns)

    def speed(self, monotonic_ns: int) -> float:
        """Return the speed to go on with, in simulated seconds per second."""
        slots = self._page.slots()
        if any(self._is_late(slot, monotonic_ns) for slot in slots) or self._has_late_page(monotonic_ns):
            return 0.0
        is_alone = not self.pages and all(slot.number == self._own for slot in slots)
        if is_alone or any(slot.holds for slot in slots):
            return min(1.0, self._page.limit)
        return self._page.limit

    def _is_late(self, slot: SlotView, now: int) -> bool:
        if now - slot.late_since <= self.allowed_ns or now - max(slot.late_since, slot.beat) > SILENT_NS:
            return False
        if not is_alive(slot.pid):
            self._page.free(slot.number, slot.pid)
            return False
        return True

    def _has_late_page(self, now: int) -> bool:
        simulated, is_late = self._page.now_ns(), False
        for turn in self.pages:
            if turn.told_ns is None or simulated - turn.told_ns <= PAGE_ALLOWED_NS:
                continue
            turn.late_since = turn.late_since or now
            is_late |= now - turn.late_since <= SILENT_NS  # else it hangs
        return is_late
