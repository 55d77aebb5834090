"""Whether the simulator keeps up with its own clock.

A simulator that answers late makes a collector look as if it lost data. So its event loop is probed all
the time: probes late by more than ALLOWED_S simulated seconds, STRIKES times in a row, end the run.
"""

from __future__ import annotations

import asyncio
import time

from marketarchive.exceptions import TooFastError

PROBE_S = 0.05  # wall
ALLOWED_S = 2.0  # simulated
STRIKES = 3


class Pace:
    """Measures lateness on the wall clock, judges it on the simulated one."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._late_in_a_row = 0
        self.worst_s = 0.0  # wall

    async def watch(self) -> None:
        """Runs until cancelled; raises TooFastError when the loop falls behind."""
        while True:
            due = time.monotonic() + PROBE_S
            await asyncio.sleep(PROBE_S)
            self.judge(time.monotonic() - due)

    def judge(self, late_s: float) -> None:
        """Take note of one probe's lateness (wall seconds). Raises TooFastError."""
        self.worst_s = max(self.worst_s, late_s)
        self._late_in_a_row = self._late_in_a_row + 1 if late_s * self._speed > ALLOWED_S else 0
        if self._late_in_a_row >= STRIKES:
            raise TooFastError(
                f"the simulator fell {late_s * self._speed:.1f} simulated seconds behind "
                f"at --speed {self._speed:g}; this machine sustained about {self.sustained:.0f}: "
                "choose a lower speed"
            )

    @property
    def sustained(self) -> float:
        """The highest speed at which the worst lateness so far would still have been allowed."""
        return ALLOWED_S / max(self.worst_s, 1e-4)
