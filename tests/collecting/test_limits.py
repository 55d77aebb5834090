"""The limiter: never above the rate, first come first served, circuits that open and close."""

from __future__ import annotations

import asyncio
import time

import pytest

from marketarchive.collecting.budget import BURST_S
from marketarchive.collecting.limits import Limiter, backoff
from marketarchive.simulated_time import SimulatedClock
from marketarchive.times import SECOND
from marketarchive.venues.endpoint import Endpoint, Limit

BOOKS = Endpoint("books", "https://venue.test/books", Limit("venue/books", 200))


def limiter(speed: float = 100.0, share: float = 0.5) -> tuple[Limiter, SimulatedClock]:
    clock = SimulatedClock.fixed(0, speed)
    return Limiter(clock, share), clock


def requesting(count: int) -> tuple[asyncio.Future[list[None]], list[int]]:
    """Return `count` requests under way at once, at twenty times the speed of the wall, and when each was
    sent (ns, unordered), which is complete when they are.
    """
    limits, clock = limiter(speed=20.0)
    stop = asyncio.Event()
    sent: list[int] = []

    async def one() -> None:
        assert await limits.acquire(BOOKS, stop) == "granted"
        sent.append(clock.mono_ns())

    return asyncio.gather(*(one() for _ in range(count))), sent


async def test_in_any_ten_seconds_no_more_than_the_share_and_one_burst() -> None:
    waiting, sent = requesting(400)
    await waiting
    rate = 200 * 0.5 / 10
    sent.sort()
    for index, first in enumerate(sent):
        window = [moment for moment in sent[index:] if moment - first < 10 * SECOND]
        assert len(window) <= rate * (10 + BURST_S) * 1.1  # a waiter wakes late: two may meet in a window
    assert sent[-1] - sent[0] >= (400 / rate - BURST_S - 1) * SECOND


async def test_after_a_stop_of_the_process_no_more_goes_out_than_one_burst() -> None:
    """All that waited meanwhile is due at once; the venue counts what arrives."""
    waiting, sent = requesting(200)
    await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251  (ten seconds of this clock, in which a hundred would have been sent)
    await waiting
    rate = 200 * 0.5 / 10
    later = sorted(sent)[int(rate * BURST_S) :]
    window = [moment for moment in later if moment - later[0] < SECOND]
    assert len(window) <= rate * (1 + BURST_S) * 1.1


async def test_a_limit_has_a_unit_a_window_and_costs() -> None:
    """1,200 weights in five minutes, of which we use half: two a second; a burst is two seconds' worth."""
    limits, clock = limiter(speed=50.0)
    heavy = Endpoint("depth", "https://venue.test/depth", Limit("venue/weight", 1200, 300, unit="weights"))
    stop = asyncio.Event()
    started = clock.mono_ns()
    for _ in range(4):
        assert await limits.acquire(heavy, stop, cost=10) == "granted"
    # the first waits for more than a burst holds
    assert clock.mono_ns() - started >= (4 * 10 - 2 * BURST_S) / 2 * SECOND
    assert await limits.acquire(heavy, stop, clock.mono_ns() + 1000 * SECOND) == "granted"


async def test_who_cannot_be_served_in_time_is_told_why_at_once() -> None:
    limits, clock = limiter(speed=1.0)
    hourly = Endpoint("year", "https://venue.test/year", Limit("venue/year", 2, 3600))
    stop = asyncio.Event()
    assert await limits.acquire(hourly, stop, clock.mono_ns() + 60 * SECOND) == "granted"
    assert await limits.acquire(hourly, stop, clock.mono_ns() + 60 * SECOND) == "rate_limited"
    limits.blocked(BOOKS)
    assert await limits.acquire(BOOKS, stop, clock.mono_ns() + 5 * SECOND) == "blocked"


async def test_who_comes_after_its_own_time_is_late_not_limited() -> None:
    limits, clock = limiter(speed=1.0)
    assert await limits.acquire(BOOKS, asyncio.Event(), clock.mono_ns() - 1) == "missed_tick"


async def test_a_pause_that_the_venue_asked_for_is_kept() -> None:
    limits, clock = limiter()
    before = clock.mono_ns()
    limits.back_off(BOOKS, 30.0)
    assert await limits.acquire(BOOKS, asyncio.Event()) == "granted"
    assert clock.mono_ns() - before >= 30 * SECOND


async def test_refusals_in_a_row_are_left_alone_ever_longer_and_an_answer_ends_that() -> None:
    limits, clock = limiter(speed=2000.0)

    async def refused() -> float:
        """Return how many seconds a refusal kept the next request waiting."""
        before = clock.mono_ns()
        limits.blocked(BOOKS)
        assert await limits.acquire(BOOKS, asyncio.Event()) == "granted"
        return (clock.mono_ns() - before) / SECOND

    assert await refused() >= 60
    assert await refused() >= 120
    limits.succeeded(BOOKS)
    assert await refused() >= 60


async def test_an_answer_ends_a_row_of_refusals() -> None:
    limits, clock = limiter(speed=1.0)
    for _ in range(2):
        limits.blocked(BOOKS)
        limits.succeeded(BOOKS)
    limits.blocked(BOOKS)
    assert await _waits(limits, clock.mono_ns() + 110 * SECOND)


async def test_refusals_of_one_burst_count_once() -> None:
    limits, clock = limiter(speed=1.0)
    for _ in range(4):
        limits.blocked(BOOKS)
    assert await _waits(limits, clock.mono_ns() + 110 * SECOND)


async def _waits(limits: Limiter, until_ns: int) -> bool:
    """Return whether a request waits for an open circuit, since that closes before `until_ns`."""
    stop = asyncio.Event()
    waiting = asyncio.ensure_future(limits.acquire(BOOKS, stop, until_ns))
    await asyncio.sleep(0.1)
    waits = not waiting.done()
    stop.set()
    await waiting
    return waits


async def test_who_has_no_time_limit_does_not_wait_a_day() -> None:
    limits, _ = limiter(speed=1.0)
    limits.back_off(BOOKS, 86_400.0)
    assert await asyncio.wait_for(limits.acquire(BOOKS, asyncio.Event()), 5) == "rate_limited"


async def test_stop_ends_the_wait() -> None:
    limits, _ = limiter(speed=1.0)
    stop = asyncio.Event()
    limits.back_off(BOOKS, 3600.0)
    waiting = asyncio.ensure_future(limits.acquire(BOOKS, stop))
    await asyncio.sleep(0)
    stop.set()
    assert await asyncio.wait_for(waiting, 5) == "rate_limited"


@pytest.mark.parametrize("attempt", range(1, 12))
def test_backoff_doubles_with_jitter_up_to_a_minute(attempt: int) -> None:
    middle = min(60.0, 0.5 * 2 ** (attempt - 1))
    assert all(0.75 * middle <= backoff(attempt) <= 1.25 * middle for _ in range(100))
