"""The clock: scaling, steps, waiting, and the one text form of a time."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.clock import RealClock, SteppedClock, parse_steps, sleep, sleep_until
from marketarchive.exceptions import ConfigurationError
from marketarchive.simulated_time import SimulatedClock
from marketarchive.times import SECOND, from_iso, iso, utc

NANOSECONDS = st.integers(min_value=0, max_value=4_000_000_000 * SECOND)


@given(NANOSECONDS)
def test_iso_keeps_microseconds_and_never_rounds_up(ns: int) -> None:
    assert from_iso(iso(ns)) == ns // 1000 * 1000
    assert iso(ns) == f"{utc(ns):%Y-%m-%dT%H:%M:%S.%f}Z"


@given(NANOSECONDS, NANOSECONDS)
def test_iso_sorts_like_time(one: int, other: int) -> None:
    assert (iso(one) <= iso(other)) or one > other


def test_from_iso_reads_offsets_and_takes_none_as_utc() -> None:
    assert from_iso("2026-11-21T11:00:00+01:00") == from_iso("2026-11-21T10:00:00")
    assert (
        from_iso("2026-11-21T10:00:00Z") == int(datetime(2026, 11, 21, 10, tzinfo=UTC).timestamp()) * SECOND
    )


def test_a_simulated_clock_runs_as_fast_as_it_says_and_agrees_with_its_twin() -> None:
    start = 1_700_000_000 * SECOND
    one = SimulatedClock.fixed(start, 50.0)
    twin = SimulatedClock(one.page)
    began, before, seen = time.monotonic_ns(), one.instant(), twin.instant()
    after = time.monotonic_ns()
    assert start <= before.wall <= seen.wall <= before.wall + 50 * (after - began) + 1
    assert before.wall - before.mono == seen.wall - seen.mono


def test_steps_move_the_wall_and_not_the_monotonic_clock() -> None:
    base = SimulatedClock.fixed(0, 1000.0)
    stepped = SteppedClock(base, [(0.0, 5.0), (10_000.0, -3.0)])
    assert stepped.now_ns() - base.now_ns() == pytest.approx(5 * SECOND, abs=SECOND)
    assert stepped.mono_ns() - base.mono_ns() == pytest.approx(0, abs=SECOND)


def test_steps_are_read_and_rubbish_is_named() -> None:
    assert parse_steps("60:+5,120:-3") == [(60.0, 5.0), (120.0, -3.0)]
    with pytest.raises(ConfigurationError, match="CLOCK_STEPS='5 later'"):
        parse_steps("5 later")


async def test_sleep_is_scaled_and_stops_at_once() -> None:
    fast = SimulatedClock.fixed(0, 1000.0)
    before = fast.mono_ns()
    assert await sleep(fast, 20.0)
    assert fast.mono_ns() - before >= 20 * SECOND
    stop = asyncio.Event()
    stop.set()
    assert not await sleep(RealClock(), 60.0, stop)
    assert not await sleep_until(RealClock(), time.time_ns() + 60 * SECOND, stop)


async def test_sleep_until_follows_a_wall_clock_that_jumps_forward() -> None:
    base = SimulatedClock.fixed(0, 100.0)
    stepped = SteppedClock(base, [(20.0, 3600.0)])
    started = base.mono_ns()
    assert await sleep_until(stepped, stepped.now_ns() + 1800 * SECOND)
    assert base.mono_ns() - started < 600 * SECOND
