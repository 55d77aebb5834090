"""Recording sessions: spans of consecutive usable segments of a run's feed, by the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketarchive.archive.labels import labels
from marketarchive.archive.ledger import SEGMENT_KINDS, Entry
from marketarchive.research.tables.extract import table
from marketarchive.times import from_iso

if TYPE_CHECKING:
    import pyarrow as pa

Feed = tuple[str, str, str]
"""(run, venue, feed)"""


@dataclass
class RecordingSession:
    """Time from the first to the last line of consecutive segments, none of them missing or labelled."""

    feed: Feed
    first_us: int
    last_us: int
    n: int  # number of its newest segment


def sessions(entries: Iterable[Entry]) -> list[RecordingSession]:
    """Return the recording sessions in the ledger lines `entries`, without segments labelled unusable."""
    known = [entry.without_members() for entry in entries]
    left_out = labels(known)
    used = [each for each in known if each.kind in SEGMENT_KINDS and each["path"] not in left_out]
    found: list[RecordingSession] = []
    for entry in sorted(used, key=lambda each: (*_feed(each), each["n"])):
        first, last = (from_iso(entry[name]) // 1000 for name in ("first", "last"))
        if found and found[-1].feed == _feed(entry) and found[-1].n == entry["n"] - 1:
            found[-1].n = entry["n"]
            found[-1].first_us = min(found[-1].first_us, first)
            found[-1].last_us = max(found[-1].last_us, last)
        else:
            found.append(RecordingSession(_feed(entry), first, last, entry["n"]))
    return found


def as_table(found: Iterable[RecordingSession]) -> pa.Table:
    """Return an Arrow table of sessions (session, run, venue, feed, first_us, last_us), numbered from 0."""
    rows = [(number, *each.feed, each.first_us, each.last_us) for number, each in enumerate(found)]
    names = ("session", "run", "venue", "feed", "first_us", "last_us")
    columns = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    return table(columns, dict.fromkeys(("session", "first_us", "last_us"), "i8"))


def _feed(entry: Entry) -> Feed:
    return entry["run"], entry["venue"], entry["feed"]
