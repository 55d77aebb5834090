"""Budgets in OUTPUT_DIR: what several processes take together, and what becomes of a file that is no use."""

from __future__ import annotations

import asyncio
import copy
import fcntl
import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.collecting.budget import BURST_S, Budget, SharedBudget
from marketarchive.collecting.limits import Limiter
from marketarchive.simulated_time import SimulatedClock
from marketarchive.times import SECOND, from_seconds
from marketarchive.venues.endpoint import Endpoint, Limit
from tests.properties import examples

BOOKS = Endpoint("books", "https://venue.test/books", Limit("venue/books", 200))
RATE = 200 * 0.5 / 10
FILE = Path(".limits/venue-books.json")


STANDING = 1e-6
"""Speed of a clock on which no token comes in while a test works."""


class NotingClock(SimulatedClock):
    """A clock that knows what it was last read: the moment of a grant, however late the machine is."""

    last = 0
    set_back = 0  # ns

    def mono_ns(self) -> int:
        self.last = super().mono_ns() - self.set_back
        return self.last


def processes(root: Path, count: int, speed: float) -> tuple[list[Limiter], NotingClock]:
    """Return limiters that know of one another only by the files in `root`, as those of processes do."""
    clock = NotingClock.fixed(0, speed)
    return [Limiter(clock, 0.5, root=root) for _ in range(count)], clock


def close(limiters: list[Limiter]) -> None:
    for limiter in limiters:
        limiter.close()


async def granted_within(limiter: Limiter, clock: SimulatedClock, seconds: float) -> bool:
    until = clock.mono_ns() + from_seconds(seconds)
    return await limiter.acquire(BOOKS, asyncio.Event(), until) == "granted"


async def use_up(limiter: Limiter, clock: SimulatedClock) -> None:
    while await granted_within(limiter, clock, 0.01):
        pass


TAKES = st.lists(
    st.tuples(st.floats(0, 4), st.integers(1, 12), st.sampled_from([1.0, 3.0, 10.0])), min_size=1, max_size=5
)
"""Of a process: pause before, how many at once, what each costs."""


@examples(12)
@given(plans=st.lists(TAKES, min_size=2, max_size=4))
async def test_in_no_window_do_they_take_more_than_one_alone_may(
    plans: list[list[tuple[float, int, float]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    limiters, clock = processes(tmp_path_factory.mktemp("out"), len(plans), 50.0)
    stop = asyncio.Event()
    sent: list[tuple[int, float]] = []

    async def one(limiter: Limiter, cost: float) -> None:
        assert await limiter.acquire(BOOKS, stop, cost=cost) == "granted"
        sent.append((clock.last, cost))

    async def work(limiter: Limiter, plan: list[tuple[float, int, float]]) -> None:
        for pause, count, cost in plan:
            await asyncio.sleep(pause / 50)
            await asyncio.gather(*(one(limiter, cost) for _ in range(count)))

    await asyncio.gather(*map(work, limiters, plans))
    close(limiters)
    sent.sort()
    for index, (first, _) in enumerate(sent):
        taken = 0.0
        for moment, cost in sent[index:]:
            taken += cost
            assert taken <= RATE * (BURST_S + (moment - first) / SECOND) + 1e-3


async def test_what_one_has_taken_another_has_not(tmp_path: Path) -> None:
    (first, second), clock = processes(tmp_path, 2, STANDING)
    await use_up(first, clock)
    until = clock.mono_ns() + SECOND // 100
    assert await second.acquire(BOOKS, asyncio.Event(), until) == "rate_limited"
    close([first, second])


async def test_they_take_turns(tmp_path: Path) -> None:
    limiters, _ = processes(tmp_path, 3, 5.0)
    stop = asyncio.Event()
    counts = [0, 0, 0]

    async def work(number: int) -> None:
        while sum(counts) < 150:
            assert await limiters[number].acquire(BOOKS, stop) == "granted"
            counts[number] += 1

    # each has ten or more that wait at any time, the first five times as many
    await asyncio.gather(*(work(number) for number in [0] * 50 + [1] * 10 + [2] * 10))
    close(limiters)
    assert min(counts) >= 150 / 6, counts


async def test_a_pause_that_the_venue_asked_of_one_is_kept_by_all(tmp_path: Path) -> None:
    (first, second), clock = processes(tmp_path, 2, 100.0)
    before = clock.mono_ns()
    first.back_off(BOOKS, 30.0)
    assert await second.acquire(BOOKS, asyncio.Event()) == "granted"
    assert clock.mono_ns() - before >= 30 * SECOND
    close([first, second])


async def test_who_waits_already_keeps_a_pause_that_another_hears_of(tmp_path: Path) -> None:
    (first, second), clock = processes(tmp_path, 2, 200.0)
    stop = asyncio.Event()
    waiting = [asyncio.ensure_future(second.acquire(BOOKS, stop)) for _ in range(300)]
    assert await waiting[0] == "granted"
    before = clock.mono_ns()
    first.back_off(BOOKS, 30.0)
    assert not all(task.done() for task in waiting)
    assert set(await asyncio.gather(*waiting)) == {"granted"}
    assert clock.mono_ns() - before >= 30 * SECOND
    close([first, second])


async def test_a_refusal_that_two_meet_counts_once(tmp_path: Path) -> None:
    limiters, clock = processes(tmp_path, 2, STANDING)
    for limiter in limiters:
        limiter.blocked(BOOKS)
    stop, now = asyncio.Event(), clock.mono_ns()
    assert await limiters[0].acquire(BOOKS, stop, now + 59 * SECOND) == "blocked"
    waiting = asyncio.ensure_future(limiters[1].acquire(BOOKS, stop, now + 61 * SECOND))
    await asyncio.sleep(0.1)
    assert not waiting.done(), "it waits for the minute"
    stop.set()
    await waiting
    close(limiters)


async def test_what_a_killed_process_had_waiting_holds_nobody_up(tmp_path: Path) -> None:
    (first, second), clock = processes(tmp_path, 2, 1.0)
    waiting = [asyncio.ensure_future(first.acquire(BOOKS, asyncio.Event())) for _ in range(500)]
    await asyncio.sleep(0.1)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await granted_within(second, clock, 20.0), "they wanted what comes in within 50 s"
    close([first, second])


async def test_after_a_new_start_a_process_goes_on_where_the_others_are(tmp_path: Path) -> None:
    (first,), clock = processes(tmp_path, 1, STANDING)
    await use_up(first, clock)
    first.close()
    assert not await granted_within(Limiter(clock, 0.5, root=tmp_path), clock, 0.01)


async def test_another_boot_begins_anew_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (first,), clock = processes(tmp_path, 1, STANDING)
    await use_up(first, clock)
    first.back_off(BOOKS, 3600)
    first.close()
    (second,), clock = processes(tmp_path, 1, STANDING)
    assert await granted_within(second, clock, 0.01)
    assert not caplog.records
    second.close()


@pytest.mark.parametrize(
    "damage", [b"\x00" * 512, b"{", b"[]", b"x" * 5000, b'{"timeline":"","budget":null}']
)
async def test_a_damaged_file_is_written_anew(
    damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (first, second), clock = processes(tmp_path, 2, STANDING)
    assert await granted_within(first, clock, 1)
    for _ in range(2):
        (tmp_path / FILE).write_bytes(damage)
        await use_up(first, clock)
    [warning] = caplog.records
    assert "damaged" in warning.message
    assert not await granted_within(second, clock, 0.01), "they share it again"
    close([first, second])


async def test_a_flipped_bit_gives_nobody_tokens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (first,), clock = processes(tmp_path, 1, STANDING)
    await use_up(first, clock)
    first.back_off(BOOKS, 60)
    first.close()
    path, damaged = tmp_path / FILE, 0
    written = path.read_bytes()

    async def read() -> Budget:
        shared = SharedBudget(path, clock, Budget.full(RATE, clock.mono_ns()))
        async with shared.locked() as budget:
            found = copy.deepcopy(budget)
        shared.close()
        return found

    true = await read()
    assert true.sent.tokens < 1
    for bit in range(0, 8 * len(written.rstrip()), 7):
        flipped = bytearray(written)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        caplog.clear()
        if (found := await read()) != true:
            damaged += 1
            assert max(found.promised.tokens, found.sent.tokens) <= 0, bytes(flipped)
            [warning] = caplog.records
            assert "damaged" in warning.message
    assert damaged > 8 * len(written.rstrip()) / 7 * 0.9


async def test_where_the_state_is_lost_no_burst_is_sent(tmp_path: Path) -> None:
    (first, second), clock = processes(tmp_path, 2, STANDING)
    await use_up(first, clock)
    (tmp_path / FILE).write_bytes(b"x" * 512)
    assert not await granted_within(second, clock, 0.01), "it does not know what the first has sent"
    close([first, second])


async def test_times_of_a_later_hour_are_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (first, second), clock = processes(tmp_path, 2, 1.0)
    assert await granted_within(first, clock, 1)
    clock.set_back = 3600 * SECOND  # as an image of the machine's memory does
    assert await granted_within(second, clock, 5)
    [warning] = caplog.records
    assert "damaged" in warning.message
    close([first, second])


async def test_the_files_may_be_deleted_at_any_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (first, second), clock = processes(tmp_path, 2, STANDING)
    await use_up(first, clock)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).parent.rmdir()
    assert not await granted_within(first, clock, 0.01), "it knows what it took"
    assert not await granted_within(second, clock, 0.01)
    assert not caplog.records
    close([first, second])


@pytest.mark.parametrize("blocked_by", ["a file for the folder", "a folder for the file", "no OUTPUT_DIR"])
async def test_where_no_file_can_be_a_process_has_its_own_budget(
    blocked_by: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "out"
    if blocked_by == "a file for the folder":
        root.mkdir()
        (root / FILE.parent).touch()
    elif blocked_by == "a folder for the file":
        (root / FILE).mkdir(parents=True)
    (first, second), clock = processes(root, 2, STANDING)
    await use_up(first, clock)
    first.back_off(BOOKS, 60)
    assert not await granted_within(first, clock, 5)
    assert await granted_within(second, clock, 0.01)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2, "one of each process"
    assert "venue-books.json" in warnings[0].message
    assert root.exists() == (blocked_by != "no OUTPUT_DIR"), "whether that is there, others watch"


async def test_who_is_stopped_with_the_lock_in_hand_holds_nobody_up_for_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (first, second), clock = processes(tmp_path, 2, STANDING)
    assert await granted_within(first, clock, 1)
    holder = os.open(tmp_path / FILE, os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    beating = asyncio.ensure_future(tick())
    assert await asyncio.wait_for(first.acquire(BOOKS, asyncio.Event()), 60) == "granted"
    beating.cancel()
    assert ticks > 5, "the event loop goes on"
    first.back_off(BOOKS, 3600)
    assert not await granted_within(first, clock, 60)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    os.close(holder)  # as a kill does
    assert not await granted_within(first, clock, 60)
    assert not await granted_within(second, clock, 60), "it hears of what came meanwhile"
    close([first, second])
