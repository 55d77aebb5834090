"""HTTP endpoint for Prometheus: the metrics of all runs of a process, read at each request.

It listens on 127.0.0.1 only: from elsewhere it is reached by an SSH tunnel, or by a Prometheus on this
machine. The server's thread never reads a run itself, since runs belong to the event loop: it lets the event
loop read them, and exports the time that this takes as a metric.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from scrapy.settings import BaseSettings

from marketarchive.archive.disk_budget import least_room
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.clock import Clock
from marketarchive.collecting.exit_codes import FINISHED
from marketarchive.collecting.metric_figures import (
    METRICS,
    Figures,
    Labels,
    MeasuredRun,
    present,
    totals,
    zeros,
)
from marketarchive.exceptions import ConfigurationError
from marketarchive.times import to_seconds

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.core import Metric as Family

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
ANSWER_S = 5.0
"""Seconds (wall) that the event loop has to read the runs; after them the metrics of runs are left out."""
Gauges = list[tuple[str, Labels, float]]


def metrics_port(settings: BaseSettings) -> int | None:
    """Return the setting METRICS_PORT; None where there is no endpoint. Raises ConfigurationError."""
    given = settings.get("METRICS_PORT")
    if given in (None, ""):
        return None
    try:
        port = int(given)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"METRICS_PORT={given!r} is not a port: 0 (any free one) to 65535")
    try:
        import prometheus_client  # noqa: F401  (looked for before anything is sent)
    except ImportError as error:
        raise ConfigurationError(
            f"METRICS_PORT={given} needs prometheus-client: pip install 'marketarchive[metrics]', or unset it"
        ) from error
    return port


@dataclass
class AwaitedFeed:
    """A feed of which data are expected, and the time of its newest data."""

    clock: Clock
    since: int  # monotonic ns of its newest data, or of its first start: no step of the wall clock moves it
    role: Literal["main", "lookup"] = "lookup"
    interval_s: float = 0.0


class Metrics:
    """Metrics of all runs of a process, with their endpoint; without a port none is opened."""

    def __init__(self, writer: ArchiveWriter, port: int | None) -> None:
        self._writer = writer
        self._runs: list[MeasuredRun] = []  # open
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: Figures = defaultdict(float)
        self._feeds: dict[tuple[str, str], AwaitedFeed] = {}
        self._server: WSGIServer | None = None
        self.url: str | None = None
        if port is not None:
            self._listen(port)

    def add(self, run: MeasuredRun) -> None:
        """Include a run in the metrics from now on; to be called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._runs.append(run)
        for counter in zeros(run.spider):
            self._ended[counter] += 0
        for feed in run.spider.feeds:
            key = (run.spider.venue, feed)
            known = self._feeds.setdefault(key, AwaitedFeed(run.clock, run.clock.mono_ns()))
            if feed == run.spider.feed:
                known.role, known.interval_s = "main", run.spider.arguments.interval or 0.0

    def end(self, run: MeasuredRun) -> None:
        """Keep the counters of a run that is sealed, and exclude its gauges; to be called in the event loop.

        The age of a feed's data is no longer exported after a run that ended with exit code 0; after a
        failure it is.
        """
        if run not in self._runs:
            return
        self._note_data(run)
        self._runs.remove(run)
        for key, value in totals(run).items():
            self._ended[key] += value
        code = run.exit_code()
        self._ended["marketarchive_runs_ended", (run.spider.name, str(code))] += 1
        if code == FINISHED:
            still = {(each.spider.venue, feed) for each in self._runs for feed in each.spider.feeds}
            for feed in run.spider.feeds:
                if (run.spider.venue, feed) not in still:
                    self._feeds.pop((run.spider.venue, feed), None)

    def close(self) -> None:
        """Close the endpoint."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    # ---- the event loop --------------------------------------------------------------------------------

    def _read(self) -> tuple[Figures, Gauges]:
        figures: Figures = defaultdict(float, self._ended)
        gauges: Gauges = []
        for run in self._runs:
            self._note_data(run)
            for key, value in totals(run).items():
                figures[key] += value
            gauges += present(run)
        gauges += self._ages()
        return figures, gauges

    def _note_data(self, run: MeasuredRun) -> None:
        now = run.clock.instant()
        for feed, at in run.last_data.items():
            known = self._feeds[run.spider.venue, feed]
            if at <= now.wall:  # else the clock was ahead when it came
                known.since = max(known.since, now.mono - (now.wall - at))

    def _ages(self) -> Iterator[tuple[str, Labels, float]]:
        for key, feed in self._feeds.items():
            labels = (*key, feed.role)
            age = to_seconds(feed.clock.mono_ns() - feed.since)
            yield "marketarchive_feed_data_age_seconds", labels, age
            yield "marketarchive_feed_interval_seconds", labels, feed.interval_s

    # ---- the threads that answer -----------------------------------------------------------------------

    def collect(self) -> Iterable[Family]:
        """Return all metrics in prometheus-client's form; called by the endpoint's thread."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        begun = time.monotonic()
        figures, gauges = self._of_runs()
        delay = time.monotonic() - begun
        for name, value in self._of_process(delay):
            gauges.append((name, (), value))
        kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
        families: dict[str, Any] = {
            metric.name: kinds[metric.kind](metric.name, metric.help, labels=metric.labels)
            for metric in METRICS
        }
        for (name, labels), value in figures.items():
            families[name].add_metric(labels, value)
        for name, labels, value in gauges:
            families[name].add_metric(labels, value)
        return families.values()

    def _of_runs(self) -> tuple[Figures, Gauges]:
        """Return the metrics that the event loop reads: counters and gauges.

        Both are empty where no run was added, or the loop does not answer within ANSWER_S.
        """
        answer: Future[tuple[Figures, Gauges]] = Future()
        if self._loop is not None:
            with suppress(RuntimeError, TimeoutError):  # closed: all is over
                self._loop.call_soon_threadsafe(self._answer, answer)
                return answer.result(ANSWER_S)
        return {}, []

    def _answer(self, answer: Future[tuple[Figures, Gauges]]) -> None:
        try:
            answer.set_result(self._read())
        except Exception as error:
            logger.exception("Metrics cannot be read; collecting goes on")
            answer.set_exception(error)

    def _of_process(self, delay: float) -> Iterator[tuple[str, float]]:
        writer = self._writer
        yield "marketarchive_event_loop_delay_seconds", delay
        yield "marketarchive_writer_buffer_bytes", writer.buffered
        yield "marketarchive_writer_buffer_soft_limit_bytes", writer.store.config.buffer_soft
        yield "marketarchive_writer_sync_age_seconds", writer.sync_age_s()
        yield "marketarchive_writer_stalled_seconds", writer.stalled_s()
        yield "marketarchive_writer_failed", writer.failure is not None
        yield "marketarchive_writer_lost_lines", writer.lost_lines
        with suppress(OSError):  # it is unmounted: the writer says so
            room = least_room(writer.store.root, writer.store.files)
            yield "marketarchive_disk_free_bytes", room.free
            yield "marketarchive_disk_size_bytes", shutil.disk_usage(room.folder).total

    def _listen(self, port: int) -> None:
        from prometheus_client import (
            CollectorRegistry,
            PlatformCollector,
            ProcessCollector,
            start_http_server,
        )

        registry = CollectorRegistry()
        registry.register(self)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        try:
            self._server, _ = start_http_server(port, HOST, registry)
        except OSError as error:
            remedy = "give this process another METRICS_PORT; collecting goes on"
            logger.warning("Metrics are not served: %s:%d: %s: %s", HOST, port, error.strerror, remedy)
            return
        self.url = f"http://{HOST}:{self._server.server_port}/metrics"
        logger.info("Metrics: %s", self.url)
