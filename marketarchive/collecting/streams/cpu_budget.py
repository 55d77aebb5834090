"""Limit of the processor time for checks that can also be made later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from marketarchive.clock import Clock
from marketarchive.times import from_seconds

WINDOW_S = 1.0


class CpuBudget:
    """Share of one processor, spent within windows of a second of `clock`.

    A simulator's time waits for who works, so what its second costs at any speed is held against that second.
    """

    def __init__(self, share: float, clock: Clock) -> None:
        self._clock = clock
        self._allowed_ns = from_seconds(share * WINDOW_S)
        self._spent_ns = 0
        self._window_ends = 0  # monotonic ns

    @property
    def is_left(self) -> bool:
        """Return whether checks may still be made in this window."""
        return self._spent() < self._allowed_ns

    @property
    def is_overdrawn(self) -> bool:
        """Return whether twice the share is spent: then even cheap checks have to wait."""
        return self._spent() > 2 * self._allowed_ns

    @contextmanager
    def spend(self) -> Iterator[None]:
        started = time.thread_time_ns()
        try:
            yield
        finally:
            self._spent_ns += time.thread_time_ns() - started

    def _spent(self) -> int:
        now = self._clock.mono_ns()
        if now >= self._window_ends:
            self._window_ends = now + from_seconds(WINDOW_S)
            self._spent_ns = 0
        return self._spent_ns
