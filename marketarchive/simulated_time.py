"""A simulator's time in another process: the clock that reads it, and the event loop that it waits for.

Simulated time runs faster than real time only while the event loops of all processes that take part are idle.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from marketarchive.clock import Instant
from marketarchive.time_page import FOREVER_NS, Slot, TimePage
from marketarchive.times import MILLISECOND, from_seconds, to_seconds

PIECE_S = 0.05
"""Longest sleep (wall seconds) of a waiter before it reads the simulated clock again."""
LEAST_PIECE_S = 0.002


class SimulatedClock:
    """Clock that shows a simulator's time; its wall and monotonic time run equally fast and never go back."""

    simulated = True

    def __init__(self, page: TimePage) -> None:
        self.page = page
        self._start = page.start  # it stays what it is
        self._slot: Slot | None = None
        self._newest = 0
        self._lock = threading.Lock()

    @classmethod
    def fixed(cls, simulated_ns: int, speed: float = 1.0) -> Self:
        """Return a clock of this process alone, which waits for no other process.

        simulated_ns: its wall time now; speed: simulated seconds per second.
        """
        return cls(TimePage.create(simulated_ns, speed, is_shared=False))

    @property
    def speed(self) -> float:
        return self.page.limit

    @property
    def timeline(self) -> str:
        return "simulated since {} {}".format(*self._start)

    def now_ns(self) -> int:
        return self.instant().wall

    def mono_ns(self) -> int:
        return self.instant().mono

    def instant(self) -> Instant:
        with self._lock:
            self._newest = now = max(self._newest, self.page.now_ns())
        simulated, monotonic = self._start
        return Instant(now, monotonic + now - simulated)

    def wait_s(self, ns: int) -> float:
        """Return how many real seconds may be slept while waiting for `ns` of simulated time.

        It assumes the highest speed, so that a sleeper is not late when simulated time speeds up.
        """
        return min(PIECE_S, max(LEAST_PIECE_S, to_seconds(ns) / self.speed))

    def passed_ns(self, machine_ns: int) -> int:
        """Convert a recent span of the machine's time (ns) to simulated ns, by the mean speed so far."""
        return int(machine_ns * self.page.mean_speed())

    @contextmanager
    def hold(self) -> Iterator[None]:
        if self._slot is None:
            yield
            return
        with self._slot.hold():
            yield

    def join(self) -> Slot:
        """Take part in simulated time: from now on it waits for this process's event loop.

        The loop must use an `IdleSelector`. Returns this process's slot in the simulator's time page.
        """
        if self._slot is None:
            self._slot = self.page.join()
            _watched.append(self._slot)
        return self._slot

    def leave(self) -> None:
        """Take no part in simulated time any more: it no longer waits for this process."""
        if self._slot is not None:
            _watched.remove(self._slot)
            self._slot.leave()
            self._slot = None


_watched: list[Slot] = []  # slots of this process in simulators' time pages


class IdleSelector(selectors.DefaultSelector):
    """Selector that reports to the simulator whether this process's event loop is idle or at work.

    The loop is idle when no socket is readable at the moment in which it begins to wait. Unread frames in a
    socket count as work, which the loop's timers alone would not show.
    """

    def select(self, timeout: float | None = None) -> Any:
        for slot in _watched:
            slot.beat()
        if not _watched or (timeout is not None and timeout <= 0):
            return super().select(timeout)
        if ready := super().select(0):
            return ready
        due = FOREVER_NS if timeout is None else time.monotonic_ns() + from_seconds(timeout) + MILLISECOND
        for slot in _watched:
            slot.late_since(due)
        ready = super().select(timeout)
        woken = min(due, time.monotonic_ns())
        for slot in _watched:
            slot.late_since(woken)
        return ready


class FollowedEventLoop(asyncio.SelectorEventLoop):
    """Event loop of a process that takes part in a simulator's time (setting `ASYNCIO_EVENT_LOOP`)."""

    def __init__(self) -> None:
        super().__init__(IdleSelector())
