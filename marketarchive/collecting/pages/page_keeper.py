"""Keeping one page open: opening, watching, renewing it; time for which no page proves the data is a gap."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from scrapy.exceptions import IgnoreRequest

from marketarchive.clock import sleep, wait_any
from marketarchive.collecting.limits import backoff
from marketarchive.collecting.pages.open_page import Host, OpenPage, Target
from marketarchive.collecting.spider import failure_of
from marketarchive.collecting.streams.axis import Axis, Outage, StreamLimits
from marketarchive.collecting.streams.coverage import Coverage, CoverageChange
from marketarchive.collecting.streams.track import Track, TrackState, Watermark
from marketarchive.exceptions import ParseError
from marketarchive.items import Invalid, Response
from marketarchive.scope import Scope
from marketarchive.times import SECOND, to_seconds
from marketarchive.venues.answers import Failure
from marketarchive.venues.channel import Channel, Update

logger = logging.getLogger(__name__)

FIRST_S = 30.0
"""Seconds within which a page must show its first sound answer, a security checkpoint before it included."""
BLOCKED_S = 3600.0
"""Seconds for which no page is opened at a venue that refused one."""
CHECK_S = 1.0
"""Seconds between two checks of a page."""
MEMORY_CHECK_S = 10.0
"""Seconds (wall) between two checks of a page's memory."""
RENEW_AGAIN_S = 60.0
"""Least age in seconds at which a page may be renewed for its memory."""
LAG_S = 180.0
"""Greatest age in seconds of a live page's newest observation: pages were seen 90 s behind."""
KEPT_S = 600
"""Seconds for which settled coverage is kept: more than a page may be behind."""

NOT_WHOLE = Outage("sequence", "unknown", "the answer does not reach back to the previous one")
REPLACED = Outage("disconnect", "ours", "renewed")
LEFT_ALONE = Outage("blocked", "venue", "not requested after a refusal")


@dataclass(frozen=True, slots=True)
class News:
    """Observations in a response: times of new ones (Unix ns, ascending), and of its oldest and newest."""

    new: Sequence[int]
    oldest: int
    newest: int


RENEW = Failure("stall", "ours", "renewed", retryable=True)
"""Marker that a page is to be replaced while it is still live; not a failure."""


class PageSource(Host, Protocol):
    """Protocol of the spider whose pages are kept open: the members that PageKeeper uses."""

    @property
    def axis(self) -> Axis: ...
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
    def apply(self, keeper: PageKeeper, page: OpenPage, item: Response, url: str) -> News | None: ...
    def apply_labels(self, keeper: PageKeeper, text: str, at: int, seq: int) -> None: ...


class PageKeeper:
    def __init__(self, spider: PageSource, target: Target) -> None:
        self.spider = spider
        self.target = target
        self.renew_requested = False
        self.pages: list[OpenPage] = []
        self._newest_mono = spider.run.clock.mono_ns()  # receipt of the newest observation, monotonic
        self._limits = _limits(spider)
        self._coverage = Coverage(self._limits, target.slug, self._now)
        self._tracks: dict[str, Track] = {}  # by name of a page that has shown observations
        self._refusal: Outage | None = None  # why no page shows observations, for gaps without another reason
        self._memory_mono = 0.0
        self._labels = ""
        self._labels_mono = 0

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
                page = await self.open_page()
                if page is None:
                    failures += 1
                    await sleep(run.clock, backoff(failures), run.stop)
                    continue
            newest_mono = self._newest_mono
            failure = await self._watch(page)
            if failure is RENEW:
                page = await self.renew(page)
                continue
            if failure is None:
                break
            failures = 1 if self._newest_mono > newest_mono else failures + 1
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
        self.begin_outage(_outage(failure), page)
        await self._close(page, failure.detail)

    async def _close(self, page: OpenPage, why: str) -> None:
        await page.close(why)
        self.pages.remove(page)

    async def renew(self, old: OpenPage) -> OpenPage:
        """Replace a page by a new one, which is opened first so that no data are missed.

        Return the page to go on with.
        """
        self.spider.run.stats.inc_value("page/renewed")
        self.renew_requested = False
        new = await self.open_page(is_renewal=True)
        if new is None:
            old.opened_mono = self.spider.run.clock.mono_ns()  # it goes on; tried again later
            return old
        self._end_track(old, self._refusal or REPLACED)
        await self._close(old, "renewed")
        return new

    async def open_page(self, *, is_renewal: bool = False) -> OpenPage | None:
        """Open a page and return it once it shows data, or labels at least; None when it shows neither.

        Without data a gap is recorded. is_renewal: the page replaces one that is live, so its failure is no
        gap.
        """
        run, spider = self.spider.run, self.spider
        if not await spider.may_open():
            return None
        async with spider.opening():
            answer = await run.process.limiter.acquire(spider.endpoint, run.stop)
            if answer != "granted" or run.stop.is_set():
                return None
            if spider.is_blocked:
                return None
            page = OpenPage(self, spider.next_name())
            self.pages.append(page)
            run.stats.inc_value("requests/count")
            run.stats.inc_value(f"requests/{spider.venue}/{spider.endpoint.name}")
            spider.put(page.request())
            failure = await self.first_data(page)
        if run.stop.is_set() or failure is None:
            return page
        run.stats.inc_value(f"requests/failed/{spider.feed}")
        if is_renewal and failure.reason != "blocked":
            await self._close(page, failure.detail)
        else:
            await self._give_up(page, failure)
        return None

    async def first_data(self, page: OpenPage) -> Failure | None:
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
            self.begin_outage(
                Outage("stall", "unknown", "the page fetches no JSON; prices are read from its text")
            )
            return None
        return Failure("stall", "unknown", f"the page showed no data for {FIRST_S:.0f} s", retryable=True)

    async def _watch(self, page: OpenPage) -> Failure | None:
        """Watch a page.

        Return why it failed, RENEW where it is to be replaced, None at the end of the run.
        """
        run, spider = self.spider.run, self.spider
        while True:
            await wait_any(run.clock, [page.ended, run.stop], CHECK_S)
            if run.stop.is_set():
                return None
            if page.ended.is_set():
                return Failure("disconnect", "unknown", page.why, retryable=True)
            if page.is_text and not page.has_data.is_set():
                await self._read_labels(page)
            silent_s = to_seconds(run.clock.mono_ns() - max(self._seen_mono(page), page.opened_mono))
            if silent_s > spider.stale_s:
                return await self._stale(page, silent_s)
            if page.age_s > spider.renew_s or await self._is_large(page):
                return RENEW

    def _seen_mono(self, page: OpenPage) -> int:
        is_text = page.is_text and not page.has_data.is_set()
        return self._labels_mono if is_text else self._newest_mono

    async def _stale(self, page: OpenPage, silent_s: float) -> Failure:
        if page.refusals and await page.is_refused():
            return Failure("blocked", "venue", _refused(page, silent_s), retryable=False)
        if await page.text() is None:
            return Failure("stall", "unknown", "the page does not respond", retryable=True)
        return Failure(
            "stall",
            "upstream" if page.answers else "unknown",
            f"no new observation for {silent_s:.0f} s; {page.answers} answers arrived",
            retryable=True,
        )

    async def _is_large(self, page: OpenPage) -> bool:
        """Return whether the page's scripts, or any renderer process, use too much memory.

        The browser does not report which process a page is in, so a large renderer renews all pages.
        """
        now = asyncio.get_running_loop().time()
        if now - self._memory_mono < MEMORY_CHECK_S or page.age_s < RENEW_AGAIN_S:
            return False
        self._memory_mono = now
        if await page.heap_mb() > self.spider.memory_mb:
            return True
        if await self.spider.renderer_mb() > self.spider.memory_mb:
            for keeper in self.spider.keepers:
                keeper.renew_requested = True
        return self.renew_requested

    async def _read_labels(self, page: OpenPage) -> bool:
        text = self.spider.labels(await page.text() or "")
        if not text:
            return False
        if text != self._labels:
            self._labels, self._labels_mono = text, self.spider.run.clock.mono_ns()
        at, seq = page.read_as_frame(text.encode())
        self.spider.apply_labels(self, text, at, seq)
        return True

    # ---- what comes ------------------------------------------------------------------------------------

    def answered(self, page: OpenPage, item: Response, url: str) -> None:
        """Apply an archived response to the coverage that its page proves.

        url: the venue's own, without query.
        """
        page.answers += 1
        if item.status != 200:
            page.refusals.append(item.status)
        elif (news := self._looked_at(page, item, url)) is not None:
            self.spider.run.note_good(f"responses/good/{item.feed}", item.feed, item.received_at)
            page.refusals.clear()
            page.has_data.set()
            if news.new:
                page.answers = 0
                self._newest_mono = self.spider.run.clock.mono_ns()
            self._prove(page, news)

    def _looked_at(self, page: OpenPage, item: Response, url: str) -> News | None:
        try:
            return self.spider.apply(self, page, item, url)
        except ParseError as error:
            bad = Invalid(
                item.venue, item.feed, item.received_at, item.seq, error.item, str(error), error.fields
            )
            self.spider.put(bad)
            return None

    # ---- what is proven, and gaps ----------------------------------------------------------------------

    @property
    def _now(self) -> int:
        return self.spider.axis.at(self.spider.run.clock.mono_ns())

    def _prove(self, page: OpenPage, news: News) -> None:
        """Extend the coverage that a page proves to the newest observation of an answer.

        A gap remains where the answer does not reach back to the newest one before it. The coverage of a new
        page begins with the oldest observation that its first answer holds.
        """
        now, track = self._now, self._tracks.get(page.name)
        if track is None:
            if not news.new and not self._coverage.is_live:
                return  # it repeats what an earlier page showed last: nothing says that it goes on
            # 0: answers hold what was before the page was opened
            track = self._tracks[page.name] = Track(self._limits, self.target.slug, page.name, 0, Watermark())
            self._coverage.tracks.append(track)
        if track.state is TrackState.LIVE and news.oldest > track.strong:
            track.add_gap(track.strong, news.oldest, NOT_WHOLE)
        for at in (news.oldest, news.newest):
            track.apply(Update(self.target.slug, "snapshot", at), now, 0, None)
        self._refusal = None
        self.settle()

    def begin_outage(self, outage: Outage, page: OpenPage | None = None) -> None:
        """End the coverage that `page` proves, for the reason in `outage`; None: no page was open.

        Only a refusal replaces the reason of a gap that is open.
        """
        if outage.reason == "blocked":
            self._coverage.replace_outage(self._now, outage)
        self._refusal = outage
        if page is not None:
            self._end_track(page, outage)
        self.settle()

    def _end_track(self, page: OpenPage, outage: Outage) -> None:
        if (track := self._tracks.pop(page.name, None)) is not None:
            track.close(outage)
            track.is_judged = True  # no other source refutes a page

    def settle(self) -> None:
        """Write the gap lines that are due since the last call; to be called at least once a second."""
        now = self._now
        if not self._coverage.tracks and self._why_not_open is None:
            return  # the first page is loading: its own failure says more than its time
        self._write(self._coverage.settle(now, self._why_not_open))
        self._coverage.forget(now - KEPT_S * SECOND)

    def finish(self) -> None:
        """Stop archiving and write the last gap lines: the run is over, time without proof stays a gap."""
        for page in self.pages:
            page.forget("the run was cut off")
        self.pages.clear()
        self._write(self._coverage.finish(self._now, self._why_not_open))

    @property
    def _why_not_open(self) -> Outage | None:
        is_left_alone = self.spider.is_blocked and not self.pages  # else a page is about to say more
        return self._refusal or (LEFT_ALONE if is_left_alone else None)

    def _write(self, changes: Sequence[CoverageChange]) -> None:
        run = self.spider.run
        for change in changes:
            record = change.record
            outage, is_first = record.outage, not record.id
            gap = run.gap(
                outage.reason,
                outage.cause,
                change.from_ns,
                change.to_ns,
                self.scope,
                outage.detail,
                record.id,
            )
            record.id = gap.id
            self.spider.put(gap)
            if is_first:
                run.stats.inc_value(f"page/lost/{outage.reason}")
                run.log_now_and_then(
                    outage.reason, "Lost %s (%s): %s", self.target.slug, outage.reason, outage.detail
                )


def _limits(spider: PageSource) -> StreamLimits:
    """Return the limits of a page's coverage.

    No venue proves that a response is complete: an answer proves the time since the earlier observations that
    it repeats.
    """
    patience_s = spider.stale_s + LAG_S  # a page that shows nothing new is closed before
    channel = Channel(
        spider.endpoint, "none", "page", 1, first_data_s=FIRST_S, patience_s=patience_s, conflates=True
    )
    return StreamLimits.of(channel)


def _outage(failure: Failure) -> Outage:
    return Outage(failure.reason, failure.cause, failure.detail)


def _refused(page: OpenPage, seconds: float) -> str:
    statuses = sorted({*page.refusals, page.document_status} - {None, 200}, key=str)
    shown = f"status {', '.join(map(str, statuses))}" if statuses else "a checkpoint"
    return f"{shown}, still there after {seconds:.0f} s"


def _failure(refusal: object) -> Failure:
    """Return the failure of a page that did not load; refusal: an exception, an HTTP status, or a text."""
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
