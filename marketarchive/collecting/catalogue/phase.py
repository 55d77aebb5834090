"""Base class of spiders that are a phase of the catalogue when they collect all markets of a venue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from sqlalchemy import Connection

from marketarchive.clock import sleep, sleep_until
from marketarchive.collecting.arguments import Argument, Arguments
from marketarchive.collecting.catalogue.look_back import PhaseKey, catch_up, last_state
from marketarchive.collecting.catalogue.master_reader import MasterReader
from marketarchive.collecting.catalogue.progress import CycleProgress
from marketarchive.collecting.catalogue.turn import turn
from marketarchive.collecting.limits import backoff
from marketarchive.collecting.master_settings import master_url, snapshots_kept
from marketarchive.collecting.spider import Answer
from marketarchive.collecting.sweep import Pages, SweepSpider
from marketarchive.exceptions import ArgumentError, ConfigurationError, CursorError, MarketArchiveError
from marketarchive.items import Cycle, CycleState, Market, Phase
from marketarchive.master import cycles
from marketarchive.times import SECOND, from_seconds, to_seconds
from marketarchive.venues import venues
from marketarchive.venues.catalogue import Catalogue
from marketarchive.venues.endpoint import Query

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

logger = logging.getLogger(__name__)

T = TypeVar("T")

CYCLE_MAX_S = 3600
"""Greatest age of a cycle, s: an older one ends incomplete and is not resumed.

Cursors are opaque, and no venue documents how long it honours one.
"""
RESOLVE_SINCE_S = 86_400.0
"""Age in seconds up to which ended or closed markets are read again: one may be reopened or disputed."""
RATE = "CATALOG_REQUESTS_S"
SELECTIONS = frozenset({"assets", "durations", "series", "shard"})
"""Arguments that choose some markets: with one of them a run is no phase of the catalogue."""

Step = Callable[[CycleProgress], Awaitable[bool]]
"""One part of a cycle, done from the position of its progress on; False when it could not be completed."""


def _known(name: str, text: str) -> str:
    if text.strip() != "known":
        raise ArgumentError(f"{name}={text!r} is invalid: the only value is `known`")
    return "known"


UNTIL = Argument("until", _known, "known", "pages are requested newest first, until one lists no new market")


class PhaseSpider(SweepSpider):
    """Mixin of a spider that is a phase of the venue's catalogue (discover, snapshot, ...) with markets=all.

    Such a spider runs cycles: one and exit, or one for each multiple of `interval`. An interrupted cycle is
    resumed, an overdue one starts at once; of several that were missed one is caught up. Phases of a platform
    take turns. With named markets the spider behaves like its other base classes.
    """

    phase: ClassVar[Phase]
    whole_by: ClassVar[str] = ""
    """Argument without which a run is no phase; "": the spider collects all markets by default."""
    catalogue_feed: ClassVar[str] = "markets"
    requests_s: float = 2.0
    master: MasterReader | None = None

    def __init__(self, name: str | None = None, **given: Any) -> None:
        super().__init__(name, **given)
        self._request_at = 0  # monotonic ns before which no request of a cycle is sent
        self._seen: set[str] = set()  # markets that this run received in the present cycle
        self._closed: set[str] = set()  # those of `_seen` that are closed
        self._before: set[str] = set()  # markets that earlier cycles of this run received

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.requests_s = _rate(crawler.settings)
        if url := master_url(crawler.settings):
            spider.master = MasterReader(url)
        return spider

    @classmethod
    def check_arguments(cls, given: Mapping[str, Any]) -> Arguments:
        arguments = super().check_arguments(given)
        chosen = given.keys() & SELECTIONS or (arguments.markets and {"markets"})
        if UNTIL.name in given and chosen:
            raise ArgumentError(
                f"{UNTIL.name}= applies to all markets: leave out {', '.join(sorted(chosen))}="
            )
        return arguments

    @classmethod
    def check_settings(cls, settings: BaseSettings) -> None:
        super().check_settings(settings)
        _rate(settings)

    @property
    def is_whole(self) -> bool:
        """Return whether the run is a phase of the catalogue, that is, collects all markets of the venue."""
        given = self.arguments.given()
        if given.get("markets", ()) != () or given.keys() & SELECTIONS:
            return False
        return not self.whole_by or self.whole_by in given

    @property
    def catalogue(self) -> Catalogue:
        """Return the description of the venue's market lists."""
        found = venues()[self.venue].catalogue
        assert found is not None, f"{self.venue} has no catalogue"
        return found

    async def main(self) -> None:
        if not self.is_whole:
            await super().main()
            return
        try:
            await self._keep_cycles(self.arguments.interval)
        finally:
            if self.master is not None:
                self.master.close()

    async def _keep_cycles(self, interval: float | None) -> None:
        """Run one cycle, or with `interval` (s) one at each multiple of it until the run stops."""
        last = await self._in_turn(self._look_back)
        while not self.run.stop.is_set():
            if interval is not None and last is not None and last.is_over:
                step = from_seconds(interval)
                if not await sleep_until(self.run.clock, (last.started // step + 1) * step, self.run.stop):
                    return
            last = await self._in_turn(partial(self._cycle, last))
            if interval is None:
                return

    async def _in_turn(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Return the result of `work`, done while no other phase of the platform runs.

        None is returned where the run ended before its turn.
        """
        run = self.run
        async with turn(run.process.root, self.venue, run.stop) as is_ours:
            return await work() if is_ours else None

    # ---- what was before ---------------------------------------------------------------------------------

    async def _look_back(self) -> Cycle | None:
        """Return the last cycle of earlier runs, None without one, after writing its answers to the master.

        A cycle that is too old to be resumed is ended as incomplete.
        """
        run, key = self.run, PhaseKey(self.venue, self.catalogue_feed, self.phase)
        oldest = run.clock.now_ns() - from_seconds(CYCLE_MAX_S)
        try:
            last = await asyncio.to_thread(
                last_state, run.process.root, key, oldest - from_seconds(CYCLE_MAX_S)
            )
        except (MarketArchiveError, OSError) as error:
            logger.error("The last cycle cannot be read, so a new one begins: %s", error)
            return None
        if last is not None:
            await self._catch_up(key, last)
        if last is not None and not last.is_over and last.started < oldest:
            now = run.clock.now_ns()
            last = replace(last, received_at=now, state="incomplete", position="")
            self.put(last)
        return last

    async def _catch_up(self, key: PhaseKey, last: Cycle) -> None:
        """Write into the market master what earlier runs received and could not write."""
        if self.master is None:
            return
        find = partial(cycles.last_cycle, platform=key.venue, phase=key.phase)
        root, settings = self.run.process.root, self.crawler.settings
        try:
            held = await asyncio.to_thread(self.master.read, find)
            rows = await asyncio.to_thread(
                catch_up, root, master_url(settings), snapshots_kept(settings), last, held
            )
        except (MarketArchiveError, OSError) as error:
            logger.error("The market master lacks what an earlier run received: %s", error)
        else:
            self.run.stats.inc_value("cycles/caught_up_rows", rows)

    # ---- a cycle -----------------------------------------------------------------------------------------

    async def _cycle(self, last: Cycle | None) -> Cycle | None:
        """Resume the cycle `last` if it was interrupted, else run a new one; return its state at the end."""
        run = self.run
        resumed = last is not None and not last.is_over
        progress = CycleProgress.of(last) if last and resumed else CycleProgress.begin(run.clock.now_ns())
        self._before |= self._seen
        self._seen, self._closed = set(), set()
        run.stats.inc_value("cycles/resumed" if resumed else "cycles/begun")
        self.put(self._state(progress, "running"))
        state = await self._state_after(progress)
        await self.wait_idle()
        cycle = self._state(progress, state)
        if cycle.is_over:
            self.put(cycle)
            run.stats.inc_value(f"cycles/{state}")
            took = to_seconds(run.clock.now_ns() - progress.started)
            summary = "%s %s: %s, %d pages, %d markets, %d failures, %.1f s"
            counts = progress.pages, progress.markets, progress.failures
            logger.info(summary, self.venue, self.phase, state, *counts, took)
        run.stats.set_value("cycles/pages", progress.pages)
        run.stats.set_value("cycles/markets", progress.markets)
        return cycle

    def _state(self, progress: CycleProgress, state: CycleState) -> Cycle:
        now = self.run.clock.now_ns()
        return progress.cycle(self.venue, self.catalogue_feed, self.phase, state, now)

    async def _state_after(self, progress: CycleProgress) -> CycleState:
        """Run the remaining steps of a cycle; return its state, `running` where the run ended first."""
        steps = await self._steps(progress)
        for number in range(progress.step, len(steps)):
            if not await steps[number](progress):
                return "running" if self.run.stop.is_set() else "incomplete"
            progress.step, progress.place = number + 1, {}
        return "complete"

    async def _steps(self, progress: CycleProgress) -> Sequence[Step]:
        """Return the steps of a cycle in order; every run that resumes the cycle gets the same."""
        catalogue = self.catalogue
        if self.phase == "discover":
            return [partial(self._read_list, query, until_known=True) for query in catalogue.newest()]
        if self.phase == "snapshot":
            return [partial(self._read_list, query) for query in catalogue.active()]
        find = partial(cycles.last_complete, platform=self.venue, phase=self.phase, before=progress.started)
        since = progress.started - from_seconds(self.arguments.since or RESOLVE_SINCE_S)
        if (last := await self._of_master(find)) is not None:
            since = min(since, last)
        steps: list[Step] = [partial(self._read_list, query) for query in catalogue.ended(since)]
        steps.append(self._read_unresolved)
        if catalogue.reports is not None:
            steps.append(self._read_reports)
        return steps

    # ---- steps -------------------------------------------------------------------------------------------

    async def _read_list(self, query: Query, progress: CycleProgress, *, until_known: bool = False) -> bool:
        """Request the pages of a list from the cycle's position to the end; return False where that failed.

        query: the request for the first page; until_known: stop after a page without a new market.
        """
        begin, pages = query, Pages()
        following: Query | None = query
        if progress.place:
            following = replace(query, params=progress.place["params"])
        is_resumed = bool(progress.place)
        while following is not None:
            requested = following
            following = None

            def note(answer: Answer, requested: Query = requested) -> None:
                nonlocal following
                assert answer.parsed is not None
                following = venues()[self.venue].next_page(requested, answer.parsed)
                if following is None:
                    progress.step, progress.place = progress.step + 1, {}
                else:
                    progress.place = {"params": dict(following.params)}

            answer = await self._answer(requested, progress, note)
            if answer.status is None:
                failure = answer.request.failure
                if not (is_resumed and failure is not None and failure.cause == "ours"):
                    return False
                logger.warning("The venue refuses a cursor that was resumed: its list is read from the start")
                following, is_resumed, progress.place = begin, False, {}
                continue
            is_resumed = False
            if answer.parsed is None:
                break
            try:
                pages.check(answer.parsed.keys, answer.parsed.next_cursor)
            except CursorError as error:
                self._note_loop(requested, progress, error)
                return False
            if until_known and not await self._brings_new(answer, progress):
                break
        return True

    async def _read_unresolved(self, progress: CycleProgress) -> bool:
        """Request by id the markets that must have ended by the master and that no list has shown.

        Return False where a request failed.
        """
        catalogue = self.catalogue
        find = partial(cycles.unresolved, platform=self.venue, now=self.run.clock.now_ns())
        due = [each for each in await self._of_master(find) or () if each not in self._seen]
        for ids in _batches(due, catalogue.named_at_once, progress):
            if not await self._read_pages(catalogue.named(ids), progress):
                return False
            missing = [each for each in ids if each not in self._seen]
            older = catalogue.older
            if older is not None and missing and not await self._read_pages(older(missing), progress):
                return False
            progress.place = {"after": ids[-1]}
        return True

    async def _read_reports(self, progress: CycleProgress) -> bool:
        """Request the venue's reports on markets that this cycle found closed; return False on a failure."""
        catalogue = self.catalogue
        assert catalogue.reports is not None
        find = partial(cycles.closed_since, platform=self.venue, since=progress.started)
        closed = sorted(self._closed | set(await self._of_master(find) or ()))
        for ids in _batches(closed, catalogue.reports_at_once, progress):
            if not await self._read_pages(catalogue.reports(ids), progress):
                return False
            progress.place = {"after": ids[-1]}
        return True

    async def _read_pages(self, query: Query, progress: CycleProgress) -> bool:
        """Request all pages of a query; return False where that failed.

        The caller, not this method, moves the position of `progress`.
        """
        following: Query | None = query
        pages = Pages()
        while following is not None:
            answer = await self._answer(following, progress)
            if answer.status is None:
                return False
            if answer.parsed is None:
                return True
            try:
                pages.check(answer.parsed.keys, answer.parsed.next_cursor)
            except CursorError as error:
                self._note_loop(following, progress, error)
                return False
            following = venues()[self.venue].next_page(following, answer.parsed)
        return True

    # ---- requests ----------------------------------------------------------------------------------------

    async def _answer(
        self, query: Query, progress: CycleProgress, note: Callable[[Answer], None] | None = None
    ) -> Answer:
        """Return the answer to a request, retried while its failure may pass.

        Status None: it failed for good.

        Rate limits, failures of the venue and missing answers are retried until the cycle is older than
        CYCLE_MAX_S. note: moves the position of `progress` past the answer, before the `cycle` line is
        written.
        """

        def take(answer: Answer) -> Iterable[Any]:
            if answer.parsed is None:
                return
            yield from answer.parsed.items
            found = [item for item in answer.parsed.items if isinstance(item, Market)]
            self._seen.update(item.market_id for item in found)
            self._closed.update(item.market_id for item in found if item.status in ("closed", "resolved"))
            progress.pages += 1
            progress.markets += len(found)
            self.run.stats.inc_value("sweep/pages")
            if note is not None:
                note(answer)
            yield self._state(progress, "running")

        in_vain = 0
        while True:
            await self._pace()
            answer = await self.fetch(query, self.catalogue_feed, take)
            if answer.status is not None or self.run.stop.is_set():
                return answer
            progress.failures += 1
            in_vain += 1
            age_s = to_seconds(self.run.clock.now_ns() - progress.started)
            if not _is_passing(answer) or age_s > CYCLE_MAX_S:
                return answer
            await sleep(self.run.clock, backoff(self.attempts + in_vain), self.run.stop)

    async def _pace(self) -> None:
        """Wait until the catalogue's request rate (CATALOG_REQUESTS_S) allows the next request."""
        clock = self.run.clock
        await sleep(clock, to_seconds(self._request_at - clock.mono_ns()), self.run.stop)
        self._request_at = clock.mono_ns() + int(SECOND / self.requests_s)

    def _note_loop(self, query: Query, progress: CycleProgress, error: CursorError) -> None:
        """Record as a gap that the paging of a list goes in a circle."""
        logger.error("The %s of %s stopped before its end: %s", self.phase, self.venue, error)
        self.put_cursor_gap(query, self.catalogue_feed, progress.started, str(error))
        self.close_reason = "sweep_cursor_loop"

    # ---- what is known -----------------------------------------------------------------------------------

    async def _brings_new(self, answer: Answer, progress: CycleProgress) -> bool:
        """Return whether a page lists a market that was not known before this cycle."""
        assert answer.parsed is not None
        listed = {item.market_id for item in answer.parsed.items if isinstance(item, Market)} - self._before
        find = partial(cycles.known, platform=self.venue, ids=listed, before=progress.started)
        return bool(listed - (await self._of_master(find) or set()))

    async def _of_master(self, find: Callable[[Connection], T]) -> T | None:
        """Return the result of `find` on the market master.

        None is returned where there is no master or it cannot be read.
        """
        if self.master is None:
            return None
        try:
            return await asyncio.to_thread(self.master.read, find)
        except MarketArchiveError as error:
            self.run.log_now_and_then(
                "master", "The market master cannot be read, and is not used: %s", error
            )
            return None


def _batches(ids: Sequence[str], size: int, progress: CycleProgress) -> Iterator[Sequence[str]]:
    """Yield `ids`, which are sorted, in batches of `size`.

    The ids up to the position of `progress` are left out.
    """
    left = [each for each in ids if each > progress.place.get("after", "")]
    for start in range(0, len(left), size):
        yield left[start : start + size]


def _is_passing(answer: Answer) -> bool:
    """Return whether a failed request may succeed later: we are not blocked, and it is not malformed."""
    failure = answer.request.failure
    return failure is not None and (failure.retryable or failure.reason in ("rate_limited", "stall", "dns"))


def _rate(settings: BaseSettings) -> float:
    """Return the setting CATALOG_REQUESTS_S, requests per second. Raises ConfigurationError."""
    rate = settings.getfloat(RATE)
    if not 0 < rate <= 100:
        raise ConfigurationError(f"{RATE}={rate!r} is not a number of requests a second: 0 < it <= 100")
    return rate
