"""Whether the simulator keeps up with its own clock.

A simulator that answers late makes a collector look as if it lost data. So its event loop is probed all
the time: probes late by more than ALLOWED_S simulated seconds, STRIKES times in a row, end the run.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

from marketarchive.exceptions import TooFastError

PROBE_S = 0.05  # wall
ALLOWED_S = 2.0  # simulated
STRIKES = 3


class Pace:
    """Measures lateness on the wall clock, judges it on the simulated one."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._recent: deque[float] = deque(maxlen=STRIKES)
        self.worst_s = 0.0  # wall; the least late of STRIKES probes in a row, at its worst

    async def watch(self) -> None:
        """Runs until cancelled; raises TooFastError when the loop falls behind."""
        while True:
            due = time.monotonic() + PROBE_S
            await asyncio.sleep(PROBE_S)
            self.judge(time.monotonic() - due)

    def judge(self, late_s: float) -> None:
        """Take note of one probe's lateness (wall seconds). Raises TooFastError."""
        self._recent.append(late_s)
        if len(self._recent) < STRIKES:
            return
        self.worst_s = max(self.worst_s, min(self._recent))
        if self.worst_s * self._speed > ALLOWED_S:
            raise TooFastError(
                f"the simulator fell {self.worst_s * self._speed:.1f} simulated seconds behind "
                f"at --speed {self._speed:g}; this machine sustained about {self.sustained:.0f}: "
                "choose a lower speed"
            )

    @property
    def sustained(self) -> float:
        """The highest speed that would have been allowed with the lateness seen so far."""
        return ALLOWED_S / max(self.worst_s, 1e-4)
