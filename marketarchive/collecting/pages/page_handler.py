"""Download handler of page spiders: scrapy-playwright's with time limits, and with control of its browser.

Only page spiders load this module: it needs the extra `browser`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from playwright.async_api import CDPSession
from playwright.async_api import Error as PlaywrightError
from scrapy import Request
from scrapy.exceptions import DownloadFailedError, DownloadTimeoutError
from scrapy.http import Response
from scrapy_playwright.handler import (  # type: ignore[import-untyped]  # it has no types
    ScrapyPlaywrightDownloadHandler,
)

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

LOAD_S = 45.0
"""Seconds (wall) within which a page must load, the browser's start included."""
CLOSE_S = 2.0
"""Seconds (wall) within which the browser must close; then it is killed."""
REQUEST_S = 2.0
"""Seconds (wall) within which the browser must list its processes."""


class PageHandler(ScrapyPlaywrightDownloadHandler):  # type: ignore[misc]  # the package has no types
    """Download handler that opens a page for a request with `opening` in its meta; others go over HTTP."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.config.target_closed_max_retries = 0  # a page that was closed is opened again by its keeper
        self.pid: int | None = None  # process id of the running browser
        self._session: CDPSession | None = None
        crawler.spider.handler = self  # type: ignore[union-attr]  # page spiders have the attribute

    async def download_request(self, request: Request) -> Response:
        if "opening" not in request.meta:
            return cast("Response", await super().download_request(request))
        try:
            async with asyncio.timeout(LOAD_S):
                return cast("Response", await super().download_request(request))
        except TimeoutError as error:
            raise DownloadTimeoutError(f"the page did not load in {LOAD_S:.0f} s") from error
        except PlaywrightError as error:
            raise DownloadFailedError(error.message.splitlines()[0]) from error

    async def _maybe_launch_browser(self) -> None:
        await super()._maybe_launch_browser()
        if self.pid is None:
            self._session = await self.browser.new_browser_cdp_session()
            self.pid = next(pid for kind, pid in await self.processes() if kind == "browser")
            self.browser.once("disconnected", self._forget)

    def _forget(self, *_: Any) -> None:
        self.pid = self._session = None

    async def processes(self) -> list[tuple[str, int]]:
        """Return (kind, process id) of each process of the browser; [] where unknown.

        Kinds are `browser`, `renderer` and others of the DevTools protocol (SystemInfo.getProcessInfo).
        """
        if self._session is None:
            return []
        try:
            async with asyncio.timeout(REQUEST_S):
                found = await self._session.send("SystemInfo.getProcessInfo")
        except (TimeoutError, PlaywrightError):
            return []
        return [(each["type"], each["id"]) for each in found["processInfo"]]

    async def renderer_mb(self) -> float:
        """Return the resident memory of the browser's largest renderer process in MiB; 0 where unknown."""
        pids = [pid for kind, pid in await self.processes() if kind == "renderer"]
        return max((resident_mb(pid) for pid in pids), default=0.0)

    def kill(self) -> None:
        """Kill the browser that this handler started; its pages end at once."""
        if self.pid is not None:
            logger.warning("The browser (process %d) does not close; it is killed", self.pid)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(os.getpgid(self.pid), signal.SIGKILL)
            self.pid = None

    async def shut(self) -> None:
        """Close the browser, or kill it after CLOSE_S; do nothing where none runs."""
        browser = getattr(self, "browser", None)
        if browser is None or not browser.is_connected():
            return
        self.config.restart_disconnected_browser = False
        try:
            async with asyncio.timeout(CLOSE_S):
                await browser.close()
        except (TimeoutError, PlaywrightError):
            self.kill()

    async def _close(self) -> None:
        await self.shut()
        try:
            async with asyncio.timeout(CLOSE_S):
                await super()._close()
        except (TimeoutError, PlaywrightError) as error:  # its driver ends with our process at the latest
            logger.warning("Playwright did not close in order (%r)", error)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in MiB; 0 when there is no such process."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
