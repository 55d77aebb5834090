"""Scrapy extension that opens and closes a crawler's run, and watches its duration and the disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from scrapy import signals
from scrapy.exceptions import NotConfigured

from marketarchive.archive.feed import EndGap
from marketarchive.collecting.process import Process
from marketarchive.collecting.run import Run
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.exceptions import DiskError
from marketarchive.items import RAW
from marketarchive.times import from_seconds

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

CHECK_S = 1.0
"""Seconds between two checks of the run's duration and of the archive's writer."""
HELD = "the run was sealed while Scrapy still held messages that it had received"
ROBOTS_LOGGER = "scrapy.downloadermiddlewares.robotstxt"


class RunExtension:
    """Extension that opens a crawler's run, watches duration and disk, and closes it after the last item."""

    def __init__(self, crawler: Crawler) -> None:
        if not isinstance(crawler.spider, ArchiveSpider):
            raise NotConfigured  # without a message, which Scrapy would log as a warning
        self.crawler = crawler
        logging.getLogger(ROBOTS_LOGGER).addFilter(without_traceback)
        process = Process.of(crawler.settings)
        self.run = Run(process, crawler.spider, crawler)
        self._watch: asyncio.Task[None] | None = None
        self._on_failure: Callable[[DiskError], object] | None = None  # called by the writer's thread
        self._closing: asyncio.Task[None] | None = None
        self._stopped_at: int | None = None  # wall ns at which the end was requested first
        self._short_since: int | None = None  # wall ns since which the disk has too little space
        crawler.archive_run = self.run  # type: ignore[attr-defined]  # one object for spider, middleware, pipelines
        crawler.spider.run = self.run
        process.shutdown.join(self)
        crawler.signals.connect(self.spider_opened, signals.spider_opened)
        crawler.signals.connect(self.spider_closed, signals.spider_closed)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> RunExtension:
        return cls(crawler)

    def spider_opened(self) -> None:
        loop = asyncio.get_running_loop()
        process = self.run.process
        process.metrics.add(self.run)
        self._on_failure = lambda error: loop.call_soon_threadsafe(self._disk_failed, error)
        process.writer.on_failure.append(self._on_failure)
        self._watch = loop.create_task(self._watching())
        process.reports.allow_quiet(2 * (self.run.spider.arguments.interval or 0))
        process.reports.begin()

    async def spider_closed(self, reason: str) -> None:
        await self._close(reason)

    # ---- what Shutdown calls ---------------------------------------------------------------------------

    def request_stop(self, reason: str) -> None:
        now = self.run.clock.now_ns()
        if self._stopped_at is None:
            self._stopped_at = now
        if reason == "disk" and self._short_since is None:
            self._short_since = now
        self.run.request_stop(reason)

    def cut_off(self) -> None:
        self.run.spider.cut_off()

    async def seal(self) -> None:
        await self._close("shutdown")

    # ----------------------------------------------------------------------------------------------------

    async def _close(self, reason: str) -> None:
        """Close the run: the first call does so, later calls wait until it is closed."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close_run(reason))
        await self._closing

    async def _close_run(self, reason: str) -> None:
        if self._watch:
            self._watch.cancel()
        self.run.ended_at = self.run.clock.now_ns()
        for item in self.run.spider.abandon():  # it was cut off; a seq that was given is written
            if isinstance(item, RAW):
                self.run.archive.write(item)
        writer = self.run.process.writer
        if self._short_since is not None and writer.shortage is not None:
            end_gap = EndGap(self._short_since, "disk", str(writer.shortage))
        else:
            begin = self._stopped_at or self.run.ended_at
            end_gap = EndGap(begin, "crash", HELD, only_lost=True)
        await self.run.close(reason, end_gap)
        if self._on_failure is not None:  # it would keep the crawler, its spider and books
            writer.on_failure.remove(self._on_failure)
        self.run.process.metrics.end(self.run)
        self.run.process.shutdown.leave(self, self.run.exit_code())

    async def _watching(self) -> None:
        """Stop the run when its duration is over, or when the archive's writer fails or hangs."""
        writer = self.run.process.writer
        while True:
            left = self.run.left_s
            if left is not None and left <= 0:
                self.run.request_stop("duration")
                left = None
            if writer.failure is not None:
                self._disk_failed(writer.failure)
                return
            if writer.shortage is not None and self.run.error is None:
                self._disk_is_short(writer.shortage)
            if writer.is_stalled:
                self._disk_failed(
                    DiskError(
                        f"the disk has not taken a write for {writer.stalled_s():.0f} s; "
                        f"check what holds {self.run.process.root}"
                    )
                )
                return
            # a simulator's time may stand still, the disk is watched all the same
            await asyncio.sleep(
                self.run.clock.wait_s(from_seconds(CHECK_S if left is None else min(left, CHECK_S)))
            )

    def _disk_is_short(self, error: DiskError) -> None:
        """Request the run's end for lack of disk space, while what is in flight can still be written."""
        self.run.error = error
        logger.critical("%s", error)
        self.request_stop("disk")
        self.run.process.shutdown.request("disk")

    def _disk_failed(self, error: DiskError) -> None:
        if self.run.error is None or self.run.error is self.run.process.writer.shortage:
            self.run.error = error
            logger.critical("%s", error)
            self.run.request_stop("disk")
            self.run.spider.cut_off()
            self.run.process.shutdown.request("disk")


def without_traceback(record: logging.LogRecord) -> bool:
    """Remove the traceback from a log record and keep the record: its message names the cause already.

    A logging filter of Scrapy's robots.txt middleware, which logs an exception when a robots.txt is not
    answered.
    """
    record.exc_info = None
    return True
