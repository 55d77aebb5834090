"""Scrapy's HTTP handler with a time limit for requests that are in flight when the run is stopped."""

from __future__ import annotations

import asyncio

from scrapy import Request
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.crawler import Crawler
from scrapy.exceptions import DownloadTimeoutError
from scrapy.http import Response

from marketarchive.collecting.run import run_of

IN_FLIGHT_S = 3.0
"""Seconds (wall) that a request in flight may still take once the run was asked to stop."""


class DownloadHandler(HTTP11DownloadHandler):
    """Download handler of `http` and `https` that does not delay the end of a run beyond IN_FLIGHT_S."""

    lazy = True

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._stopping = crawler

    async def download_request(self, request: Request) -> Response:
        """Return the response.

        Raises DownloadTimeoutError when it is not complete IN_FLIGHT_S after the run's stop.
        """
        run = run_of(self._stopping)
        if run is None:
            return await super().download_request(request)
        download = asyncio.ensure_future(super().download_request(request))
        stop = asyncio.ensure_future(_after(run.stop))
        try:
            await asyncio.wait({download, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            if not download.done():
                download.cancel()
        if download.cancelled() or not download.done():
            raise DownloadTimeoutError(f"no answer within {IN_FLIGHT_S:g} s of the stop")
        return download.result()


async def _after(stop: asyncio.Event) -> None:
    await stop.wait()
    await asyncio.sleep(IN_FLIGHT_S)
