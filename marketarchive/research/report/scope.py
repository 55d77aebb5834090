"""Scope of a report: a time range and assets, and what the ledger has of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from marketarchive.archive.ledger import SEGMENT_KINDS, Entry, Ledger
from marketarchive.archive.pages import FeedSum
from marketarchive.exceptions import ArchiveError
from marketarchive.research.tables.coverage import SLICE_S
from marketarchive.research.tables.partitions import feeds_with
from marketarchive.times import DAY, SECOND, from_iso, iso

_HOUR = 3_600
_SLICE = SLICE_S * SECOND
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, _HOUR, 3 * _HOUR, 6 * _HOUR, 24 * _HOUR)
_POINTS = 240  # most points of a line over the whole time range


@dataclass(frozen=True)
class ReportScope:
    """Time range `since` <= time < `until` (ns, whole five minutes) and assets (None: all) of a report."""

    root: Path
    since: int
    until: int
    assets: frozenset[str] | None = None

    def has(self, asset: str | None) -> bool:
        return self.assets is None or asset in self.assets

    @property
    def seconds(self) -> int:
        return (self.until - self.since) // SECOND

    @property
    def bin_s(self) -> int:
        """Return the width of a bar in charts of shares, in seconds: five minutes, an hour or a day."""
        if self.seconds <= 6 * _HOUR:
            return SLICE_S
        return _HOUR if self.seconds <= 100 * _HOUR else 24 * _HOUR

    @property
    def step_s(self) -> int:
        """Return the time step, in seconds, of line charts over the whole range."""
        return next((step for step in _STEPS if self.seconds <= step * _POINTS), _STEPS[-1])


@dataclass
class ReceivedFeeds:
    """Feeds, lines and bytes of the segments that overlap a time range; each segment counts as a whole."""

    segments: int = 0
    lines: int = 0
    bytes: int = 0
    counts: Counter[str] = field(default_factory=Counter)  # lines by kind
    feeds: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    recovered: int = 0


def scope(root: Path, since: int | None, until: int | None, assets: Collection[str] | None) -> ReportScope:
    """Return the scope of a report; by default the last 24 hours before `until` or the newest line.

    since, until: ns, widened to whole five minutes. Raises ArchiveError where nothing was recorded.
    """
    sums = [each for each in Ledger(root).summary().feeds if each.first is not None]
    if not sums:
        raise ArchiveError(f"{root} has no sealed segment: a report tells of a recording that was sealed")
    recorded = feeds_with("coverage") | feeds_with("reference_prices")
    reported = [each for each in sums if (each.venue, each.feed) in recorded] or sums
    begin, newest = _times(root, reported)
    end = newest + 1 if until is None else until
    start = max(begin, end - DAY) if since is None else since
    start, end = start // _SLICE * _SLICE, -(-end // _SLICE) * _SLICE
    if start >= end:
        span = f"{iso(begin)} to {iso(newest)}"
        raise ArchiveError(f"nothing was recorded in the requested time: the recording is of {span}")
    return ReportScope(root, start, end, None if assets is None else frozenset(assets))


def received(scope: ReportScope) -> ReceivedFeeds:
    found = ReceivedFeeds()
    for entry in Ledger(scope.root).segments(None, scope.since, scope.until):
        if from_iso(entry["first"]) < scope.until and _last(entry) >= scope.since:
            found.segments += 1
            found.lines += entry["lines"]
            found.bytes += entry["bytes"]
            found.counts.update(entry["counts"])
            found.feeds.add(f"{entry['venue']}/{entry['feed']}")
            found.runs.add(entry["run"])
            found.recovered += entry.kind == "recovered"
    return found


def firsts(scope: ReportScope) -> dict[tuple[str, str], list[int]]:
    """Return (venue, feed) -> times (ns) at which its segments begin, to end gaps whose end is unknown."""
    found: dict[tuple[str, str], list[int]] = {}
    for entry in Ledger(scope.root).of_kind(*SEGMENT_KINDS):
        found.setdefault((entry["venue"], entry["feed"]), []).append(from_iso(entry["first"]))
    return found


def _times(root: Path, reported: Collection[FeedSum]) -> tuple[int, int]:
    """Return the times of the first and the last line of some feeds (ns)."""
    feeds = {(each.venue, each.feed) for each in reported}
    recovered = Ledger(root).of_kind("recovered")
    last = [_last(entry) for entry in recovered if (entry["venue"], entry["feed"]) in feeds]
    last += [each.newest for each in reported if each.newest is not None]
    return min(each.first for each in reported if each.first is not None), max(last)


def _last(entry: Entry) -> int:
    """Return the time of a segment's last line (ns).

    The last line of a recovered segment is written by the recovery, maybe days later; the result is then at
    most an hour after the segment's first line.
    """
    last = from_iso(entry["last"])
    return last if entry.kind == "segment" else min(last, from_iso(entry["first"]) + _HOUR * SECOND)
