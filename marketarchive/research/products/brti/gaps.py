"""Recorded gaps of spot feeds: during a gap that concerns a book, the book's state is unknown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from marketarchive.research.products.brti.books import RunBook
from marketarchive.research.tables.gap_scope import of_row
from marketarchive.research.tables.recorded_gaps import recorded_gaps
from marketarchive.scope import Scope
from marketarchive.times import from_datetime
from marketarchive.venues.exchange import SPOT


class RecordedGaps:
    """Recorded gaps of the spot feeds of some venues within a time range."""

    def __init__(self, root: Path, venues: Collection[str], first: int, last: int) -> None:
        """Bring the table `gaps` up to date, and read it. first, last: wall ns. Raises ArchiveError."""
        self._of_run: dict[tuple[str, str], list[tuple[int, int | None, Scope]]] = defaultdict(list)
        for row in recorded_gaps(root, lambda venue, feed: venue in venues and feed == SPOT, first, last):
            self._add(row)

    def _add(self, row: Mapping[str, Any]) -> None:
        end: datetime | None = row["to"]
        gap = (
            from_datetime(row["from"]),
            None if end is None else from_datetime(end),
            of_row(row, row["venue"], row["feed"]),
        )
        self._of_run[row["venue"], row["run"]].append(gap)

    def touching(self, since: int, until: int) -> list[str]:
        """Return a line of text per gap that touches `since` <= time < `until` (ns), as a fingerprint."""
        return sorted(
            f"{venue} {run} {begin} {end} {scope}"
            for (venue, run), found in self._of_run.items()
            for begin, end, scope in found
            if begin < until and (end is None or end > since)
        )

    def concern(self, venue: str, held: RunBook, at: int) -> bool:
        """Return whether the run that recorded a book of `venue` has a gap that concerns it at `at` (ns)."""
        book = held.book
        names = {book.market} if book.asset is None else {book.market, book.asset}
        return any(
            begin <= at
            and (end is None or at < end)
            and scope.concerns(venue, SPOT, names, {book.connection})
            for begin, end, scope in self._of_run.get((venue, held.run), ())
        )
