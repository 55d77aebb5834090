"""Pace of simulated time: never faster than the slowest participant can follow.

Time runs at the chosen speed as long as the event loops of the simulator and of the collecting processes are
on time. The later one of them is, the slower time runs; it stands still while one is too late to catch up. So
a busy machine makes a run longer, never wrong. Without participants, or while a process starts, time runs no
faster than the wall clock. Time is granted in leases of some milliseconds, and stands still by itself when
the simulator is late.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from marketarchive.time_page import SILENT_NS, Slot, SlotView, TimePage, is_alive
from marketarchive.times import MILLISECOND, SECOND, to_seconds

ALLOWED_NS = 150 * MILLISECOND
"""Simulated ns that may pass while an event loop is late, before time runs slower."""
HIGHEST = 50.0
"""Highest speed that is granted, simulated seconds per second; event loops cannot follow a higher one."""
PERIOD_NS, PERIOD_LEAST_NS, PERIOD_MOST_NS = ALLOWED_NS // 2, 5 * MILLISECOND // 2, 20 * MILLISECOND
"""Time between two grants: simulated ns, and its bounds in ns of the wall clock."""
PAGE_ALLOWED_NS = SECOND // 2
"""Simulated ns within which a page in a browser is to request what it shows in a second."""


@dataclass(eq=False)
class PageTurn:
    """The progress of a page in a browser: since when it has been fetching and showing the newest second."""

    reported_ns: int | None = None  # simulated time of that second, ns; None: the page is up to date
    late_since: int | None = None  # machine's monotonic time, ns; None: not late

    def ended(self) -> None:
        """Record that the page shows the newest second."""
        self.reported_ns = self.late_since = None


class Pace:
    """Grantor of simulated time to all participating processes."""

    def __init__(self, page: TimePage, own: Slot) -> None:
        """Prepare to grant simulated time.

        page: shared memory with a slot for each participating process; own: slot of the simulator itself.
        """
        self._page = page
        self._own = own.number
        self._period_ns = min(PERIOD_MOST_NS, max(PERIOD_LEAST_NS, int(PERIOD_NS / page.limit)))
        self.pages: set[PageTurn] = set()  # pages that are open
        self.held_ns = 0  # time of the machine (ns) for which simulated time stood still or ran slower
        self._renewed_at = time.monotonic_ns()

    async def keep(self) -> None:
        """Grant leases of simulated time until the task is cancelled."""
        while True:
            self.renew()
            await asyncio.sleep(to_seconds(self._period_ns))

    def renew(self) -> None:
        """Grant the next lease, at the speed that every participant can follow."""
        now = time.monotonic_ns()
        speed = self.speed(now)
        if speed < self._page.limit:
            self.held_ns += now - self._renewed_at
        self._renewed_at = now
        self._page.write(speed, max(2 * self._period_ns, int(2 * ALLOWED_NS / speed) if speed else 0))

    def speed(self, monotonic_ns: int) -> float:
        """Return the speed to go on with, in simulated seconds per second.

        monotonic_ns: machine's monotonic time. However late an event loop becomes, at most ALLOWED_NS * (1 +
        ln(limit)) of simulated time passes meanwhile.
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
        """Return by how many ns a process is late; 0 for one that is not waited for: long silent, or dead.

        now: machine's monotonic time, ns.
        """
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
            # a page that is late for longer hangs, and is not waited for
            is_late |= now - turn.late_since <= SILENT_NS
        return is_late
