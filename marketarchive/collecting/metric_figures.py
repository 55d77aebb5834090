"""Metrics of runs: their names and labels, and the Scrapy stats and archive counts that each is made of.

Nothing is counted here: a figure is a Scrapy stat, or what the archive's writer counts for the ledger. Labels
are venues, feeds, spiders, endpoints, kinds and reasons; never a market, so that their number stays small.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any, Literal, NamedTuple, Protocol, get_args

from scrapy.statscollectors import StatsCollector

from marketarchive.archive.run import RunArchive
from marketarchive.clock import Clock
from marketarchive.collecting.arguments import Arguments
from marketarchive.collecting.exit_codes import BLOCKED, FINISHED
from marketarchive.items import GapReason
from marketarchive.times import from_iso, to_seconds

Labels = tuple[str, ...]
"""Values of a metric's labels, in the order of `Metric.labels`."""
Figures = dict[tuple[str, Labels], float]
"""(name of a metric, values of its labels) -> value."""


class MeasuredSpider(Protocol):
    """Protocol of a spider whose run is measured: the members that metrics read."""

    @property
    def name(self) -> str: ...
    @property
    def venue(self) -> str: ...
    @property
    def feed(self) -> str: ...
    @property
    def feeds(self) -> tuple[str, ...]: ...
    @property
    def arguments(self) -> Arguments: ...
    def good_stat(self, feed: str) -> str: ...
    def key_lags(self) -> Sequence[float | None]: ...


class MeasuredRun(Protocol):
    """Protocol of a run that is measured: the members that metrics read."""

    clock: Clock
    archive: RunArchive

    @property
    def stats(self) -> StatsCollector: ...
    @property
    def markets(self) -> Mapping[str, Any]: ...
    @property
    def last_data(self) -> Mapping[str, int]: ...
    @property
    def spider(self) -> MeasuredSpider: ...
    def exit_code(self) -> int: ...


@dataclass(frozen=True)
class Metric:
    """One exported metric; a counter's `name` has no suffix `_total`, which the format adds."""

    name: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    help: str

    @property
    def exported(self) -> str:
        """Return the name under which Prometheus knows the metric."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


class StatFigure(NamedTuple):
    """Rule that adds Scrapy stats to a counter: `pattern` matches their names, its groups are the labels."""

    metric: str
    pattern: re.Pattern[str]
    unit: float  # size of the stat's unit in units of the metric


def _counter(name: str, labels: str, text: str) -> Metric:
    return Metric(f"marketarchive_{name}", "counter", tuple(labels.split()), text)


def _gauge(name: str, labels: str, text: str) -> Metric:
    return Metric(f"marketarchive_{name}", "gauge", tuple(labels.split()), text)


METRICS = (
    # of feeds, from the archive's writer
    _counter("lines", "venue feed kind", "Lines written to raw/, as the ledger counts them"),
    _counter("written_bytes", "venue feed", "Compressed bytes written to raw/"),
    _counter("segments_sealed", "venue feed", "Segments that are sealed and in the ledger"),
    _counter("gaps", "venue feed reason", "Gaps begun, each counted once, as in manifests"),
    _gauge(
        "feed_data_age_seconds",
        "venue feed role",
        "Seconds since the newest usable message, or since the first start; role main: the feed for which "
        "the spider exists",
    ),
    _gauge("feed_interval_seconds", "venue feed role", "The requested interval; 0: none"),
    # of runs, from Scrapy's stats
    _counter("good_messages", "venue feed", "Usable answers and messages with data"),
    _counter("frames", "venue feed", "Messages of sockets"),
    _counter("rows", "series", "Rows made for records/"),
    _counter("requests", "venue endpoint", "Requests sent"),
    _counter("requests_failed", "venue feed", "Requests given up, connections and pages lost"),
    _counter("retries", "spider", "Second and later attempts"),
    _counter("responses", "venue endpoint status_class", "Answers archived"),
    _counter("response_latency_seconds", "venue endpoint", "Sum of response times"),
    _counter("invalid_items", "item", "Rows that could not be made into an item; their messages are in raw"),
    _counter("ticks_due", "spider", "Ticks that were due"),
    _counter("ticks_missed", "spider", "Ticks at which this process did not run"),
    _counter("stream_connections", "spider", "Connections opened; all after the first are reconnects"),
    _counter("stream_closes", "spider code", "Connections closed, by close code"),
    _counter("stream_refusals", "spider", "Connections that could not be opened"),
    _counter(
        "stream_skipped_frames", "spider", "Messages archived but not processed, for lack of processor time"
    ),
    _counter("books", "spider verdict", "Verdicts of book hashes and sequences, and ages of books"),
    _counter("spider_exceptions", "spider", "Unhandled exceptions"),
    _counter("master_rows", "spider outcome", "Rows for the market master: upserted, skipped, or errors met"),
    # of runs and streams, at the moment
    _gauge("run_info", "spider run venue version", "1 for each run that is open"),
    _gauge("run_start_time_seconds", "spider", "Unix time at which the open run started"),
    _counter("runs_ended", "spider exit_code", "Runs of this process that have ended"),
    _gauge("markets", "spider", "Markets that the run set out to observe"),
    _gauge("stream_keys", "spider", "Keys (tokens, topics, symbols) that are subscribed"),
    _gauge("stream_live_keys", "spider", "Subscribed keys that are tracked on a connection"),
    _gauge(
        "stream_lag_seconds",
        "spider",
        "Seconds since the watermark of the median key, up to which its data are proven complete",
    ),
    # of the process
    _gauge("writer_buffer_bytes", "", "Bytes handed to the writer and not yet written"),
    _gauge("writer_buffer_soft_limit_bytes", "", "ARCHIVE_BUFFER_SOFT"),
    _gauge("writer_sync_age_seconds", "", "Seconds since the writer last synced to the disk"),
    _gauge("writer_stalled_seconds", "", "Seconds without progress while work is waiting"),
    _gauge("writer_failed", "", "1 when the disk has failed and nothing is written any more"),
    _counter("writer_lost_lines", "", "Lines that will never be written, because the disk failed"),
    _gauge("disk_free_bytes", "", "Least free space on the disks of OUTPUT_DIR and folders linked into it"),
    _gauge("disk_size_bytes", "", "Size of the disk with that free space"),
    _gauge("event_loop_delay_seconds", "", "Time that the event loop took to answer this request"),
)
"""All metrics that are exported beside those that prometheus-client has of the process itself."""


VERDICTS = ("ok", "failed", "not_available", "unchecked", "stale", "fresh")
"""Of books: the verdicts of their hashes and sequences, and whether they are old."""


def _stat(metric: str, pattern: str, unit: float = 1) -> StatFigure:
    return StatFigure(f"marketarchive_{metric}", re.compile(pattern), unit)


STATS = (
    _stat("rows", r"records/(?P<series>.+)"),
    _stat("requests_failed", r"requests/failed/(?P<feed>[^/]+)"),
    _stat("requests", r"requests/(?P<venue>[^/]+)/(?P<endpoint>[^/]+)"),
    _stat("responses", r"responses/(?P<venue>[^/]+)/(?P<endpoint>[^/]+)/(?P<status_class>\d+)"),
    _stat("response_latency_seconds", r"latency_us/(?P<venue>[^/]+)/(?P<endpoint>[^/]+)", 1e-6),
    _stat("retries", r"retry/count"),
    _stat("frames", r"frames/(?P<feed>[^/]+)"),
    _stat("invalid_items", r"invalid/(?P<item>.+)"),
    _stat("ticks_due", r"ticks/due"),
    _stat("ticks_missed", r"ticks/missed"),
    _stat("stream_connections", r"stream/connections"),
    _stat("stream_closes", r"stream/closes/(?P<code>.+)"),
    _stat("stream_refusals", r"stream/refusals"),
    _stat("stream_skipped_frames", r"stream/frames_passed_over"),
    _stat("books", rf"books/(?P<verdict>{'|'.join(VERDICTS)})"),
    _stat("spider_exceptions", r"spider_exceptions/count"),
    _stat("master_rows", r"master/(?:rows_)?(?P<outcome>upserted|skipped|errors)"),
)
"""Rules that make metrics of stats; the first whose pattern matches the whole name of a stat counts."""
LABELS = {metric.name: metric.labels for metric in METRICS}


def zeros(spider: MeasuredSpider) -> Iterator[tuple[str, Labels]]:
    """Yield the counters that a run exports from its start, at 0 until something is counted.

    Prometheus sees no increase in a series that begins with its first value, so a burst of it would raise no
    alert.
    """
    for feed in spider.feeds:
        for reason in get_args(GapReason):
            yield "marketarchive_gaps", (spider.venue, feed, reason)
    for verdict in VERDICTS:
        yield "marketarchive_books", (spider.name, verdict)
    for code in range(FINISHED, BLOCKED + 1):
        yield "marketarchive_runs_ended", (spider.name, str(code))


def totals(run: MeasuredRun) -> Figures:
    """Return the counters of a run so far; to be called in the event loop."""
    found: Figures = defaultdict(float)
    for name, value in run.stats.get_stats().items():
        if isinstance(value, int | float):
            _add_stat(found, run, name, value)
    for feed in run.spider.feeds:
        good = run.stats.get_value(run.spider.good_stat(feed), 0)
        found["marketarchive_good_messages", (run.spider.venue, feed)] += good
    for each in run.archive.totals():
        feed_labels = (each.venue, each.feed)
        found["marketarchive_written_bytes", feed_labels] += each.bytes
        found["marketarchive_segments_sealed", feed_labels] += each.sealed
        for kind, count in each.counts.items():
            found["marketarchive_lines", (*feed_labels, kind)] += count
        for reason, count in each.gaps.items():
            found["marketarchive_gaps", (*feed_labels, reason)] += count
    return found


def _add_stat(found: Figures, run: MeasuredRun, name: str, value: float) -> None:
    for metric, pattern, unit in STATS:
        if (match := pattern.fullmatch(name)) is not None:
            given = {"spider": run.spider.name, "venue": run.spider.venue, **match.groupdict()}
            if "status_class" in given:
                given["status_class"] = _status_class(given["status_class"])
            found[metric, tuple(given[label] for label in LABELS[metric])] += value * unit
            return


def _status_class(status: str) -> str:
    """Return the class of an HTTP status, such as `2xx`; `none` for 0, an answer that was cut."""
    return "none" if status == "0" else f"{status[0]}xx"


def present(run: MeasuredRun) -> Iterator[tuple[str, Labels, float]]:
    """Yield the gauges of an open run as (metric, labels, value); to be called in the event loop."""
    spider, identity = run.spider, run.archive.identity
    labels = (spider.name, run.archive.run, spider.venue, str(identity["collector"]))
    yield "marketarchive_run_info", labels, 1
    started = to_seconds(from_iso(identity["started_at_utc"]))
    yield "marketarchive_run_start_time_seconds", (spider.name,), started
    yield "marketarchive_markets", (spider.name,), len(run.markets)
    if lags := spider.key_lags():
        live = [lag for lag in lags if lag is not None]
        yield "marketarchive_stream_keys", (spider.name,), len(lags)
        yield "marketarchive_stream_live_keys", (spider.name,), len(live)
        if live:
            yield "marketarchive_stream_lag_seconds", (spider.name,), median_low(live)
