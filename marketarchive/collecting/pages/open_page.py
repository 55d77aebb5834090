"""One page in the browser: the answers to its requests are archived, its end is noticed, it can be closed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from scrapy import Request
from scrapy.http import Response as HttpResponse
from twisted.python.failure import Failure

from marketarchive.collecting.receipt import KEPT_HEADERS
from marketarchive.collecting.route import real_url
from marketarchive.collecting.run import Run
from marketarchive.items import Connection, ConnectionEvent, Frames, Response
from marketarchive.times import SECOND, to_seconds
from marketarchive.venues.endpoint import Endpoint

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Page
    from playwright.async_api import Request as PageRequest
    from playwright.async_api import Response as PageResponse

BODY_S = 10.0
"""Seconds (wall) within which the body of an answer must arrive."""
REQUEST_S = 2.0
"""Seconds (wall) within which a page must react to a call."""
LOAD_MS = 30_000
"""Milliseconds (wall) within which the page's document must load."""
HOUR = 3600 * SECOND
REFUSALS = frozenset({401, 403, 429, 451})
CHECKPOINT = "Security Checkpoint"


class Target(Protocol):
    """Protocol of a page that is to be kept open: its asset, a short name, and its address."""

    @property
    def asset(self) -> str: ...
    @property
    def slug(self) -> str: ...
    @property
    def url(self) -> str: ...


class Host(Protocol):
    """Protocol of the spider whose page is open: the members that OpenPage uses."""

    @property
    def run(self) -> Run: ...
    @property
    def venue(self) -> str: ...
    @property
    def feed(self) -> str: ...
    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def host(self) -> str: ...
    def wants(self, url: str) -> bool: ...
    def put(self, *things: Any) -> None: ...
    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...
    def kill_browser(self) -> None: ...


class Keeper(Protocol):
    """Protocol of the object that keeps a page open: the members that OpenPage uses."""

    @property
    def spider(self) -> Host: ...
    @property
    def target(self) -> Target: ...
    def answered(self, page: OpenPage, item: Response, url: str) -> None: ...


class OpenPage:
    """One page in the browser, whose lines all go to raw; it is created before the browser opens it."""

    def __init__(self, keeper: Keeper, name: str) -> None:
        self.name = name
        self.keeper = keeper
        self.loaded = asyncio.get_running_loop().create_future()  # result: None, or why the page did not load
        self.has_data = asyncio.Event()  # a sound answer has come
        self.ended = asyncio.Event()
        self.why = ""  # cause of the page's end
        self.opened_mono = 0
        self.refusals: list[int] = []  # statuses since the last good answer
        self.document_status: int | None = None
        self.document = b""
        self.feed_id: str | None = None  # of the data stream that the page shows; None: not known yet
        self.answers = 0  # answers since the last good one
        self.is_text = False  # its labels are read: no JSON was seen
        self._spider = keeper.spider
        self._page: Page | None = None
        self._session: CDPSession | None = None
        self._sent: dict[PageRequest, int] = {}  # request -> monotonic ns of sending
        self._is_closed = False
        self._is_reported = False  # whether the archive has its `opened` line
        self._reported = ("", 0)  # feed id and hour of the newest `subscribed` line

    # ---- opening ---------------------------------------------------------------------------------------

    def request(self) -> Request:
        return Request(
            self._spider.run.process.route(self.keeper.target.url),
            callback=self._has_loaded,
            errback=self._has_failed,
            dont_filter=True,
            meta={
                "opening": self,
                "playwright": True,
                "playwright_include_page": True,
                "playwright_page_init_callback": self._attach,
                "playwright_page_goto_kwargs": {"wait_until": "domcontentloaded", "timeout": LOAD_MS},
                "download_slot": self._spider.endpoint.limit.name,
            },
        )

    async def _attach(self, page: Page, request: Request) -> None:  # noqa: ARG002  (a hook)
        self._page = page
        self.opened_mono = self._spider.run.clock.mono_ns()
        page.on("request", self._requested)
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)
        page.on("crash", lambda _: self._end("the page crashed"))
        page.on("close", lambda _: self._end("the page was closed"))
        page.on("framenavigated", self._navigated)
        if self._is_closed:
            await self.close("given up")

    async def _has_loaded(self, response: HttpResponse) -> None:
        self._is_reported = not self._is_closed
        self._write("opened")
        if self._page is not None:
            with suppress(Exception):  # it may be gone or hang by now; that is noticed elsewhere
                async with asyncio.timeout(REQUEST_S):  # requests need not pass through this process any more
                    await self._page.unroute_all(behavior="wait")
        self._settle(None if response.status < 400 or response.status in REFUSALS else response.status)

    def _has_failed(self, failure: Failure) -> None:
        self._settle(failure.value)

    def _settle(self, result: object) -> None:
        if not self.loaded.done():
            self.loaded.set_result(result)

    # ---- what the page does ----------------------------------------------------------------------------

    def _requested(self, request: PageRequest) -> None:
        self._sent[request] = self._spider.run.clock.mono_ns()

    def _failed(self, request: PageRequest) -> None:
        self._sent.pop(request, None)

    def _navigated(self, frame: Any) -> None:
        """End the page when its main frame went to an address outside the venue's host."""
        simulator = self._spider.run.process.simulator
        if self._page is not None and frame == self._page.main_frame and self._is_reported:
            host = self._spider.host
            if not real_url(frame.url, host, simulator).startswith(f"{host}/"):
                self._end(f"the page went to {frame.url[:80]}")

    def _answered(self, response: PageResponse) -> None:
        sent = self._sent.pop(response.request, None)
        url = real_url(response.url, self._spider.host, self._spider.run.process.simulator)
        is_document = response.request.is_navigation_request()
        if is_document or self._spider.wants(url.partition("?")[0]):
            self._spider.spawn(self._archive(response, url, sent, is_document=is_document))

    async def _archive(
        self, response: PageResponse, url: str, sent: int | None, *, is_document: bool
    ) -> None:
        """Archive a response that the page received.

        Its receipt is the time at which the whole body was here.

        url: address of the venue itself; sent: monotonic ns, None if unknown. No reader could have known the
        body before.
        """
        flags: tuple[str, ...] = ()
        body = b""
        try:
            async with asyncio.timeout(BODY_S):
                body = await response.body()
        except Exception:  # playwright's errors, and its timeouts: what is left is the exchange itself
            flags = ("dataloss",)
        if self._is_closed:
            return
        run, spider = self._spider.run, self._spider
        item = Response(
            spider.venue,
            spider.feed,
            self._now(),
            run.next_seq(spider.feed),
            response.request.method,
            run.process.route(url.partition("?")[0]),
            params_of(url),
            response.status,
            {name: text for name, text in response.headers.items() if name in KEPT_HEADERS},
            0.0 if sent is None else round((run.clock.mono_ns() - sent) / 1e6, 3),
            body,
            flags=flags,
        )
        spider.put(item)
        run.stats.inc_value("responses/count")
        run.stats.inc_value(f"responses/{spider.venue}/{'page' if is_document else 'api'}/{item.status}")
        if is_document:
            self.document_status, self.document = item.status, body
        elif not flags:
            self.keeper.answered(self, item, url.partition("?")[0])

    def _end(self, why: str) -> None:
        if not self.ended.is_set():
            self.why = why
            self.ended.set()
            self._settle(why)

    # ---- asking the page -------------------------------------------------------------------------------

    async def text(self) -> str | None:
        """Return the page's visible text; None when the page does not react."""
        if self._page is None:
            return None
        try:
            async with asyncio.timeout(REQUEST_S):
                return str(await self._page.evaluate("document.body ? document.body.textContent : ''"))
        except Exception:
            return None

    async def heap_mb(self) -> float:
        """Return the memory of the page's scripts in MiB, arrays outside the heap included.

        0 is returned where the memory is unknown.
        """
        if self._page is None:
            return 0.0
        try:
            async with asyncio.timeout(REQUEST_S):
                if self._session is None:
                    self._session = await self._page.context.new_cdp_session(self._page)
                used = await self._session.send("Runtime.getHeapUsage")
        except Exception:
            return 0.0
        return float(sum(used.get(name, 0) for name in _HEAP) / 2**20)

    async def is_refused(self) -> bool:
        """Return whether the venue shows a security checkpoint, or answers the page with refusals only."""
        if self.refusals and set(self.refusals) <= REFUSALS:
            return True
        if self.document_status in REFUSALS or CHECKPOINT.encode() in self.document:
            return True
        return CHECKPOINT in (await self.text() or "")

    @property
    def age_s(self) -> float:
        return to_seconds(self._spider.run.clock.mono_ns() - self.opened_mono)

    def read_as_frame(self, payload: bytes) -> tuple[int, int]:
        """Archive text that was read from the page itself as a frame.

        Return its receipt (wall ns) and `seq`.
        """
        at, seq = self._now(), self._spider.run.next_seq(self._spider.feed)
        self._spider.put(Frames(self._spider.venue, self._spider.feed, self.name, ((at, seq, payload),)))
        return at, seq

    def note_subscription(self, feed_id: str, at: int) -> None:
        """Record which of the venue's data feeds the page shows, once an hour.

        Archived answers name a feed by its id only, and each day's must be readable without those of other
        days. at: wall ns.
        """
        if self._is_reported and self._reported != (reported := (feed_id, at // HOUR)):
            self._reported = reported
            self._write("subscribed", texts=(feed_id,))

    # ---- the end ---------------------------------------------------------------------------------------

    async def close(self, why: str) -> None:
        """Close the page; where it does not close within REQUEST_S, kill the browser.

        why: for the archive and log.
        """
        self.forget(why)
        page, self._page = self._page, None
        if page is None or page.is_closed():
            return
        try:
            async with asyncio.timeout(REQUEST_S):
                await page.close()
        except Exception:
            self._spider.kill_browser()

    def forget(self, why: str) -> None:
        """Stop archiving the page's responses, and record that it was closed.

        why: for the archive and log.
        """
        if not self._is_closed:
            self._is_closed = True
            self._write("closed", why)
            self._end(why)

    def _write(self, event: ConnectionEvent, reason: str | None = None, texts: tuple[str, ...] = ()) -> None:
        if self._is_reported:
            spider, run = self._spider, self._spider.run
            spider.put(
                Connection(
                    spider.venue,
                    spider.feed,
                    self._now(),
                    run.next_seq(spider.feed),
                    self.name,
                    event,
                    run.process.route(self.keeper.target.url),
                    texts,
                    close_reason=reason,
                )
            )

    def _now(self) -> int:
        return self._spider.run.clock.now_ns()


_HEAP = ("usedSize", "embedderHeapUsedSize", "backingStorageSize")


def params_of(url: str) -> dict[str, Any]:
    """Return the query parameters of an address, name -> value; a list of values where a name repeats."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        before = found.get(name)
        found[name] = (
            value if before is None else [*(before if isinstance(before, list) else [before]), value]
        )
    return found
