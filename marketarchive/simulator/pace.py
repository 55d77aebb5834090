"""The pace of simulated time: never faster than the slowest participant keeps up with.

Time runs at the chosen speed while the event loops of the simulator and of the processes that collect from
it are caught up. The later one of them is, the slower it runs, and it stands still while one is later than
can be made good: a busy machine makes a run longer, never wrong. While nobody takes part, or a process
starts, it runs no faster than the wall. It is granted in leases of some milliseconds, and so stands by itself
when the simulator is late.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from marketarchive.time_page import SILENT_NS, Slot, SlotView, TimePage, is_alive
from marketarchive.times import MILLISECOND, SECOND, to_seconds

ALLOWED_NS = 150 * MILLISECOND
"""Simulated nanoseconds that may pass while an event loop is late, before time runs slower."""
HIGHEST = 50.0
"""Simulated seconds per second that are granted at most: any event loop is late by milliseconds."""
PERIOD_NS, PERIOD_LEAST_NS, PERIOD_MOST_NS = ALLOWED_NS // 2, 5 * MILLISECOND // 2, 20 * MILLISECOND
"""Simulated nanoseconds between two grants, and what that is on the wall at least and at most."""
PAGE_ALLOWED_NS = SECOND // 2
"""Simulated nanoseconds in which a page in a browser is to ask for what it shows in a second."""


@dataclass(eq=False)
class PageTurn:
    """Turn of a page in a browser: since when it is about to fetch and show what a second brought."""

    reported_ns: int | None = None  # simulated
    late_since: int | None = None  # machine's monotonic time

    def ended(self) -> None:
        """Note that the page shows it."""
        self.reported_ns = self.late_since = None


class Pace:
    """Grants simulated time, lease by lease."""

    def __init__(self, page: TimePage, own: Slot) -> None:
        """Grant time to slots; `own` is the slot of the simulator itself."""
        self._page = page
        self._own = own.number
        self._period_ns = min(PERIOD_MOST_NS, max(PERIOD_LEAST_NS, int(PERIOD_NS / page.limit)))
        self.pages: set[PageTurn] = set()  # those that are open
        self.held_ns = 0  # machine's; for which time stood still or was slowed down
        self._renewed_at = time.monotonic_ns()

    async def keep(self) -> None:
        """Grant leases of simulated time until cancelled."""
        while True:
            self.renew()
            await asyncio.sleep(to_seconds(self._period_ns))

    def renew(self) -> None:
        """Grant the next lease, at the speed that everyone keeps up with."""
        now = time.monotonic_ns()
        speed = self.speed(now)
        if speed < self._page.limit:
            self.held_ns += now - self._renewed_at
        self._renewed_at = now
        self._page.write(speed, max(2 * self._period_ns, int(2 * ALLOWED_NS / speed) if speed else 0))

    def speed(self, monotonic_ns: int) -> float:
        """Return the speed to go on with, in simulated seconds per second.

        Whatever an event loop's lateness grows to, ALLOWED_NS * (1 + ln(limit)) passes meanwhile at most.
        """
        slots = self._page.slots()
        is_alone = not self.pages and all(slot.number == self._own for slot in slots)
        is_held = is_alone or any(slot.holds for slot in slots)
        limit = min(1.0, self._page.limit) if is_held else self._page.limit
        late_ns = max((self._late_ns(slot, monotonic_ns) for slot in slots), default=0)
        if self._has_late_page(monotonic_ns):
            return 0.0
        if late_ns * limit <= ALLOWED_NS:
            return limit
        slower = ALLOWED_NS / late_ns
        return slower if slower >= 1 else 0.0

    def _late_ns(self, slot: SlotView, now: int) -> int:
        """Return by which a process is late; 0 of one not waited for: silent for long, or dead."""
        late = now - slot.late_since
        if late <= 0 or now - max(slot.late_since, slot.beat) > SILENT_NS:
            return 0
        if late * HIGHEST > ALLOWED_NS and not is_alive(slot.pid):
            self._page.free(slot.number, slot.pid)
            return 0
        return late

    def _has_late_page(self, now: int) -> bool:
        simulated, is_late = self._page.now_ns(), False
        for turn in self.pages:
            if turn.reported_ns is None or simulated - turn.reported_ns <= PAGE_ALLOWED_NS:
                continue
            turn.late_since = turn.late_since or now
            is_late |= now - turn.late_since <= SILENT_NS  # else it hangs
        return is_late
