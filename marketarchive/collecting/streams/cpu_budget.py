"""Limit of the processor time that checks of messages may take, since they can be made later too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from marketarchive.times import from_seconds

WINDOW_S = 1.0


class CpuBudget:
    """Share of one processor's time, counted in windows of one second of the project's clock.

    A simulator's clock waits for working processes, so the processor time of one of its seconds is counted
    against that second, at any speed.
    """

    def __init__(self, share: float) -> None:
        self._allowed_ns = from_seconds(share * WINDOW_S)
        self._spent_ns = 0
        self._window_ends = 0  # monotonic ns

    def is_left(self, mono: int) -> bool:
        """Return whether processor time is left in the window of `mono` (monotonic ns) to check messages."""
        return self._spent(mono) < self._allowed_ns

    def is_overdrawn(self, mono: int) -> bool:
        """Return whether twice the share is spent in the window of `mono` (monotonic ns).

        Then even cheap checks have to wait.
        """
        return self._spent(mono) > 2 * self._allowed_ns

    @contextmanager
    def spend(self) -> Iterator[None]:
        started = time.thread_time_ns()
        try:
            yield
        finally:
            self._spent_ns += time.thread_time_ns() - started

    def _spent(self, mono: int) -> int:
        if mono >= self._window_ends:
            self._window_ends = mono + from_seconds(WINDOW_S)
            self._spent_ns = 0
        return self._spent_ns
