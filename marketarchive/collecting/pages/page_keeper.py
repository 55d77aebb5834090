"""Keeps one page open: opened, watched, renewed, opened again; what is not seen meanwhile is a gap."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from scrapy.exceptions import IgnoreRequest

from marketarchive.clock import sleep, wait_any
from marketarchive.collecting.limits import backoff
from marketarchive.collecting.pages.open_page import Host, OpenPage, Target
from marketarchive.collecting.spider import failure_of
from marketarchive.collecting.streams.losses import Loss
from marketarchive.exceptions import ParseError
from marketarchive.items import Invalid, Response
from marketarchive.scope import Scope
from marketarchive.times import SECOND
from marketarchive.venues.answers import Failure

logger = logging.getLogger(__name__)

FIRST_S = 30.0
"""Seconds until the first sound answer of a page, checkpoint included."""
BLOCKED_S = 3600.0
"""Seconds for which a venue that refuses us is left alone."""
CHECK_S = 1.0
"""Seconds between two looks at a page."""
MEMORY_CHECK_S = 10.0
"""Seconds (wall) between two looks at a page's memory."""
RENEW_AGAIN_S = 60.0
"""Seconds that a page is left alone at least before it is renewed."""


@dataclass(frozen=True, slots=True)
class News:
    """What an answer brought: observations (ns) that were new, ascending, and the oldest that it holds."""

    new: Sequence[int]
    oldest: int


RENEW = Failure("stall", "ours", "renewed", retryable=True)
"""Not a failure: the page is replaced while it goes on."""


class Looking(Host, Protocol):
    """What a keeper needs of its spider."""

    @property
    def keepers(self) -> Sequence[PageKeeper]: ...
    @property
    def is_blocked(self) -> bool: ...
    @property
    def stale_s(self) -> float: ...
    @property
    def renew_s(self) -> float: ...
    @property
    def memory_mb(self) -> float: ...
    def next_name(self) -> str: ...
    def blocked(self, seconds: float) -> None: ...
    async def may_open(self) -> bool: ...
    def opening(self) -> AbstractAsyncContextManager[None]: ...
    async def renderer_mb(self) -> float: ...
    def labels(self, text: str) -> str: ...
    def take(self, keeper: PageKeeper, page: OpenPage, item: Response, url: str) -> News | None: ...
    def take_labels(self, keeper: PageKeeper, text: str, at: int, seq: int) -> None: ...


class PageKeeper:
    def __init__(self, spider: Looking, target: Target) -> None:
        self.spider = spider
        self.target = target
        self.newest_at = spider.run.clock.now_ns()  # receipt of the newest observation
        self.newest_observed: int | None = None
        self.renew_asked = False
        self.pages: list[OpenPage] = []
        self._loss: Loss | None = None
        self._memory_mono = 0.0
        self._labels = ""
        self._labels_at = 0

    @property
    def scope(self) -> Scope:
        venue, feed = self.spider.venue, self.spider.feed
        return Scope(venue, feed, (self.target.asset,), connection=self.target.slug, kind="page")

    # ---- the life of a page ----------------------------------------------------------------------------

    async def keep(self) -> None:
        run, failures = self.spider.run, 0
        page: OpenPage | None = None
        while not run.stop.is_set():
            if page is None:
                page = await self._open()
                if page is None:
                    failures += 1
                    await sleep(run.clock, backoff(failures), run.stop)
                    continue
            seen = self.newest_at
            failure = await self._watch(page)
            if failure is RENEW:
                page = await self._renew(page)
                continue
            if failure is None:
                break
            failures = 1 if self.newest_at > seen else failures + 1
            await self._give_up(page, failure)
            page = None
            await sleep(run.clock, backoff(failures), run.stop)
        await asyncio.gather(*(each.close("the run ends") for each in list(self.pages)))
        self.pages.clear()

    async def _give_up(self, page: OpenPage, failure: Failure) -> None:
        if self.spider.run.stop.is_set():
            return
        if failure.reason == "blocked":
            self.spider.blocked(BLOCKED_S)
        self.lose(failure)
        await self._close(page, failure.detail)

    async def _close(self, page: OpenPage, why: str) -> None:
        await page.close(why)
        self.pages.remove(page)

    async def _renew(self, old: OpenPage) -> OpenPage:
        """The new page first: nothing is missed meanwhile."""
        self.spider.run.stats.inc_value("page/renewed")
        self.renew_asked = False
        new = await self._open(is_renewal=True)
        if new is None:
            old.opened_mono = self.spider.run.clock.mono_ns()  # it goes on; tried again later
            return old
        await self._close(old, "renewed")
        return new

    async def _open(self, *, is_renewal: bool = False) -> OpenPage | None:
        """A page that brings data, or labels at least; None when it does not, which is recorded."""
        run, spider = self.spider.run, self.spider
        if not await spider.may_open():
            return None
        async with spider.opening():
            if await run.process.limiter.acquire(spider.endpoint, run.stop) or run.stop.is_set():
                return None
            if spider.is_blocked:
                return None
            page = OpenPage(self, spider.next_name())
            self.pages.append(page)
            run.stats.inc_value("requests/count")
            run.stats.inc_value(f"requests/{spider.venue}/{spider.endpoint.name}")
            spider.put(page.request())
            failure = await self._first_data(page)
        if run.stop.is_set() or failure is None:
            return page
        run.stats.inc_value(f"asks/failed/{spider.feed}")
        if is_renewal and failure.reason != "blocked":
            await self._close(page, failure.detail)
        else:
            await self._give_up(page, failure)
        return None

    async def _first_data(self, page: OpenPage) -> Failure | None:
        run = self.spider.run
        stopping = asyncio.ensure_future(run.stop.wait())
        try:
            with run.clock.hold():  # a browser takes its time to start and to load
                await asyncio.wait({page.loaded, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if run.stop.is_set():
            return None
        refusal = page.loaded.result()
        if refusal is not None:
            return _failure(refusal)
        await wait_any(run.clock, [page.has_data, page.ended, run.stop], FIRST_S)
        if page.has_data.is_set() or run.stop.is_set():
            return None
        if page.ended.is_set():
            return Failure("disconnect", "unknown", page.why, retryable=True)
        if await page.is_refused():
            return Failure("blocked", "venue", _refused(page, FIRST_S), retryable=False)
        if await self._read_labels(page):
            page.is_text = True
            self.lose(Failure("stall", "unknown", "no JSON is seen; the labels are read", retryable=True))
            return None
        return Failure("stall", "unknown", f"the page showed no data for {FIRST_S:.0f} s", retryable=True)

    async def _watch(self, page: OpenPage) -> Failure | None:
        """Until something is wrong with it, it is to be renewed, or the run ends (None)."""
        run, spider = self.spider.run, self.spider
        while True:
            await wait_any(run.clock, [page.ended, run.stop], CHECK_S)
            if run.stop.is_set():
                return None
            if page.ended.is_set():
                return Failure("disconnect", "unknown", page.why, retryable=True)
            if page.is_text and not page.has_data.is_set():
                await self._read_labels(page)
            silent_s = (run.clock.now_ns() - max(self._seen_at(page), page.opened_at)) / SECOND
            if silent_s > spider.stale_s:
                return await self._stale(page, silent_s)
            if page.age_s > spider.renew_s or await self._is_large(page):
                return RENEW

    def _seen_at(self, page: OpenPage) -> int:
        return self._labels_at if page.is_text and not page.has_data.is_set() else self.newest_at

    async def _stale(self, page: OpenPage, silent_s: float) -> Failure:
        if page.refusals and await page.is_refused():
            return Failure("blocked", "venue", _refused(page, silent_s), retryable=False)
        if await page.text() is None:
            return Failure("stall", "unknown", "the page does not react", retryable=True)
        return Failure(
            "stall",
            "upstream" if page.answers else "unknown",
            f"no new observation for {silent_s:.0f} s; {page.answers} answers came",
            retryable=True,
        )

    async def _is_large(self, page: OpenPage) -> bool:
        """Its own scripts, or any renderer: which process a page is in, the browser does not tell."""
        now = asyncio.get_running_loop().time()
        if now - self._memory_mono < MEMORY_CHECK_S or page.age_s < RENEW_AGAIN_S:
            return False
        self._memory_mono = now
        if await page.heap_mb() > self.spider.memory_mb:
            return True
        if await self.spider.renderer_mb() > self.spider.memory_mb:
            for keeper in self.spider.keepers:
                keeper.renew_asked = True
        return self.renew_asked

    async def _read_labels(self, page: OpenPage) -> bool:
        text = self.spider.labels(await page.text() or "")
        if not text:
            return False
        if text != self._labels:
            self._labels, self._labels_at = text, self.spider.run.clock.now_ns()
        at, seq = page.read_as_frame(text.encode())
        self.spider.take_labels(self, text, at, seq)
        return True

    # ---- what comes ------------------------------------------------------------------------------------

    def answered(self, page: OpenPage, item: Response, url: str) -> None:
        """An answer of `url` (the venue's own, without query), archived already."""
        page.answers += 1
        if item.status != 200:
            page.refusals.append(item.status)
        elif (news := self._looked_at(page, item, url)) is not None:
            self.spider.run.stats.inc_value(f"responses/good/{item.feed}")
            page.refusals.clear()
            page.has_data.set()
            if news.new:
                page.answers = 0
                self._found(news, item.received_at)

    def _looked_at(self, page: OpenPage, item: Response, url: str) -> News | None:
        try:
            return self.spider.take(self, page, item, url)
        except ParseError as error:
            bad = Invalid(
                item.venue, item.feed, item.received_at, item.seq, error.item, str(error), error.fields
            )
            self.spider.put(bad)
            return None

    def _found(self, news: News, at: int) -> None:
        before = self.newest_observed
        is_whole = before is not None and news.oldest <= before
        if self._loss is not None:
            self._end_loss(at)
        elif before is not None and not is_whole:
            detail = "the answer does not reach back to the one before"
            self.spider.put(
                self.spider.run.gap(
                    "sequence", "unknown", min(before, self.newest_at), at, self.scope, detail=detail
                )
            )
        self.newest_at = at
        self.newest_observed = news.new[-1] if before is None else max(before, news.new[-1])

    # ---- gaps ------------------------------------------------------------------------------------------

    def lose(self, failure: Failure) -> None:
        """The first loss stands until data come again, but for one that turns out to be a refusal."""
        run, now = self.spider.run, self.spider.run.clock.now_ns()
        since = self.newest_at
        if self._loss is not None:
            if failure.reason != "blocked" or self._loss.reason == "blocked":
                return
            if self._loss.since < now:
                since = now
                self._end_loss(now)
        elif self.newest_observed is not None:
            since = min(since, self.newest_observed)  # what was observed after it may be lost too
        loss = Loss(since, failure.reason, failure.cause, failure.detail, "")
        self._loss = replace(loss, gap=self._write_gap(loss, None))
        run.stats.inc_value(f"page/lost/{failure.reason}")
        run.log_now_and_then(
            failure.reason, "Lost %s (%s): %s", self.target.slug, failure.reason, failure.detail
        )

    def finish(self) -> None:
        """The run is over: what is lost stays so."""
        for page in self.pages:
            page.forget("the run was cut short")
        self.pages.clear()
        if self._loss is not None:
            self._end_loss(self.spider.run.clock.now_ns())

    def _end_loss(self, at: int) -> None:
        assert self._loss is not None
        loss, self._loss = self._loss, None
        self._write_gap(loss, max(at, loss.since))

    def _write_gap(self, loss: Loss, to_ns: int | None) -> str:
        """A line of the gap that `loss` has begun, else of a new one; the gap's id."""
        run = self.spider.run
        gap = run.gap(loss.reason, loss.cause, loss.since, to_ns, self.scope, loss.detail, loss.gap)
        self.spider.put(gap)
        return gap.id


def _refused(page: OpenPage, seconds: float) -> str:
    statuses = sorted({*page.refusals, page.document_status} - {None, 200}, key=str)
    shown = f"status {', '.join(map(str, statuses))}" if statuses else "a checkpoint"
    return f"{shown}, still there after {seconds:.0f} s"


def _failure(refusal: object) -> Failure:
    """Why a page did not load."""
    if isinstance(refusal, IgnoreRequest):
        return Failure("blocked", "venue", str(refusal), retryable=False)
    if isinstance(refusal, BaseException):
        return failure_of(refusal)
    return Failure(
        "disconnect",
        "venue" if isinstance(refusal, int) else "unknown",
        f"status {refusal}" if isinstance(refusal, int) else str(refusal),
        retryable=True,
    )
