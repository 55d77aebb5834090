"""Spot books of several venues as they stood at each second, replayed from archived frames."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from marketarchive.archive.ledger import Entry
from marketarchive.archive.reader import ArchiveReader, Message
from marketarchive.archive.replay import make_rows, replayed
from marketarchive.exceptions import ParseError
from marketarchive.times import SECOND
from marketarchive.venues import feed_of
from marketarchive.venues.book import KeptBook
from marketarchive.venues.exchange import SPOT
from marketarchive.venues.venue import RowMaker


class RunBook(NamedTuple):
    """A spot book and the run that recorded it."""

    run: str
    book: KeptBook


def books_each_second(
    root: Path, venues: Collection[str], first: int, last: int, *, before_ns: int
) -> Iterator[tuple[int, Mapping[str, list[RunBook]]]]:
    """Yield (second, venue -> books) for the Unix seconds `first` <= second < `last`.

    A book is as the messages received up to the beginning of the second left it; there is one for each open
    connection and market, and the next second changes the same objects. before_ns: messages are read from so
    long before the first second on. Only sealed segments are read. Raises ArchiveError, CorruptError.
    """
    makers: dict[tuple[str, str], RowMaker] = {}
    streams = _streams(root, venues, first * SECOND - before_ns, last * SECOND)
    second = first
    for at, message in heapq.merge(*streams, key=itemgetter(0)):
        while second < last and second * SECOND < at:
            yield second, _standing(makers)
            second += 1
        if second >= last:
            return
        _apply(makers, message)
    for left in range(second, last):
        yield left, _standing(makers)


def _streams(
    root: Path, venues: Collection[str], since: int, until: int
) -> list[Iterator[tuple[int, Message]]]:
    """Return an iterator of (ns, message) per run and venue, by time of receipt; since, until: ns."""
    runs: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for venue in sorted(venues):
        declared = feed_of(venue, SPOT)
        if declared is not None and declared.rows is not None:
            for entry in ArchiveReader(root).segments(venue, SPOT, since, until):
                runs[venue, entry["run"]].append(entry)
    return [_in_order(root, entries) for entries in runs.values()]


def _in_order(root: Path, entries: list[Entry]) -> Iterator[tuple[int, Message]]:
    """Yield (ns, message) of a run's segments in order.

    A stored book state gets the time of the frame before it, as of which it was stored.
    """
    at = 0
    for entry in entries:
        for message in replayed(root, entry):
            if message.kind in ("frame", "connection"):
                at = max(at, message.received_at)
            if message.kind in ("frame", "connection", "book_state"):
                yield at, message


def _apply(makers: dict[tuple[str, str], RowMaker], message: Message) -> None:
    key = message.venue, message.run
    if key not in makers:
        declared = feed_of(message.venue, message.feed)
        assert declared is not None
        assert declared.rows is not None
        makers[key] = declared.rows()
    try:
        for _ in make_rows(makers[key], message):
            pass  # rows are a by-product here; only the maker's books are wanted
    except ParseError:
        pass  # `scrapy normalize` counts the message, and the venue's own proof shows its effect on the book


def _standing(makers: Mapping[tuple[str, str], RowMaker]) -> dict[str, list[RunBook]]:
    found: dict[str, list[RunBook]] = defaultdict(list)
    for (venue, run), maker in makers.items():
        found[venue] += [RunBook(run, book) for book in maker.books()]
    return found
