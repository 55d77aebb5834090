"""Live display of a plan without a listener of its own: one line of counts per feed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from marketarchive.collecting.together.listener import DueRows, Feeds, Listener, Share
from marketarchive.collecting.together.look import age_text, fitting, new_table
from marketarchive.items import Frames, Gap, Response, Row
from marketarchive.times import to_seconds

COLUMNS = ("feed", "messages", "rows", "gaps", "last data")
LEAST_FIRST = ("rows", "gaps", "messages")
"""Columns that are left out on a narrow terminal, in this order."""


@dataclass(slots=True)
class FeedFigures:
    """Counts of one feed's messages, rows and gaps since the start."""

    messages: int = 0
    rows: int = 0
    gaps: int = 0
    newest: int | None = None  # receipt of the newest message, wall ns


@dataclass(frozen=True)
class FeedLines:
    """Counts of every feed at a moment, as a display."""

    feeds: Mapping[str, tuple[int, int, int, float | None]]  # messages, rows, gaps, age of the newest (s)

    def table(self, width: int) -> Table:
        """Return the counts as a table for a terminal of `width` characters."""
        return fitting(width, COLUMNS, LEAST_FIRST, self._table)

    def _table(self, columns: list[str]) -> Table:
        made = new_table(columns, left=("feed",))
        for name, (*counts, age) in self.feeds.items():
            cells = dict(
                zip(COLUMNS, (name, *(f"{count:,}" for count in counts), age_text(age)), strict=True)
            )
            made.add_row(*(cells[column] for column in columns))
        return made

    def legend(self) -> list[str]:
        """Return no legend: the columns explain themselves."""
        return []

    def lines(self) -> list[str]:
        """Return the counts as lines of text for a log."""
        return [
            f"{name} messages {messages:,} rows {rows:,} gaps {gaps:,} last data {age_text(age)}"
            for name, (messages, rows, gaps, age) in self.feeds.items()
        ]


class FeedCounts(Listener):
    """Listener that counts messages, rows and gaps of each feed."""

    def __init__(self, feeds: Feeds) -> None:
        self.counts = {feed: FeedFigures() for feed in sorted(feeds)}
        self._due = DueRows()
        self._ended: set[str] = set()  # ids of gaps that were counted at their first end

    def apply(self, item: Any) -> None:
        """Count an item that a spider yielded under its venue and feed."""
        counts = self.counts.setdefault((item.venue, item.feed), FeedFigures())
        if isinstance(item, Frames):
            counts.messages += len(item.frames)
            counts.newest = item.frames[-1][0]
        elif isinstance(item, Response):
            counts.messages += 1
            counts.newest = item.received_at
        elif isinstance(item, Row):
            counts.rows += 1
            self._due.apply(item)
        elif isinstance(item, Gap):
            self._count_end(counts, item)

    def _count_end(self, counts: FeedFigures, gap: Gap) -> None:
        if gap.to_ns is not None and not gap.is_void and gap.id not in self._ended:
            self._ended.update({gap.id} - {""})
            counts.gaps += 1

    def look(self, now: int) -> FeedLines:
        """Return the counts of every feed at `now`, wall ns."""
        return FeedLines(
            {
                f"{venue}/{feed}": (
                    each.messages,
                    each.rows,
                    each.gaps,
                    None if each.newest is None else to_seconds(now - each.newest),
                )
                for (venue, feed), each in self.counts.items()
            }
        )

    def seconds(self, now: int) -> Mapping[str, Share]:  # noqa: ARG002  (a listener's interface)
        """Return for each feed how many seconds were due, and how many of them were observed."""
        return self._due.by_feed()
