"""Signals at any moment of the start end the process."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.collectors import (
    COLLECT,
    CRAWL,
    HELD,
    assert_sound,
    busy_loops,
    collecting,
    soak,
)
from tests.e2e.harness import Simulator

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Ending:
    """When which signals are sent, seconds (wall) after the start and after the first."""

    arguments: Sequence[str]
    first_s: float
    second_s: float | None
    signals: tuple[int, int]


def endings(count: int, within_s: float, seed: int) -> list[Ending]:
    """Return `count` of them, spread evenly over the first `within_s` seconds, crawl and collect by turns."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        first = within_s * (number + chance.random()) / count
        second = chance.choice([None, chance.uniform(0.01, 0.5), chance.uniform(0.5, 6)])
        kinds = (signal.SIGTERM, signal.SIGINT)
        signals = (chance.choice(kinds), chance.choice(kinds))
        made.append(Ending((CRAWL, COLLECT)[number % 2], first, second, signals))
    return made


def end_at(url: str, out: Path, ending: Ending) -> tuple[int, float, bool]:
    """Return exit code, seconds from the first signal to the end, and whether the last resort was needed."""
    with collecting(url, out, ending.arguments, before=()) as collector:
        time.sleep(ending.first_s)
        requested = time.monotonic()
        collector.send(ending.signals[0])
        if ending.second_s is not None:
            time.sleep(ending.second_s)
            if collector.process.poll() is None:
                collector.send(ending.signals[1])
        code = collector.end()
        took = time.monotonic() - requested
    if not (out / "manifests").exists():  # it ended before it could listen for signals
        assert code in (0, 1, -signal.SIGTERM, -signal.SIGINT), f"{code} {ending} {collector.log[-3000:]}"
    else:
        assert code == 0, f"{code} {ending} {collector.log[-3000:]}"
    return code, took, HELD in collector.log


@pytest.mark.parametrize("ending", endings(12, 8.0, 20261129), ids=lambda ending: f"{ending.first_s:.1f}s")
def test_signals_at_any_moment_of_the_start_end_the_process(
    ending: Ending, world: Simulator, out: Path
) -> None:
    _, _, was_held = end_at(world.url, out, ending)
    assert not was_held
    assert_sound(out)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_hundred_stops_under_load(world: Simulator, tmp_path: Path, capsys: Any) -> None:
    planned = endings(int(os.environ.get("SOAK_STOPS", "200")), 15.0, 20261130)

    def work(number: int) -> tuple[int, float, bool]:
        return end_at(world.url, tmp_path / str(number), planned[number])

    with busy_loops(2), capsys.disabled():
        soak("signals", work, len(planned))
    for number in range(len(planned)):
        assert_sound(tmp_path / str(number))
