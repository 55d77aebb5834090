"""The page that holds a simulator's time: what its readers may rely on, whatever is written into it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.clock import sleep
from marketarchive.exceptions import ConfigurationError
from marketarchive.simulated_time import LEAST_PIECE_S, PIECE_S, FollowedEventLoop, SimulatedClock
from marketarchive.time_page import FOREVER_NS, SILENT_NS, Anchor, TimePage
from marketarchive.times import SECOND

SPEEDS = st.floats(min_value=0, max_value=1000)
ELAPSED = st.integers(min_value=0, max_value=3600 * SECOND)


@given(SPEEDS, st.integers(min_value=0, max_value=10 * SECOND), ELAPSED, ELAPSED)
def test_time_never_goes_back_nor_faster_than_was_granted(
    speed: float, lease: int, one: int, other: int
) -> None:
    anchor = Anchor(7, 1_000, speed, lease, max(speed, 0.5))
    earlier, later = sorted((one, other))
    first, second = anchor.at(7 + earlier), anchor.at(7 + later)
    assert 1_000 <= first <= second
    assert second - first <= (later - earlier) * max(speed, 1.0) + 1
    if later <= SILENT_NS:
        assert second <= 1_000 + lease * speed + 1


@given(st.lists(st.tuples(SPEEDS, st.integers(min_value=0, max_value=SECOND)), max_size=30))
def test_a_new_speed_goes_on_from_where_the_old_one_was(writes: list[tuple[float, int]]) -> None:
    page = TimePage.create(5 * SECOND, 1000.0, is_shared=False)
    clock = SimulatedClock(page)
    seen = [clock.now_ns()]
    for speed, lease in writes:
        page.write(speed, lease)
        seen += [page.now_ns(), clock.now_ns()]
    assert seen == sorted(seen)
    assert seen[0] >= 5 * SECOND


def test_threads_read_a_whole_anchor_while_it_is_written() -> None:
    """Each anchor's lease says which speed belongs to it."""
    page = TimePage.create(0, 100.0, is_shared=False)
    clock, stop = SimulatedClock(page), threading.Event()
    wrong: list[object] = []

    def read() -> None:
        before = 0
        while not stop.is_set():
            anchor, now = page.anchor(), clock.now_ns()
            if anchor.lease_ns != FOREVER_NS and anchor.lease_ns != int(anchor.speed) * SECOND:
                wrong.append(anchor)
            if now < before:
                wrong.append((before, now))
            before = now

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for n in range(20_000):
        page.write(float(n % 100), n % 100 * SECOND)
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong


@pytest.mark.process
def test_another_process_reads_the_same_time() -> None:
    page = TimePage.create(1_700_000_000 * SECOND, 30.0)
    try:
        code = (
            "import sys; from pathlib import Path; from marketarchive.simulated_time import SimulatedClock; "
            "from marketarchive.time_page import TimePage; "
            "clock = SimulatedClock(TimePage.open(Path(sys.argv[1]))); print(*clock.instant(), clock.speed)"
        )
        before = SimulatedClock(page).instant()
        told = subprocess.run(
            [sys.executable, "-c", code, str(page.path)], capture_output=True, text=True, check=True
        )
        after = SimulatedClock(page).instant()
        wall, mono, speed = told.stdout.split()
        assert before.wall <= int(wall) <= after.wall
        assert int(wall) - int(mono) == before.wall - before.mono
        assert float(speed) == 30.0
    finally:
        page.remove()
    assert page.path is not None
    assert not page.path.exists()


def test_a_page_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="must run on this machine"):
        TimePage.open(tmp_path / "gone")
    (tmp_path / "other").write_bytes(bytes(4096))
    with pytest.raises(ConfigurationError, match="another version"):
        TimePage.open(tmp_path / "other")


@pytest.mark.process
def test_pages_of_killed_simulators_are_taken_away() -> None:
    code = "from marketarchive.time_page import TimePage; print(TimePage.create(0, 1.0).path)"
    left = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    orphan = Path(left.stdout.strip())
    assert orphan.exists()
    page = TimePage.create(0, 1.0)
    page.remove()
    assert not orphan.exists()


@given(st.floats(min_value=0.1, max_value=1000), st.integers(min_value=1, max_value=3600 * SECOND))
def test_no_wait_outlasts_its_moment_even_when_time_runs_fast_again(limit: float, ns: int) -> None:
    page = TimePage.create(0, limit, is_shared=False)
    page.write(0.0, FOREVER_NS)
    waited = SimulatedClock(page).wait_s(ns)
    assert LEAST_PIECE_S <= waited <= PIECE_S
    assert waited * limit * SECOND <= max(ns, LEAST_PIECE_S * limit * SECOND) * 1.000001


async def test_a_wait_lasts_until_its_time_has_come_at_whatever_speed() -> None:
    page = TimePage.create(0, 100.0, is_shared=False)
    page.write(0.0, FOREVER_NS)
    clock = SimulatedClock(page)
    waiting = asyncio.ensure_future(sleep(clock, 30.0))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    page.write(100.0, FOREVER_NS)
    assert await waiting
    assert clock.now_ns() >= 30 * SECOND


def test_an_event_loop_is_late_while_it_works_and_while_bytes_lie_unread() -> None:
    page = TimePage.create(0, 1.0, is_shared=False)
    clock = SimulatedClock(page)
    late: list[bool] = []

    def note() -> None:
        [slot] = page.slots()
        late.append(slot.late_since <= time.monotonic_ns())

    async def work() -> None:
        loop = asyncio.get_running_loop()
        mine, peer = socket.socketpair()
        mine.setblocking(False)
        await asyncio.sleep(0.01)
        note()  # it has just been woken, and works
        [woken] = page.slots()
        peer.send(b"unread")
        reads: list[bytes] = []

        def readable() -> None:
            reads.append(b"")
            if len(reads) == 5:
                mine.recv(100)
                loop.remove_reader(mine)

        loop.add_reader(mine, readable)
        while len(reads) < 5:
            await asyncio.sleep(0.0001)  # with nothing unread it would be idle in between
            [slot] = page.slots()
            if len(reads) < 5:
                assert slot.late_since == woken.late_since
        await asyncio.sleep(0.01)
        [slot] = page.slots()
        assert slot.late_since > woken.late_since
        mine.close()
        peer.close()

    clock.join()
    assert page.slots()[0].holds == 1
    with asyncio.Runner(loop_factory=FollowedEventLoop) as runner:
        runner.run(work())
    assert late == [True]
    assert page.slots()[0].holds == 0
    clock.leave()
    assert page.slots() == []
