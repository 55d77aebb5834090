"""The project's clock: the one source of time stamps and waits.

Wall time is Unix time in integer nanoseconds UTC, monotonic time is CLOCK_BOOTTIME in nanoseconds (where a
system has no such clock, CLOCK_MONOTONIC, which stands still while the machine is suspended). A simulator's
clock (`simulated_time.py`) has both of its own, which may stand still or run faster.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol

from marketarchive.exceptions import ConfigurationError
from marketarchive.times import MILLISECOND, from_seconds, to_seconds

LOOK_AGAIN_S = 0.5
"""Seconds (wall) between two readings of the wall clock while waiting for a wall time: it may be set."""
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_PAIR_NS = 10 * MILLISECOND  # wall and monotonic time read further apart than this are read again


@cache
def boot_id() -> str | None:
    """Return Linux's id of the machine's present boot; None where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


class Instant(NamedTuple):
    """Wall time (Unix, ns) and monotonic time (ns) of one moment."""

    wall: int
    mono: int


class Clock(Protocol):
    """A source of wall and monotonic time: the machine's, or a simulator's."""

    @property
    def simulated(self) -> bool:
        """Return whether the clock is a simulator's."""

    @property
    def speed(self) -> float:
        """Return the highest speed of this clock, in seconds per second of the machine's.

        1.0 for a real one.
        """

    @property
    def timeline(self) -> str:
        """Return a name of the monotonic time's origin: times of equal names can be compared.

        "" is unknown.
        """

    def now_ns(self) -> int:
        """Return wall time, ns since the Unix epoch."""

    def mono_ns(self) -> int:
        """Return monotonic time, ns; differences are durations on this clock."""

    def instant(self) -> Instant:
        """Return wall and monotonic time of the present moment."""

    def wait_s(self, ns: int) -> float:
        """Return how many real seconds may be slept while waiting for `ns` of this clock to pass."""

    def passed_ns(self, machine_ns: int) -> int:
        """Convert a recent span of the machine's time (ns) to about the ns that passed on this clock."""

    def hold(self) -> AbstractContextManager[None]:
        """Return a `with` context in which a simulator's time runs at most at real speed, for starting up."""


class RealClock:
    """The machine's clock."""

    simulated = False
    speed = 1.0

    @property
    def timeline(self) -> str:
        return boot_id() or ""

    def now_ns(self) -> int:
        return time.time_ns()

    def mono_ns(self) -> int:
        return time.clock_gettime_ns(_BOOT_CLOCK)

    def instant(self) -> Instant:
        """Return wall and monotonic time, read again if more than 10 ms passed between the two readings."""
        for _ in range(5):
            before = self.mono_ns()
            wall = time.time_ns()
            after = self.mono_ns()
            if after - before < _PAIR_NS:
                break
        return Instant(wall, (before + after) // 2)

    def wait_s(self, ns: int) -> float:
        return to_seconds(ns)

    def passed_ns(self, machine_ns: int) -> int:
        return machine_ns

    def hold(self) -> AbstractContextManager[None]:
        return nullcontext()


class SteppedClock:
    """Clock that wraps another and lets its wall time jump, as a fault for tests (setting `CLOCK_STEPS`)."""

    def __init__(self, inner: Clock, steps: Sequence[tuple[float, float]]) -> None:
        """Wrap the clock `inner`; steps: (seconds after now, size of the jump in seconds)."""
        self.inner = inner
        self.simulated = inner.simulated
        self.speed = inner.speed
        start = inner.mono_ns()
        self._steps = sorted((start + from_seconds(after), from_seconds(jump)) for after, jump in steps)

    @property
    def timeline(self) -> str:
        return self.inner.timeline

    def mono_ns(self) -> int:
        return self.inner.mono_ns()

    def now_ns(self) -> int:
        return self.instant().wall

    def instant(self) -> Instant:
        wall, mono = self.inner.instant()
        return Instant(wall + sum(jump for at, jump in self._steps if at <= mono), mono)

    def wait_s(self, ns: int) -> float:
        return self.inner.wait_s(ns)

    def passed_ns(self, machine_ns: int) -> int:
        return self.inner.passed_ns(machine_ns)

    def hold(self) -> AbstractContextManager[None]:
        return self.inner.hold()


class SpeedMeter:
    """Meter of a clock's speed against the machine's clock, measured from the meter's creation on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = clock.mono_ns(), time.monotonic_ns()

    def summary(self) -> dict[str, float]:
        """Return `speed_limit` and `mean_speed` (seconds per second) for a manifest; {} for a real clock."""
        if not self._clock.simulated:
            return {}
        ours, machine = self._start
        mean = (self._clock.mono_ns() - ours) / max(1, time.monotonic_ns() - machine)
        return {"speed_limit": self._clock.speed, "mean_speed": round(mean, 3)}


def parse_steps(text: str) -> list[tuple[float, float]]:
    """Parse `"60:+5,120:-3"` to [(60.0, 5.0), (120.0, -3.0)]: (at, step) in seconds.

    Raises ConfigurationError.
    """
    try:
        return [
            (float(after), float(jump))
            for after, jump in (part.split(":") for part in text.split(",") if part.strip())
        ]
    except ValueError as error:
        raise ConfigurationError(
            f"CLOCK_STEPS={text!r} is not a list like '60:+5,120:-3' (seconds after start:seconds of jump)"
        ) from error


async def wait_any(clock: Clock, events: Iterable[asyncio.Event], seconds: float | None = None) -> bool:
    """Wait until one of `events` is set, at most `seconds` of `clock` (None: no limit).

    Return whether one is. The wait is made in short pieces, since a simulator's time may change its speed at
    any moment.
    """
    events = list(events)
    due = None if seconds is None else clock.mono_ns() + from_seconds(seconds)
    if any(event.is_set() for event in events):
        return True
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        while not any(event.is_set() for event in events):
            left = None if due is None else due - clock.mono_ns()
            if left is not None and left <= 0:
                return False
            piece = None if left is None else clock.wait_s(left)
            await asyncio.wait(waits, timeout=piece, return_when=asyncio.FIRST_COMPLETED)
        return True
    finally:
        for wait in waits:
            wait.cancel()


async def sleep(clock: Clock, seconds: float, stop: asyncio.Event | None = None) -> bool:
    """Wait `seconds` of `clock`; return True when the time has passed, False when `stop` was set before."""
    if stop is not None:
        return not stop.is_set() and not await wait_any(clock, [stop], seconds)
    due = clock.mono_ns() + from_seconds(seconds)
    await asyncio.sleep(0)
    while (left := due - clock.mono_ns()) > 0:  # noqa: ASYNC110  (time itself is what is waited for)
        await asyncio.sleep(clock.wait_s(left))
    return True


async def sleep_until(clock: Clock, wall_ns: int, stop: asyncio.Event | None = None) -> bool:
    """Wait until the wall time of `clock` is `wall_ns`; return True then, False when `stop` was set before.

    The clock is read every half second, so that a step of the wall clock does not prolong the wait.
    """
    while (left := wall_ns - clock.now_ns()) > 0:
        if not await sleep(clock, min(to_seconds(left), LOOK_AGAIN_S * clock.speed), stop):
            return False
    return stop is None or not stop.is_set()
