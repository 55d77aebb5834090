"""Base class of spiders that watch web pages in a browser."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self

from scrapy.settings import BaseSettings

from marketarchive.clock import sleep
from marketarchive.collecting.pages.chromium import check_browser, launch_options
from marketarchive.collecting.pages.open_page import OpenPage, Target
from marketarchive.collecting.pages.page_keeper import News, PageKeeper
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.items import Response
from marketarchive.times import from_seconds, to_seconds
from marketarchive.venues.endpoint import Endpoint

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from marketarchive.collecting.pages.page_handler import PageHandler

STOP_S = 3.0
"""Seconds (wall) that pages have to close at the end of a run, before their browser is closed."""


class PageSpider(ArchiveSpider):
    """Base class of spiders of a venue that shows its data on web pages only.

    Each page is loaded once in a stock browser, and the responses to the page's own requests are archived. A
    page that ends, hangs, shows nothing new or uses too much memory is opened again; a refusal is recorded as
    `blocked` and not retried for an hour. A subclass sets the attributes below and implements `targets`,
    `wants`, `apply`. Robots.txt is obeyed. Needs the extra `browser`.
    """

    is_live = True
    endpoint: ClassVar[Endpoint]  # of the pages, with their request limit
    host: ClassVar[str]  # https://HOST of the pages
    handler: PageHandler | None = None  # set by the handler when the crawl starts

    stale_s: float = 30.0
    renew_s: float = 3600.0
    memory_mb: float = 1024.0

    def __init__(self, name: str | None = None, **given: Any) -> None:
        super().__init__(name, **given)
        self.keepers: list[PageKeeper] = []
        self._names = (f"p{number}" for number in itertools.count(1))
        self._blocked_until = 0  # monotonic ns, project clock
        self._after_block = asyncio.Lock()

    @classmethod
    def update_settings(cls, settings: BaseSettings) -> None:
        super().update_settings(settings)
        # one scheme only: a handler for each would start a driver for each
        scheme = "http" if settings.get("SIMULATOR_URL") else "https"
        handler = "marketarchive.collecting.pages.page_handler.PageHandler"
        settings.set("DOWNLOAD_HANDLERS", {scheme: handler}, priority="spider")
        settings.set("PLAYWRIGHT_LAUNCH_OPTIONS", launch_options(settings), priority="spider")
        settings.set("PLAYWRIGHT_MAX_PAGES_PER_CONTEXT", 1000, priority="spider")
        settings.set("PLAYWRIGHT_PROCESS_REQUEST_HEADERS", None, priority="spider")  # the browser's own
        settings.set("ROBOTSTXT_OBEY", True, priority="spider")

    @classmethod
    def check_settings(cls, settings: BaseSettings) -> None:
        check_browser(settings)

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.stale_s = crawler.settings.getfloat("PAGE_STALE_S")
        spider.renew_s = crawler.settings.getfloat("PAGE_RENEW_S")
        spider.memory_mb = crawler.settings.getfloat("PAGE_MEMORY_MB")
        return spider

    # ---- what subclasses write -------------------------------------------------------------------------

    def targets(self) -> Iterable[Target]:
        """Return the pages to keep open."""
        raise NotImplementedError

    def wants(self, url: str) -> bool:
        """Return whether the response to a page's request is archived.

        url: the venue's own, without query.
        """
        raise NotImplementedError

    def apply(self, keeper: PageKeeper, page: OpenPage, item: Response, url: str) -> News | None:
        """Parse an archived answer with status 200 into observations; None where it holds none.

        url: the venue's own, without query. Raises ParseError.
        """
        raise NotImplementedError

    def labels(self, text: str) -> str:  # noqa: ARG002  (a hook)
        """Return the part of a page's visible text that shows values; "" where the page shows none."""
        return ""

    def apply_labels(self, keeper: PageKeeper, text: str, at: int, seq: int) -> None:
        """Parse the visible text of a page that `labels` returned, after it was archived as a frame.

        keeper: of the page; at: receipt of the frame, wall ns; seq: of the frame.
        """

    def each_second(self) -> None:
        """Do what the spider has to do about once a second of the project's clock; by default nothing."""

    def at_end(self) -> None:
        """Do what the spider has to do after the last data of a run; by default nothing."""

    # ---- what keepers use ------------------------------------------------------------------------------

    def next_name(self) -> str:
        return next(self._names)

    def blocked(self, seconds: float) -> None:
        self._blocked_until = self.run.clock.mono_ns() + from_seconds(seconds)

    @property
    def is_blocked(self) -> bool:
        return self.run.clock.mono_ns() < self._blocked_until

    async def may_open(self) -> bool:
        """Wait until no refusal keeps pages from being opened; return False when the run ends before."""
        while (left := self._blocked_until - self.run.clock.mono_ns()) > 0:
            if not await sleep(self.run.clock, to_seconds(left), self.run.stop):
                return False
        return not self.run.stop.is_set()

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[None]:
        """Return a context in which a page is opened; after a refusal one page enters at a time.

        So the other pages wait for the result of the first.
        """
        if not self._blocked_until:
            yield
            return
        async with self._after_block:
            yield

    async def renderer_mb(self) -> float:
        return 0.0 if self.handler is None else await self.handler.renderer_mb()

    def kill_browser(self) -> None:
        self.run.stats.inc_value("page/browser_killed")
        if self.handler is not None:
            self.handler.kill()

    # ---- the run ---------------------------------------------------------------------------------------

    async def main(self) -> None:
        run = self.run
        run.count_from_now()
        self.note_pause()
        self.keepers = [PageKeeper(self, target) for target in self.targets()]
        keeping = [self.spawn(keeper.keep()) for keeper in self.keepers]
        while await sleep(run.clock, 1.0, run.stop):
            self.each_second()
            for keeper in self.keepers:
                keeper.settle()
        await asyncio.wait(keeping, timeout=STOP_S)
        for task in keeping:
            task.cancel()
        self._finish()
        if self.handler is not None:
            await self.handler.shut()

    def abandon(self) -> list[Any]:
        self._finish()
        return super().abandon()

    def _finish(self) -> None:
        keepers, self.keepers = self.keepers, []
        for keeper in keepers:
            keeper.finish()
        if keepers:
            self.at_end()
