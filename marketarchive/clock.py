"""The project's clock: one object asked for every time stamp and every wait, so that it can be scaled.

Wall time is Unix time in integer nanoseconds UTC, monotonic time is CLOCK_MONOTONIC in nanoseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from marketarchive.exceptions import ConfigurationError

SECOND = 1_000_000_000


class Clock(Protocol):
    """What the rest of the project knows of time."""

    @property
    def simulated(self) -> bool:
        """Whether time is a simulator's."""

    @property
    def speed(self) -> float:
        """Seconds of this clock per second of the wall."""

    def now_ns(self) -> int:
        """Wall time, ns since the Unix epoch."""

    def mono_ns(self) -> int:
        """Monotonic time, ns; differences are durations on this clock."""


class RealClock:
    """The machine's clock."""

    simulated = False
    speed = 1.0

    def now_ns(self) -> int:
        return time.time_ns()

    def mono_ns(self) -> int:
        return time.monotonic_ns()


@dataclass(frozen=True)
class SimulatedClock:
    """Runs `speed` times as fast as CLOCK_MONOTONIC from a fixed pair of anchors (`GET /_clock`).

    Two processes with the same anchors agree to the nanosecond without talking to each other.
    """

    monotonic_ns: int
    simulated_ns: int
    speed: float
    simulated: bool = True

    def now_ns(self) -> int:
        return self.simulated_ns + self._elapsed()

    def mono_ns(self) -> int:
        return self.monotonic_ns + self._elapsed()

    def _elapsed(self) -> int:
        return int((time.monotonic_ns() - self.monotonic_ns) * self.speed)


class SteppedClock:
    """Another clock whose wall time jumps at given moments: faults for tests (`CLOCK_STEPS`)."""

    def __init__(self, inner: Clock, steps: Sequence[tuple[float, float]]) -> None:
        """`steps` are (seconds after now, seconds of the jump)."""
        self.inner = inner
        self.simulated = inner.simulated
        self.speed = inner.speed
        start = inner.mono_ns()
        self._steps = sorted((start + int(after * SECOND), int(jump * SECOND)) for after, jump in steps)

    def mono_ns(self) -> int:
        return self.inner.mono_ns()

    def now_ns(self) -> int:
        mono = self.inner.mono_ns()
        return self.inner.now_ns() + sum(jump for at, jump in self._steps if at <= mono)


def parse_steps(text: str) -> list[tuple[float, float]]:
    """`"60:+5,120:-3"` -> [(60.0, 5.0), (120.0, -3.0)]; raises ConfigurationError."""
    try:
        return [
            (float(after), float(jump))
            for after, jump in (part.split(":") for part in text.split(",") if part.strip())
        ]
    except ValueError as error:
        raise ConfigurationError(
            f"CLOCK_STEPS={text!r} is not a list like '60:+5,120:-3' (seconds after start:seconds of jump)"
        ) from error


async def sleep(clock: Clock, seconds: float, stop: asyncio.Event | None = None) -> bool:
    """Wait `seconds` of `clock`; True when the time has passed, False when `stop` was set before."""
    wall = max(0.0, seconds / clock.speed)
    if stop is None:
        await asyncio.sleep(wall)
        return True
    if stop.is_set():
        return False
    try:
        async with asyncio.timeout(wall):
            await stop.wait()
    except TimeoutError:
        return True
    return False


async def sleep_until(clock: Clock, wall_ns: int, stop: asyncio.Event | None = None) -> bool:
    """Wait until the wall time of `clock` is `wall_ns`; returns as `sleep` does.

    Waits at most half a second at a time, so that a step of the wall clock cannot strand a waiter.
    """
    while (left := wall_ns - clock.now_ns()) > 0:
        if not await sleep(clock, min(left / SECOND, 0.5 * clock.speed), stop):
            return False
    return stop is None or not stop.is_set()


def iso(ns: int) -> str:
    """`2026-11-21T10:15:00.000112Z`: UTC, microseconds (nanoseconds are cut, never rounded up)."""
    seconds, rest = divmod(ns, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def from_iso(text: str) -> int:
    """ns of an ISO 8601 time; without an offset it is taken as UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * SECOND + moment.microsecond * 1000


def utc(ns: int) -> datetime:
    """An aware datetime of `ns`, microseconds."""
    seconds, rest = divmod(ns, SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
