"""A simulator's time as a process sees it: the clock that reads its page, the event loop it waits for."""

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
"""Seconds (wall) after which a waiter looks at the clock anew."""
LEAST_PIECE_S = 0.002


class SimulatedClock:
    """A simulator's time. Its monotonic time is scaled the same way; neither ever goes back."""

    simulated = True

    def __init__(self, page: TimePage) -> None:
        self.page = page
        self._start = page.start  # it stays what it is
        self._slot: Slot | None = None
        self._newest = 0
        self._lock = threading.Lock()

    @classmethod
    def fixed(cls, simulated_ns: int, speed: float = 1.0) -> Self:
        """Make a clock of this process alone that waits for nobody."""
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
        """Return the wall seconds to sleep, at the highest speed.

        A sleeper must not miss its moment when time runs faster again.
        """
        return min(PIECE_S, max(LEAST_PIECE_S, to_seconds(ns) / self.speed))

    def passed_ns(self, machine_ns: int) -> int:
        """Convert by the mean speed: the speed at that time is not kept."""
        return int(machine_ns * self.page.mean_speed())

    @contextmanager
    def hold(self) -> Iterator[None]:
        if self._slot is None:
            yield
            return
        with self._slot.hold():
            yield

    def join(self) -> Slot:
        """Have time wait for this process's event loop (an `IdleSelector`'s), from its start on."""
        if self._slot is None:
            self._slot = self.page.join()
            _watched.append(self._slot)
        return self._slot

    def leave(self) -> None:
        """Have time wait for this process no more."""
        if self._slot is not None:
            _watched.remove(self._slot)
            self._slot.leave()
            self._slot = None


_watched: list[Slot] = []  # of this process


class IdleSelector(selectors.DefaultSelector):
    """Selector that reports to this process's slots whether its event loop waits or works.

    A loop is caught up when nothing is ready at the moment in which it begins to wait. Frames that lie unread
    in a socket keep it from being so, which its timers alone would not show.
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
    """The event loop of a process that takes part in a simulator's time (`ASYNCIO_EVENT_LOOP`)."""

    def __init__(self) -> None:
        super().__init__(IdleSelector())
