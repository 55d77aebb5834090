"""One run of one spider: its name and `seq` counter, its stop event, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from marketarchive.clock import SpeedMeter
from marketarchive.collecting.exit_cause import CLOSE_REASONS, UNANSWERED, Exit, Failures, LastException
from marketarchive.collecting.exit_codes import BLOCKED, DISK, FAILED, FINISHED
from marketarchive.collecting.feed_context import current_feed, working_for
from marketarchive.collecting.metric_figures import MeasuredSpider
from marketarchive.collecting.process import Process
from marketarchive.exceptions import DiskError
from marketarchive.items import Cause, Gap, GapReason
from marketarchive.scope import Scope
from marketarchive.times import from_iso, from_seconds, to_seconds

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from marketarchive.archive.feed import EndGap
    from marketarchive.archive.run import RunArchive

logger = logging.getLogger(__name__)

LOG_AGAIN_S = 60.0
"""Least seconds (wall) between two warnings about gaps of the same reason; every gap is recorded."""

NAMED_MARKETS = 32
"""Most markets that a manifest names; of more it states the number, since raw and the master have them."""

DOWN_SINCE = "COLLECT_DOWN_SINCE"
"""Setting with the time since which the spider's feed is down, set by a collection that starts it again."""

RECORDED_SETTINGS = (
    "SIMULATOR_URL", "ARCHIVE_FLUSH_S", "ARCHIVE_MEMBER_S", "ARCHIVE_SEGMENT_S", "ARCHIVE_SEGMENT_BYTES",
    "ARCHIVE_BUFFER_SOFT", "LIMIT_SHARE", "REQUEST_ATTEMPTS", "DOWNLOAD_TIMEOUT", "USER_AGENT",
    "CLOCK_STEPS", "PAGE_STALE_S", "PAGE_RENEW_S", "PAGE_MEMORY_MB", "COLLECT_RUN",
    DOWN_SINCE,
)  # fmt: skip
"""Settings repeated in segments and manifests, since they affect how data were collected; none is secret."""


class Runs(MeasuredSpider, Protocol):
    """Protocol of the spider of a run: the members that Run uses."""

    def cut_off(self) -> None: ...
    def abandon(self) -> list[Any]: ...


class Run:
    """State of one crawler's run, made before its spider sends anything, closed after its last item."""

    def __init__(self, process: Process, spider: Runs, crawler: Crawler) -> None:
        self.process = process
        self.clock = process.clock
        self._meter = SpeedMeter(self.clock)
        self.spider = spider
        self.stats = crawler.stats
        self.stop = asyncio.Event()
        self.stop_reason: str | None = None
        self.finish_reason: str | None = None
        self._logged: dict[tuple[str, str], float] = {}  # (about, message) -> when last, monotonic s
        self.failures = Failures()
        self._feed = current_feed()
        self._last_exception = LastException()
        self.markets: dict[str, Mapping[str, Any]] = {}  # chosen to be observed, by slug or ticker
        self.counted_from: int | None = None  # wall ns at which its duration began; None: not yet
        self._counted_mono = 0  # the same moment, monotonic
        self.count_from_now()
        self.last_data: dict[str, int] = {}  # feed -> wall ns at which something usable was received last
        self.error: Exception | None = None
        self.ended_at: int | None = None  # wall ns from which on it received nothing
        down_since: str | None = crawler.settings.get(DOWN_SINCE)
        self.down_since = None if down_since is None else from_iso(down_since)  # None once its gap is written
        given = spider.arguments.given()
        settings = {
            name: crawler.settings.get(name)
            for name in RECORDED_SETTINGS
            if crawler.settings.get(name) is not None
        }
        self.archive = process.writer.open_run(spider.name, spider.venue, spider.feeds, given, settings)
        logging.root.addHandler(self._last_exception)

    @property
    def ends_at(self) -> int | None:
        """Return the end of the run (wall ns) that its duration sets; None without a duration."""
        duration = self.spider.arguments.duration
        if duration is None or self.counted_from is None:
            return None
        return self.counted_from + from_seconds(duration)

    @property
    def left_s(self) -> float | None:
        """Return the seconds that are left of the run's duration, by the monotonic clock.

        None: no duration.
        """
        duration = self.spider.arguments.duration
        if duration is None or self.counted_from is None:
            return None
        return duration - to_seconds(self.clock.mono_ns() - self._counted_mono)

    def count_from_now(self) -> None:
        """Let the run's duration begin now."""
        self.counted_from, self._counted_mono = self.clock.now_ns(), self.clock.mono_ns()

    def next_seq(self, feed: str) -> int:
        """Return the next `seq` of this run in `feed`."""
        return self.archive.next_seq(self.spider.venue, feed)

    def note_good(self, stat: str, feed: str, at: int, count: int = 1) -> None:
        """Add `count` usable messages of `feed` to the stat `stat`; at: receipt of the newest, wall ns.

        Only the messages that a feed is for date its newest data: of a stream, no answer over REST.
        """
        self.stats.inc_value(stat, count)
        if stat == self.spider.good_stat(feed):
            self.last_data[feed] = at

    def request_stop(self, reason: str) -> None:
        """Request that the spider ends; of several reasons the first is kept."""
        if self.stop_reason is None:
            self.stop_reason = reason
            with working_for(self._feed):  # whoever asks works for none
                logger.info("Stopping (%s)", reason)
        self.stop.set()

    def gap(
        self,
        reason: GapReason,
        cause: Cause,
        from_ns: int,
        to_ns: int | None,
        scope: Scope,
        detail: str = "",
        begun: str = "",
    ) -> Gap:
        """Return a gap item with its `seq`, to be yielded by the spider.

        from_ns, to_ns: the gap's time, axis ns, `to_ns` None while it is open; begun: id of the open gap that
        this line ends for `scope`, "" for a new gap. A gap is counted once, by its first line.
        """
        feed, seq = scope.feed, self.next_seq(scope.feed)
        if reason in UNANSWERED:
            self.failures.note_reason(feed, detail)
        if not begun:
            self.stats.inc_value(f"gaps/{reason}")
        if to_ns is not None:
            self.log_now_and_then(reason, "Gap (%s): %s %s %s", reason, feed, detail, _short(scope))
        return Gap(
            scope.venue,
            feed,
            self.clock.now_ns(),
            seq,
            from_ns,
            to_ns,
            scope,
            reason,
            cause,
            detail,
            begun or f"{self.archive.run}:{seq}",
        )

    def log_now_and_then(self, about: str, message: str, *values: object) -> None:
        """Log a warning, at most once a minute for the same `message` and the same subject `about`."""
        now = time.monotonic()
        if now - self._logged.get((about, message), -LOG_AGAIN_S) >= LOG_AGAIN_S:
            self._logged[about, message] = now
            logger.warning(message, *values)

    def exit_code(self) -> int:
        """Return the run's exit code for cron and systemd."""
        return self.exit().code

    def exit(self) -> Exit:
        """Return the run's exit code, and the cause where it is not 0."""
        writer = self.process.writer
        if isinstance(self.error, DiskError) or self.stop_reason == "disk":
            return Exit(DISK, str(self.error or writer.failure or writer.shortage or "the disk failed"))
        if self.error:
            return Exit(FAILED, str(self.error))
        stats = self.stats.get_stats()
        if self.finish_reason not in ("finished", "shutdown", "cancelled"):
            cause = CLOSE_REASONS.get(str(self.finish_reason), f"it was closed as {self.finish_reason}")
            return Exit(FAILED, self._with_exception(cause))
        if count := stats.get("spider_exceptions/count"):
            return Exit(FAILED, self._with_exception(f"{count} unhandled exceptions, the last"))
        failed = {feed: stats.get(f"requests/failed/{feed}", 0) for feed in self.spider.feeds}
        good = {feed: stats.get(self.spider.good_stat(feed), 0) for feed in self.spider.feeds}
        gaps = sum(count for key, count in stats.items() if key.startswith("gaps/"))
        if not any(good.values()) and 0 < gaps == stats.get("gaps/blocked", 0):
            refused = max(failed, key=lambda feed: failed[feed])
            return Exit(BLOCKED, f"{self._host(refused)} refuses us: {self.failures.detail(refused)}")
        if empty := [feed for feed in self.spider.feeds if failed[feed] and not good[feed]]:
            return Exit(FAILED, "; ".join(self._empty(feed, failed[feed]) for feed in empty))
        return Exit(FINISHED)

    def _empty(self, feed: str, failed: int) -> str:
        count = f"lost {failed} times"  # a socket, or a page
        if self.failures.has_requested(feed):
            count = "1 request failed" if failed == 1 else f"{failed} requests failed"
        return (
            f"nothing collected in feed {feed} though due: no usable answer from {self._host(feed)}: "
            f"{self.failures.detail(feed).rstrip('.')}, {count}"
        )

    def _host(self, feed: str) -> str:
        endpoint = getattr(self.spider, "endpoint", None)  # of a socket or of pages
        return self.failures.host(feed, "" if endpoint is None else endpoint.url)

    def _with_exception(self, cause: str) -> str:
        return f"{cause}: {self._last_exception.text}" if self._last_exception.text else cause

    def summary(self) -> dict[str, Any]:
        """Return the parts of the run's manifest that the archive does not know: end, stats, markets."""
        stats = self.stats.get_stats()

        def part(prefix: str, *others: str) -> dict[str, Any]:
            """Return the stats with a `prefix`, by the rest of the name, except those with `others`."""
            return {
                key.removeprefix(prefix): value
                for key, value in sorted(stats.items())
                if key.startswith(prefix) and not key.startswith(others)
            }

        return {
            "finish_reason": self.finish_reason,
            "stop_reason": self.stop_reason,
            "exit_code": self.exit().code,
            "exit_cause": self.exit().cause,
            "requests": part("requests/", "requests/completed", "requests/failed/"),
            "responses": part("responses/"),
            "retries": stats.get("retry/count", 0),
            "gaps": part("gaps/"),
            "ticks": part("ticks/"),
            "books": part("books/"),
            "prices": part("prices/"),
            "frames": part("frames/"),
            "stream": part("stream/"),
            "page": part("page/"),
            "invalid": part("invalid/"),
            "records": part("records/"),
            "sweeps": part("sweep/"),
            "cycles": part("cycles/"),
            "master": part("master/"),
            "markets": stated_markets(self.markets),
            "simulated_time": self._meter.summary(),
        }

    async def close(self, reason: str, end_gap: EndGap | None = None) -> None:
        """Seal all segments and write the manifest; reason: why the crawl was closed.

        end_gap: gap to be recorded from the end of the run on. A disk that fails meanwhile becomes the run's
        error, and so decides the exit code.
        """
        self.finish_reason = reason
        try:
            await seal(self.process, self.archive, self.stop_reason or reason, self.summary(), end_gap)
        except DiskError as error:
            if self.error is None:
                self.error = error
                logger.critical("%s", error)
        logging.root.removeHandler(self._last_exception)


def stated_markets(markets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the manifest's statement of a run's markets: their number, and up to NAMED_MARKETS by name."""
    named = {"tracked": dict(markets)} if len(markets) <= NAMED_MARKETS else {}
    return {"count": len(markets), **named}


async def seal(
    process: Process,
    archive: RunArchive,
    reason: str,
    summary: Mapping[str, Any],
    end_gap: EndGap | None = None,
) -> None:
    """Seal a run's segments and write its manifest. Raises DiskError, also when the disk makes no progress.

    reason: why the run ended; summary: the manifest's parts from `Run.summary`; end_gap: gap to be recorded
    from the end of the run on.
    """
    closing = asyncio.wrap_future(archive.close(reason, summary, end_gap))
    while not closing.done() and not process.writer.is_stalled:
        await asyncio.wait({closing}, timeout=0.5)
    if not closing.done():
        raise DiskError(f"the disk takes no writes; check what holds {process.root}")
    closing.result()


def run_of(crawler: Crawler) -> Run | None:
    """Return the run of a crawler; None when it is not open yet, or could not be opened."""
    return getattr(crawler, "archive_run", None)


def stop_runs(crawlers: Iterable[Crawler], reason: str) -> None:
    """Request that each crawler's run ends, completing what is in flight; reason: for manifest and log."""
    for crawler in crawlers:
        if (run := run_of(crawler)) is not None:
            run.request_stop(reason)


def exit_of(crawler: Crawler, error: BaseException | None) -> Exit:
    """Return the exit code and cause of a crawl.

    error: the exception that ended the crawl, None without one. Without a run the code is 3 for a failing
    disk, else 1.
    """
    run = run_of(crawler)
    if run is None:
        return Exit(DISK if isinstance(error, DiskError) else FAILED, str(error))
    if error is not None and run.error is None:
        return Exit(FAILED, f"{type(error).__name__}: {error}")
    return run.exit()


def archive_run(crawler: Crawler) -> Run:
    """Return the run that RunExtension opened for a crawler, which must have one."""
    return cast("Run", crawler.archive_run)  # type: ignore[attr-defined]


def _short(scope: Scope) -> str:
    text = ", ".join(f"{key}={value}" for key, value in scope.as_dict().items())
    return text if len(text) <= 120 else f"{text[:117]}..."
