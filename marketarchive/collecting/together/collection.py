"""Collection: the feeds of several plans in one process, each a run of its own, restarted when it ends."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

from scrapy.crawler import Crawler

from marketarchive.archive.paths import manifest_path
from marketarchive.archive.run import run_name
from marketarchive.clock import SpeedMeter, sleep
from marketarchive.collecting.exit_cause import Exit, last_line
from marketarchive.collecting.exit_codes import BLOCKED, DISK, FAILED, FINISHED
from marketarchive.collecting.feed_context import working_for
from marketarchive.collecting.process import Process
from marketarchive.collecting.run import DOWN_SINCE, Run, exit_of, run_of, seal, stop_runs
from marketarchive.collecting.together.listener import Listener, Selected, Traffic
from marketarchive.collecting.together.plan import Chosen, PlannedFeed, all_feeds
from marketarchive.exceptions import DiskError
from marketarchive.times import from_seconds, iso, to_seconds

if TYPE_CHECKING:
    from marketarchive.collecting.spider import ArchiveSpider

logger = logging.getLogger(__name__)

START_AGAIN_S = 60
"""Seconds until a feed that ended by itself is started again, doubled each time up to START_AGAIN_MAX_S."""
START_AGAIN_MAX_S = 3600
CHECK_S = 1.0
"""Seconds between two checks of the archive's writer."""
OPENING_S = 0.02
"""Seconds (wall) between two checks whether a run has been opened."""
LASTED_S = 600
"""Seconds that a run must last so that the next restart waits START_AGAIN_S only."""


@dataclass
class RunRecord:
    """One finished run of a feed, as the collection's manifest lists it."""

    spider: str
    run: str | None  # None: it could not be opened
    manifest: str | None
    started_at_utc: str
    finished_at_utc: str
    exit_reason: str | None
    exit_code: int
    exit_cause: str


def weigh(code_of: Mapping[str, int], optional: Iterable[str] = ()) -> dict[str, int]:
    """Return for each feed the exit code that counts for the collection, from the code of its last run.

    Code 4 means that all venues refused us. A single feed that was refused counts as one that collected
    nothing, an optional one as finished. code_of: spider -> exit code; optional: spiders that may be left
    out.
    """
    if all(code == BLOCKED for code in code_of.values()):
        return dict(code_of)
    refused = {spider: FINISHED if spider in optional else FAILED for spider in code_of}
    return {spider: refused[spider] if code == BLOCKED else code for spider, code in code_of.items()}


class Collection:
    """Run without data of its own, which lasts as long as its feeds; its manifest lists their runs."""

    def __init__(
        self,
        process: Process,
        chosen: Sequence[Chosen],
        duration: float | None,
        create: Callable[[str], Crawler],
        crawl: Callable[[Crawler, Mapping[str, str]], Awaitable[None]],
    ) -> None:
        """Open the collection's run. Raises ArgumentError, DiskError.

        chosen: the plans with their arguments; duration: seconds, None for ever; create: makes the crawler of
        a spider; crawl: runs a crawler with a spider's arguments to its end.
        """
        self.process = process
        self._meter = SpeedMeter(process.clock)
        self.feeds = all_feeds(chosen)
        self.started = process.clock.now_ns()
        self.traffic = Traffic()
        self.listeners = [each.listener(self.started) for each in chosen]  # of each plan
        for own in self.listeners:
            own.open(process.root)
        self.crawlers: list[Crawler] = []  # of the feeds that run now
        self.waiting: dict[str, int] = {}  # spider that ended by itself -> monotonic ns of its next start
        self.ran: list[RunRecord] = []
        self.exit_code = 0
        self.stop_reason: str | None = None
        self._weight_of: dict[str, int] = {}  # spider -> exit code that counts for the collection
        self._fault = ""  # cause of a failure of the collection itself
        self._chosen = chosen
        self._duration = duration
        self._create = create
        self._crawl = crawl
        self._restarts: Counter[str] = Counter()
        self._past: Counter[str] = Counter()  # stats of crawlers that have ended
        self._down_since: dict[str, int] = {}  # spider -> wall ns since which its feed is down
        self._stop = asyncio.Event()
        given: dict[str, Any] = {} if duration is None else {"duration": duration}
        for each in chosen:
            given |= each.arguments.given()
        given["plans"] = [each.plan.name for each in chosen]
        given["feeds"] = [
            {"spider": feed.spider, "arguments": feed.arguments, "after_s": feed.after_s}
            for feed in self.feeds
        ]
        self._archive = process.writer.open_run(
            "collect", "", (), given, {"SIMULATOR_URL": process.simulator}
        )
        self._sealing: asyncio.Task[None] | None = None
        self._keeping: list[asyncio.Task[None]] = []
        for own in self.listeners:
            own.begin(process.clock, self._archive)
        process.listeners += [
            self.traffic,
            *(Selected(own, each.sources) for own, each in zip(self.listeners, chosen, strict=True)),
        ]
        process.shutdown.join(self)

    def request_stop(self, reason: str) -> None:
        """Request that all feeds end; of several reasons the first is kept."""
        self.stop_reason = self.stop_reason or reason
        self._stop.set()
        self._stop_keeping()
        stop_runs(self.crawlers, reason)

    def cut_off(self) -> None:
        """Do nothing: the runs of the feeds are cut off themselves."""

    async def seal(self) -> None:
        """Write the collection's manifest: the first call does so, later calls wait until it is written."""
        if self._sealing is None:
            self._sealing = asyncio.ensure_future(self._seal())
        await self._sealing

    async def _seal(self) -> None:
        self._stop_keeping()
        for listener in self.listeners:
            self._finish(listener)
        try:
            await seal(self.process, self._archive, self.stop_reason or "finished", self._summary())
        except DiskError as error:
            logger.critical("%s", error)
            self.exit_code, self._fault = DISK, str(error)
        self.process.shutdown.leave(self, self.exit_code)

    def _stop_keeping(self) -> None:
        """Cancel the listeners' tasks; items that are in flight still reach the listeners before `finish`."""
        for task in self._keeping:
            task.cancel()

    def _finish(self, listener: Listener) -> None:
        try:
            listener.finish()
        except Exception as error:
            self._note_fault(error)

    def _kept(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._note_fault(error)

    def _note_fault(self, error: BaseException) -> None:
        """Note an exception of a listener: the feeds go on, the exit code becomes 1."""
        logger.error("The listener of the collection failed; its feeds go on", exc_info=error)
        self.exit_code, self._fault = FAILED, f"{type(error).__name__}: {error}"

    @property
    def name(self) -> str:
        """Return the name of the collection's run: `collect-<run>`."""
        return self._archive.name

    def stat(self, name: str) -> int:
        """Return the sum of the stat `name` over all runs so far, finished and running."""
        now = sum(run.stats.get_value(name, 0) for each in self.crawlers if (run := run_of(each)))
        return int(now) + self._past[name]

    async def collect(self) -> None:
        """Run all feeds until they have ended and are sealed."""
        self._keeping = [asyncio.ensure_future(listener.keep()) for listener in self.listeners]
        for task in self._keeping:
            task.add_done_callback(self._kept)
        if self._stop.is_set():
            self._stop_keeping()
        self.process.reports.begin()
        timer = asyncio.ensure_future(self._end_after(self._duration))
        watch = asyncio.ensure_future(self._watch_disk())
        codes = await asyncio.gather(*(self._keep(feed) for feed in self.feeds))
        timer.cancel()
        watch.cancel()
        code_of = dict(zip((feed.spider for feed in self.feeds), codes, strict=True))
        if self.stop_reason == "duration" and DISK not in codes:  # else what it receives could not be kept
            for feed in filter(None, (each.plan.last_pass(each.feeds) for each in self._chosen)):
                code_of[feed.spider] = (await self._run(feed)).exit_code
        optional = {feed.spider: feed.option for feed in self.feeds if feed.option}
        self._weight_of = weigh(code_of, optional)
        self.exit_code = max(self.exit_code, *self._weight_of.values())
        if self.stop_reason == "disk" and self.exit_code != DISK:  # no feed ran when it was noticed
            writer = self.process.writer
            self.exit_code, self._fault = DISK, str(writer.failure or writer.shortage)
        for spider, option in optional.items():
            if code_of[spider] == BLOCKED != self.exit_code:
                refused = "%s was refused, others were not: do not work around it, give --%s"
                logger.warning(refused, spider, option)
        await self.seal()

    def last_lines(self) -> Iterator[str]:
        """Yield a line for each feed that caused the exit code, the worst last."""
        root = self.process.root
        last = {ran.spider: ran for ran in self.ran}
        for spider, weight in sorted(self._weight_of.items(), key=lambda item: item[1]):
            if weight != FINISHED:
                ran = last[spider]
                ended = Exit(weight, ran.exit_cause)
                yield last_line("collect", spider, ended, root, ran.run and run_name(spider, ran.run))
        if self._fault:
            code = self.exit_code
            yield last_line("collect", "the collection", Exit(code, self._fault), root, self.name)

    async def _end_after(self, duration: float | None) -> None:
        if duration is not None and await sleep(self.process.clock, duration, self._stop):
            self.request_stop("duration")

    async def _watch_disk(self) -> None:
        """Request the end of the process when the disk fails or is short, also while no feed runs."""
        writer, clock = self.process.writer, self.process.clock
        while writer.failure is None and writer.shortage is None:  # noqa: ASYNC110  (set by a thread)
            await asyncio.sleep(clock.wait_s(from_seconds(CHECK_S)))
        self.process.shutdown.request("disk")

    async def _keep(self, feed: PlannedFeed) -> int:
        """Run a feed, restarting it when it ends by itself, until the collection stops.

        Return the exit code of its last run.
        """
        failures = 0
        if not await sleep(self.process.clock, feed.after_s, self._stop):
            return FINISHED
        while not self._stop.is_set():
            begun = self.process.clock.mono_ns()
            ran = await self._run(feed, is_bounded=True)
            if ran.exit_code == DISK:
                self.request_stop("disk")
            if feed.is_once or self._stop.is_set():
                return ran.exit_code
            lasted = to_seconds(self.process.clock.mono_ns() - begun)
            failures = 1 if lasted >= LASTED_S else failures + 1
            wait = min(START_AGAIN_S * 2.0 ** min(failures - 1, 16), START_AGAIN_MAX_S)
            logger.error(
                "%s ended by itself (%s, exit code %d); the others go on, it starts again in %.0f s%s",
                feed.spider, ran.exit_reason, ran.exit_code, wait,
                f": {ran.exit_cause}" if ran.exit_cause else "",
            )  # fmt: skip
            self.waiting[feed.spider] = self.process.clock.mono_ns() + from_seconds(wait)
            if not await sleep(self.process.clock, wait, self._stop):
                return ran.exit_code
            del self.waiting[feed.spider]
            self._restarts[feed.spider] += 1
        return FINISHED

    async def _run(self, feed: PlannedFeed, *, is_bounded: bool = False) -> RunRecord:
        """Run a feed from start to end and return the record of its run.

        is_bounded: end it with the collection, also where that stops before the feed's run is open.
        """
        started = self.process.clock.now_ns()
        with working_for(feed.spider):
            crawler = self._create(feed.spider)
        crawler.settings.set("COLLECT_RUN", self._archive.run, priority="cmdline")
        is_live = cast("type[ArchiveSpider]", crawler.spidercls).is_live
        if is_live and (since := self._down_since.get(feed.spider)) is not None:
            crawler.settings.set(DOWN_SINCE, iso(since), priority="cmdline")
        self.crawlers.append(crawler)
        failure: Exception | None = None
        passing_on = asyncio.ensure_future(self._pass_on_stop(crawler)) if is_bounded else None
        try:
            with working_for(feed.spider):
                await self._crawl(crawler, feed.arguments)
        except Exception as error:
            failure = error
            logger.error("%s failed: %s", feed.spider, error, exc_info=error)
        finally:
            self.crawlers.remove(crawler)
            if passing_on is not None:
                passing_on.cancel()
        run = run_of(crawler)
        self._note_end(feed, run, started)
        name = None if run is None else run.archive.run
        ended = exit_of(crawler, failure)
        ran = RunRecord(
            feed.spider,
            name,
            None if name is None else str(manifest_path(run_name(feed.spider, name))),
            iso(started),
            iso(self.process.clock.now_ns()),
            None if run is None else run.stop_reason or run.finish_reason,
            ended.code,
            ended.cause,
        )
        self.ran.append(ran)
        if run is not None:
            figures = run.stats.get_stats()
            self._past.update({key: value for key, value in figures.items() if isinstance(value, int)})
        return ran

    def _note_end(self, feed: PlannedFeed, run: Run | None, started: int) -> None:
        """Record the time since which a feed receives nothing.

        A run that ended before it received anything does not change that time. started: wall ns; run: None
        where it could not be opened.
        """
        was_down = run is None or run.down_since is not None
        ended = run.ended_at if run is not None and run.ended_at is not None else started
        self._down_since[feed.spider] = self._down_since.get(feed.spider, ended) if was_down else ended

    async def _pass_on_stop(self, crawler: Crawler) -> None:
        """Wait for the collection's stop, then for the crawler's run to be open, and stop that run."""
        await self._stop.wait()
        while run_of(crawler) is None:  # noqa: ASYNC110  (nothing tells that it is there)
            await asyncio.sleep(OPENING_S)
        stop_runs([crawler], self.stop_reason or "")

    def _summary(self) -> dict[str, Any]:
        return {
            "exit_code": self.exit_code,
            "stop_reason": self.stop_reason,
            "runs": [asdict(ran) for ran in self.ran],
            "restarts": dict(self._restarts),
            "simulated_time": self._meter.summary(),
        }
