"""Runs that recorded the same feed at the same time: two collectors in one archive."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from marketarchive.archive.labels import labels
from marketarchive.archive.ledger import Ledger
from marketarchive.times import SECOND, from_iso

WITHIN_NS = 60 * SECOND
"""Greatest distance in ns of two runs' receipts of one message, even if one run stood still meanwhile."""


def around(first: int | None, last: int | None) -> tuple[int | None, int | None]:
    """Return the bounds (ns) of receipt of all copies of messages received in `first` <= time < `last`."""
    return None if first is None else first - WITHIN_NS, None if last is None else last + WITHIN_NS


class RunPair(NamedTuple):
    """Two runs of a feed, and the time (ns) in which both recorded it."""

    venue: str
    feed: str
    run: str  # the one that began first
    other: str
    first: int
    last: int


def run_pairs(root: Path, since: int | None = None, until: int | None = None) -> Iterator[RunPair]:
    """Yield each pair of runs that recorded a feed at the same time around `since` <= time < `until` (ns).

    The times of a run are those of its sealed segments without a label.
    """
    ledger = Ledger(root)
    labelled = labels(ledger.of_kind("label"))
    spans: dict[tuple[str, str], dict[str, tuple[int, int]]] = defaultdict(dict)
    for entry in ledger.segments(None, *around(since, until)):
        if entry["path"] in labelled:
            continue
        of_feed, run = spans[entry["venue"], entry["feed"]], entry["run"]
        first, last = from_iso(entry["first"]), from_iso(entry["last"])
        known = of_feed.get(run, (first, last))
        of_feed[run] = min(first, known[0]), max(last, known[1])
    for (venue, feed), of_feed in sorted(spans.items()):
        open_runs: list[tuple[str, int]] = []
        for run, (first, last) in sorted(of_feed.items(), key=lambda item: (item[1], item[0])):
            open_runs = [(other, end) for other, end in open_runs if end > first]
            for other, end in open_runs:
                pair = RunPair(venue, feed, other, run, first, min(end, last))
                is_late = until is not None and pair.first >= until + WITHIN_NS
                if not is_late and (since is None or pair.last > since - WITHIN_NS):
                    yield pair
            open_runs.append((run, last))


def run_groups(
    root: Path, since: int | None = None, until: int | None = None
) -> dict[tuple[str, str, str], int]:
    """Return (venue, feed, run) -> group number, equal for runs that recorded the feed at the same time.

    since, until: bounds in ns. Only runs that `run_pairs` yields are included.
    """
    found: dict[tuple[str, str, str], int] = {}
    for number, pair in enumerate(run_pairs(root, since, until)):
        one, other = ((pair.venue, pair.feed, run) for run in (pair.run, pair.other))
        joined = {found.get(one, number), found.get(other, number)}
        found.update({key: number for key, group in found.items() if group in joined})
        found[one] = found[other] = number
    return found


def simultaneous(root: Path, since: int | None = None, until: int | None = None) -> set[tuple[str, str]]:
    """Return the (venue, feed)s that two runs recorded at the same time.

    since, until: bounds in ns, None: no bound; runs shortly before and after them count too.
    """
    return {(pair.venue, pair.feed) for pair in run_pairs(root, since, until)}
