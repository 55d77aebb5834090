"""A spider with a real run on a real archive, whose peer and clock a test chooses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from scrapy.utils.test import get_crawler

from marketarchive.clock import Instant
from marketarchive.collecting.limits import Limiter
from marketarchive.collecting.process import Process
from marketarchive.collecting.run import Run
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.items import Gap
from marketarchive.simulated_time import SimulatedClock
from marketarchive.times import SECOND
from tests.spiders_under_test import project_settings

S = TypeVar("S", bound=ArchiveSpider)


class SteppableClock(SimulatedClock):
    """Its wall time is `shift` away from what it would be."""

    shift = 0

    def instant(self) -> Instant:
        wall, mono = super().instant()
        return Instant(wall + self.shift, mono)

    def step(self, seconds: float) -> None:
        self.shift += int(seconds * SECOND)


@asynccontextmanager
async def at_work(
    spider: type[S], folder: Path, speed: float = 1.0, start: int | None = None, **given: str
) -> AsyncIterator[S]:
    """A spider with its run, which ends with the block; what it puts stays in its output queue."""
    clock = SteppableClock.fixed(time.time_ns() if start is None else start, speed)
    settings = project_settings(OUTPUT_DIR=str(folder))
    process = Process(settings)
    process.clock = clock
    process.limiter = Limiter(clock, 1.0, 300.0)
    crawler = get_crawler(spider, {**settings, "TWISTED_REACTOR_ENABLED": False})
    made = spider.from_crawler(crawler, **given)
    made.run = Run(process, made, crawler)
    try:
        yield made
    finally:
        made.run.stop.set()
        for pool in made.pools if isinstance(made, StreamSpider) else ():
            await pool.close()
        made.abandon()
        await made.run.close("finished")
        await asyncio.to_thread(process.writer.close)


def step_clock(spider: ArchiveSpider, seconds: float) -> None:
    clock = spider.run.clock
    assert isinstance(clock, SteppableClock)
    clock.step(seconds)


def gaps(spider: ArchiveSpider) -> list[Gap]:
    """Return the gaps that were put so far."""
    return [thing for thing in spider.queued_items() if isinstance(thing, Gap)]
