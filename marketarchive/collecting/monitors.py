"""Spidermon monitors for the end of a run: it collected what it was meant to, and its gaps are explained.

They read the run's stats and exit code. The user decides what follows a failed monitor: by a suite of his own
with `monitors_failed_actions`, named in SPIDERMON_ENGINE_STOP_MONITORS.
"""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

from spidermon import Monitor, MonitorSuite, monitors

from marketarchive.collecting.exit_codes import FINISHED
from marketarchive.collecting.run import run_of


class RunMonitor(Monitor):
    """Base class of the monitors; skipped where a crawler has no run, as of `scrapy fetch`."""

    def setUp(self) -> None:
        """Find the crawler's run and its stats."""
        super().setUp()
        run = run_of(self.data.crawler)
        if run is None:
            raise SkipTest("this spider has no run of the archive")
        self.run_ = run
        self.settings: Any = self.data.crawler.settings
        self.stats_now: dict[str, Any] = run.stats.get_stats()

    def count(self, prefix: str) -> dict[str, int]:
        """Return the stats whose names begin with `prefix`, by the rest of the name."""
        return {
            name.removeprefix(prefix): value
            for name, value in sorted(self.stats_now.items())
            if name.startswith(prefix)
        }


@monitors.name("Exit")
class ExitMonitor(RunMonitor):
    """Monitor that fails a run whose exit code is not 0."""

    @monitors.name("the run ended as it should")
    def test_exit_code(self) -> None:
        """Check that the exit code is 0."""
        ended = self.run_.exit()
        self.assertEqual(ended.code, FINISHED, f"exit code {ended.code}: {ended.cause}")


@monitors.name("Data")
class DataMonitor(RunMonitor):
    """Monitor that fails a run without data in its main feed, or with many rows of an unexpected form."""

    @monitors.name("its feed has data")
    def test_data(self) -> None:
        """Check that the spider's main feed received at least one usable message."""
        feed = self.run_.spider.feed
        good = self.stats_now.get(self.run_.spider.good_stat(feed), 0)
        self.assertGreater(good, 0, f"nothing usable was received in {self.run_.spider.venue}/{feed}")

    @monitors.name("rows have the form that the venue documents")
    def test_invalid(self) -> None:
        """Check that at most MONITOR_MAX_INVALID rows could not be made into items."""
        invalid = self.count("invalid/")
        most = self.settings.getint("MONITOR_MAX_INVALID")
        self.assertLessEqual(sum(invalid.values()), most, f"rows that made no item: {invalid}")


@monitors.name("Answers")
class AnswerMonitor(RunMonitor):
    """Monitor that fails a run to which the venue answered mostly with errors."""

    @monitors.name("the venue answers")
    def test_error_share(self) -> None:
        """Check that the share of answers other than 2xx is at most MONITOR_MAX_ERROR_SHARE."""
        statuses: dict[str, int] = {}
        for name, count in self.count(f"responses/{self.run_.spider.venue}/").items():
            status = name.rpartition("/")[2]
            statuses[status] = statuses.get(status, 0) + count
        every = sum(statuses.values())
        bad = sum(count for status, count in statuses.items() if not status.startswith("2"))
        most = self.settings.getfloat("MONITOR_MAX_ERROR_SHARE")
        self.assertLessEqual(bad, most * every, f"answers by status: {statuses}")


@monitors.name("Loss")
class LossMonitor(RunMonitor):
    """Monitor that fails a run with data missing by our own fault, or for an unknown reason."""

    @monitors.name("gaps are explained")
    def test_gaps(self) -> None:
        """Check that each gap's reason is in MONITOR_EXPLAINED_GAPS, and that few ticks were missed."""
        explained = set(self.settings.getlist("MONITOR_EXPLAINED_GAPS"))
        gaps = self.count("gaps/")
        if gaps.get("missed_tick", 0) <= self.settings.getint("MONITOR_MAX_MISSED_TICKS"):
            explained.add("missed_tick")
        left = {reason: count for reason, count in gaps.items() if reason not in explained}
        self.assertEqual(left, {}, "gaps with cause `ours` or `unknown`; see records/gaps-*.jsonl")

    @monitors.name("all that was received is on the disk")
    def test_written(self) -> None:
        """Check that the archive's writer wrote every line that it was given."""
        writer = self.run_.process.writer
        self.assertEqual(writer.lost_lines, 0, f"lines were lost: {writer.failure}")


class RunMonitors(MonitorSuite):
    """Suite of all monitors of this module."""

    monitors = [ExitMonitor, DataMonitor, AnswerMonitor, LossMonitor]  # noqa: RUF012  (Spidermon's own form)
