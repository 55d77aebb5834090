"""A run lasts as long as it was asked to, whatever our clock does."""

from __future__ import annotations

from pathlib import Path

from tests.collecting.letters import Letters
from tests.collecting.streams import at_work, step_clock


async def test_a_step_of_our_clock_does_not_change_how_long_a_run_lasts(tmp_path: Path) -> None:
    async with at_work(Letters, tmp_path, duration="60s") as spider:
        step_clock(spider, -3600)
        left = spider.run.left_s
        assert left is not None
        assert 50 < left <= 60
        step_clock(spider, 7200)
        left = spider.run.left_s
        assert left is not None
        assert 50 < left <= 60
