"""A disk that is full at any moment ends the process."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
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


def fill_up(url: str, out: Path, arguments: Sequence[str], size: int) -> tuple[int, float, bool]:
    """As `end_at`, of a disk that takes `size` bytes more; the seconds are those of the whole run."""
    begun = time.monotonic()
    full = {"ARCHIVE_FILES": "tests.archive.faulty_files.FullAfter", "MASTER_URL": ""}
    with collecting(url, out, arguments, {"FULL_AFTER_BYTES": str(size)}, **full) as collector:
        code = collector.end()
        assert code == 3, f"{code} {size} {collector.log[-3000:]}"
    return code, time.monotonic() - begun, HELD in collector.log


def sizes(count: int, seed: int) -> list[int]:
    """Bytes, from less than a lock file to seconds of frames."""
    chance = random.Random(seed)
    return [int(10 ** chance.uniform(2.5, 4.5)) for _ in range(count)]


@pytest.mark.parametrize(
    ("arguments", "size"), list(zip([CRAWL, COLLECT] * 6, sizes(12, 20261129), strict=True))
)
def test_a_disk_that_is_full_at_any_moment_ends_the_process(
    arguments: Sequence[str], size: int, world: Simulator, out: Path
) -> None:
    _, _, was_held = fill_up(world.url, out, arguments, size)
    assert not was_held
    assert_sound(out)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_fifty_full_disks_under_load(world: Simulator, tmp_path: Path, capsys: Any) -> None:
    planned = sizes(int(os.environ.get("SOAK_DISKS", "50")), 20261130)

    def work(number: int) -> tuple[int, float, bool]:
        return fill_up(world.url, tmp_path / str(number), (CRAWL, COLLECT)[number % 2], planned[number])

    with busy_loops(2), capsys.disabled():
        soak("full disks", work, len(planned))
    for number in range(len(planned)):
        assert_sound(tmp_path / str(number))
