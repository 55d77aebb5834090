"""What a collector of RTDS archived, against all that the simulated venue published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from marketarchive.archive.reader import ArchiveReader
from marketarchive.exceptions import ParseError
from marketarchive.simulator.polymarket import Polymarket
from marketarchive.simulator.polymarket.rtds import updates
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.polymarket import rtds
from marketarchive.venues.polymarket.endpoints import RTDS
from marketarchive.venues.polymarket.rtds import ReferencePoint
from tests.e2e.harness import Output
from tests.e2e.stream_truth import SEED, sent_until

SLACK = SECOND
"""At both ends of a run: what was published then may have come or not."""


def archived_updates(out: Path) -> set[tuple[str, str, int]]:
    """Return (topic, symbol, observation in ms) of every update that was archived."""
    found = set()
    for message in ArchiveReader(out).messages(feed="reference", kinds=("frame",)):
        try:
            points = rtds.decode(message.payload)
        except ParseError:
            continue
        found |= {_name(each) for each in points if not each.is_backfill}
    return found


def published_updates(out: Path, truth: Path) -> Iterator[tuple[int, ReferencePoint]]:
    """Yield (publication in ns, point) of every update while connections were open."""
    lines = Output(out).lines("reference", "connection")
    first = from_iso(min(line["collected_at_utc"] for line in lines))
    last = from_iso(max(line["collected_at_utc"] for line in lines))
    last = min(last, sent_until(truth, f"{RTDS.removeprefix('wss://')}*"))
    for frame in updates(Polymarket(SEED).rtds, list(rtds.TOPICS), first + SLACK, last - SLACK, ""):
        for point in rtds.decode(frame.payload):
            yield frame.ns, point


def missing_updates(out: Path, truth: Path) -> list[tuple[int, ReferencePoint]]:
    """Return those of `published_updates` that are not archived."""
    have = archived_updates(out)
    return [(at, point) for at, point in published_updates(out, truth) if _name(point) not in have]


def keys(point: ReferencePoint) -> tuple[str, str]:
    """Return the keys of a gap that it may lie in."""
    return point.topic, f"{point.topic}:{point.symbol}"


def _name(point: ReferencePoint) -> tuple[str, str, int]:
    return point.topic, point.symbol, point.observed_ms
