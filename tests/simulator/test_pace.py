"""The pace of simulated time: it waits for whoever is late, and for nobody longer than it must."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from marketarchive.exceptions import ConfigurationError
from marketarchive.simulated_time import FollowedEventLoop, SimulatedClock
from marketarchive.simulator.pace import ALLOWED_NS, HIGHEST, PAGE_ALLOWED_NS, Pace, PageTurn
from marketarchive.simulator.server import Options, Server, serve
from marketarchive.time_page import FOREVER_NS, SILENT_NS, SLOT_COUNT, Slot, TimePage
from marketarchive.times import SECOND
from tests.waiting import until_async

SPEED = 20.0


def paced(speed: float = SPEED) -> tuple[Pace, TimePage]:
    """Of a simulator whose own event loop is idle."""
    page = TimePage.create(0, speed, 0, is_shared=False)
    own = joined(page, FOREVER_NS)
    return Pace(page, own), page


def joined(page: TimePage, late_since: int) -> Slot:
    """A process that has started, and is late since then."""
    slot = page.join()
    slot.late_since(late_since)
    return slot


def test_time_stands_still_while_anyone_is_late_and_goes_on_when_all_keep_up() -> None:
    pace, page = paced()
    now = time.monotonic_ns()
    quick, slow = joined(page, now), joined(page, now)
    allowed = int(ALLOWED_NS / SPEED)
    assert pace.speed(now + allowed) == SPEED
    quick.late_since(now + SECOND)  # idle
    assert pace.speed(now + 4 * allowed) == SPEED / 4
    assert pace.speed(now + ALLOWED_NS) == 1.0
    assert pace.speed(now + ALLOWED_NS + 1) == 0.0
    slow.late_since(now + SECOND)
    assert pace.speed(now + ALLOWED_NS + 1) == SPEED


@pytest.mark.parametrize("speed", [0.5, 1.0, 7.0, HIGHEST])
def test_however_late_one_becomes_little_time_passes_meanwhile(speed: float) -> None:
    pace, page = paced(speed)
    now = time.monotonic_ns()
    slot = joined(page, now)
    passed, step = 0.0, 100_000
    for late in range(0, SILENT_NS, step):
        slot.beat()
        passed += pace.speed(now + late) * step
    assert passed <= ALLOWED_NS * (1 + math.log(max(1.0, speed))) + step * speed


def test_a_living_silent_process_holds_time_for_two_seconds_at_most() -> None:
    pace, page = paced()
    now = time.monotonic_ns()
    slot = joined(page, now)
    assert pace.speed(now + SILENT_NS) == 0.0
    assert pace.speed(now + SILENT_NS + 1) == SPEED
    assert pace.speed(now + 2 * SILENT_NS) == SPEED  # it has not said anything since
    slot.late_since(now + 2 * SILENT_NS)
    assert pace.speed(now + 3 * SILENT_NS) == 0.0  # it lives, and is late again


def test_a_process_that_works_without_a_pause_is_not_silent() -> None:
    pace, page = paced()
    now = time.monotonic_ns()
    slot = joined(page, now - 3 * SILENT_NS)
    assert pace.speed(now) == SPEED
    slot.beat()
    assert pace.speed(now) == 0.0


def test_while_nobody_takes_part_time_runs_no_faster_than_the_wall() -> None:
    pace, page = paced()
    now = time.monotonic_ns()
    assert pace.speed(now) == 1.0
    slot = joined(page, FOREVER_NS)
    assert pace.speed(now) == SPEED
    slot.leave()
    assert pace.speed(now) == 1.0
    pace.pages.add(PageTurn())
    assert pace.speed(now) == SPEED
    assert paced(0.5)[0].speed(now) == 0.5


@pytest.mark.process
def test_a_dead_process_holds_nothing_and_its_slot_is_given_away() -> None:
    code = "import sys; from pathlib import Path; from marketarchive.time_page import TimePage; "
    shared = TimePage.create(0, SPEED, 0)
    try:
        code += "slot = TimePage.open(Path(sys.argv[1])).join(); slot.late_since(0)"
        subprocess.run([sys.executable, "-c", code, str(shared.path)], check=True)
        [dead] = shared.slots()
        own = joined(shared, FOREVER_NS)
        pace = Pace(shared, own)
        assert pace.speed(ALLOWED_NS + 1) > 0  # by its word it would be late just now
        assert [slot.number for slot in shared.slots()] == [own.number]
        assert dead.pid != os.getpid()
    finally:
        shared.remove()


def test_a_process_that_starts_and_a_hold_limit_the_speed_to_that_of_the_wall() -> None:
    pace, page = paced()
    now = time.monotonic_ns()
    slot = page.join()
    assert pace.speed(now) == 1.0
    slot.late_since(now + SECOND)  # its event loop runs
    assert pace.speed(now) == SPEED
    with slot.hold(), slot.hold():
        assert pace.speed(now) == 1.0
    assert pace.speed(now) == SPEED
    slot.leave()
    assert len(page.slots()) == 1  # the simulator's own


def test_a_browsers_page_is_waited_for_as_long_as_a_process() -> None:
    pace, page = paced()
    joined(page, FOREVER_NS)
    now, turn = time.monotonic_ns(), PageTurn()
    pace.pages.add(turn)
    assert pace.speed(now) == SPEED
    turn.reported_ns = page.now_ns()
    assert pace.speed(now) == SPEED
    turn.reported_ns -= PAGE_ALLOWED_NS + 1
    assert pace.speed(now) == 0.0
    assert pace.speed(now + SILENT_NS) == 0.0
    assert pace.speed(now + SILENT_NS + 1) == SPEED  # it hangs
    turn.ended()
    turn.reported_ns = page.now_ns() - SECOND
    assert pace.speed(now + 2 * SILENT_NS) == 0.0  # it came back, and is late again
    pace.pages.discard(turn)
    assert pace.speed(now + 2 * SILENT_NS) == SPEED


def in_a_loop_of_its_own(look: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """As the simulator's, whose lateness is seen."""
    with asyncio.Runner(loop_factory=FollowedEventLoop) as runner:
        runner.run(look())


@asynccontextmanager
async def running(speed: float) -> AsyncIterator[Server]:
    ready: list[str] = []
    server = Server([], Options(port=0, speed=speed))
    running = asyncio.ensure_future(server.run(ready.append))
    await until_async(lambda: ready or running.done())
    joined(server.page, FOREVER_NS)
    try:
        yield server
    finally:
        os.kill(os.getpid(), 15)
        await running


def test_no_speed_is_too_fast() -> None:
    async def look() -> None:
        async with running(1e12) as server:
            clock = SimulatedClock(server.page)
            wall, began = time.monotonic_ns(), clock.now_ns()
            await until_async(lambda: clock.now_ns() - began > 20 * SECOND)
            assert clock.now_ns() - began <= HIGHEST * (time.monotonic_ns() - wall)
            assert server.page.limit == HIGHEST

    in_a_loop_of_its_own(look)


def test_a_simulator_that_stands_still_takes_its_time_with_it() -> None:
    async def look() -> None:
        async with running(50.0) as server:
            clock = SimulatedClock(server.page)
            began = clock.now_ns()
            await until_async(lambda: clock.now_ns() - began > 20 * SECOND)
            before = clock.now_ns()
            time.sleep(1.0)  # noqa: ASYNC251  (its event loop is held up)
            assert clock.now_ns() - before < 2 * SECOND
            began = clock.now_ns()
            await until_async(lambda: clock.now_ns() - began > 20 * SECOND)

    in_a_loop_of_its_own(look)


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ConfigurationError, match="--speed -1"):
        serve([], Options(port=0, speed=-1), print)


def test_every_process_finds_a_place_or_is_told() -> None:
    _, page = paced()
    for _ in range(SLOT_COUNT - 1):
        page.join()
    with pytest.raises(
        ConfigurationError, match=f"{SLOT_COUNT} processes take part in this simulator's time"
    ):
        page.join()
