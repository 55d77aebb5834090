"""Listeners: receive the items of a collection as they pass, to display them or to make rows of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from marketarchive.clock import Clock
from marketarchive.items import Frames, Row
from marketarchive.times import SECOND

if TYPE_CHECKING:
    from marketarchive.collecting.together.look import ViewPart

Feeds = frozenset[tuple[str, str]]
"""Set of (venue, feed)."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Present state of a subject that a stream reports to listeners, before the row of its second exists."""

    venue: str
    feed: str
    subject: str
    at: int  # venue time, Unix ns
    value: Any = None  # the state for listeners: the top of a book, a ticker


@dataclass(frozen=True, slots=True)
class Share:
    """Seconds that were due for something, and how many of them were observed."""

    observed: int = 0
    due: int = 0
    joined_ns: int | None = (
        None  # wall ns from which on seconds count, where a round had begun before; None: all count
    )

    def __add__(self, other: Share) -> Share:
        return Share(self.observed + other.observed, self.due + other.due)

    @property
    def value(self) -> float | None:
        """Return the share of the due seconds that was observed, 0 to 1; None while none is due."""
        return self.observed / self.due if self.due else None


@dataclass(frozen=True, slots=True)
class Total:
    """Line of the summary at the end: how many markets were observed, and how much of their seconds."""

    name: str
    count: int
    seconds: Share
    what: str = "round"  # what is counted, singular


@dataclass(slots=True)
class Seconds:
    """Seconds covered by the rows of one series and subject, one row a second; times in wall ns."""

    first_ns: int  # tick of the first row
    rows_to_ns: int  # end of the newest row's second
    observed: int = 0

    @property
    def share(self) -> Share:
        """Return the share observed of the seconds from the first row to the newest."""
        return Share(self.observed, max((self.rows_to_ns - self.first_ns) // SECOND, self.observed))


class DueRows:
    """Counter of the rows of series that have one row per second, observed or not."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str, str], Seconds] = {}  # by feed, series and subject

    def apply(self, row: Row) -> None:
        """Count a row of a series that has one per second; other rows are ignored."""
        if row.is_due:
            key = (row.feed, row.series, row.subject)
            seconds = self.seconds.setdefault(key, Seconds(row.tick, row.tick))
            seconds.observed += row.observed
            seconds.rows_to_ns = max(seconds.rows_to_ns, row.tick + SECOND)

    def by_feed(self) -> dict[str, Share]:
        """Return for each feed the share of its seconds that was observed."""
        found: dict[str, Share] = {}
        for (feed, _, _), seconds in self.seconds.items():
            found[feed] = found.get(feed, Share()) + seconds.share
        return found


class RowWriter(Protocol):
    """Protocol of the collection's run, as a listener writes its own rows through it."""

    run: str

    def write_record(self, series: str, tick_ns: int, line: bytes, folder: Path | None = None) -> None: ...


class Listener:
    """Receiver of the items of a plan's feeds on their way to the disk.

    A plan has a listener of its own or uses `FeedCounts`. One that joins the items into rows of its own
    writes them in `keep` and `finish`.
    """

    def open(self, root: Path) -> None:
        """Check or lock what the listener needs, before a run is opened; by default nothing.

        root: OUTPUT_DIR. Raises ArgumentError.
        """

    def begin(self, clock: Clock, rows: RowWriter) -> None:
        """Prepare, before anything is collected; by default nothing. rows: writes the listener's own rows."""

    async def keep(self) -> None:
        """Do what is due by the clock; the task is cancelled when the feeds have ended."""

    def finish(self) -> None:
        """Write what remains to be written, after the last item; by default nothing."""

    def apply(self, item: Any) -> None:
        """Use an item that a spider yielded, or an Observation."""
        raise NotImplementedError

    def look(self, now: int) -> ViewPart:
        """Return what the live display shows of this listener at `now` (wall ns)."""
        raise NotImplementedError

    def other_gaps(self) -> int:
        """Return the number of gaps that the display from `look` does not show."""
        return 0

    def seconds(self, now: int) -> Mapping[str, Share]:  # noqa: ARG002  (a hook)
        """Return by feed how many seconds were due, and how many of them were observed.

        By default nothing.
        """
        return {}

    def totals(self, now: int) -> Sequence[Total]:  # noqa: ARG002  (a hook)
        """Return the lines that this listener adds to the summary at the end; now: wall ns."""
        return ()

    def advice(self, now: int) -> Iterable[tuple[str, str]]:  # noqa: ARG002  (a hook)
        """Return the next steps for the summary at the end: (purpose, command) each; now: wall ns."""
        return ()


class Selected(Listener):
    """Listener that passes items of some feeds on to another listener."""

    def __init__(self, listener: Listener, feeds: Feeds) -> None:
        self._listener = listener
        self._feeds = feeds

    def apply(self, item: Any) -> None:
        if (item.venue, item.feed) in self._feeds:
            self._listener.apply(item)


class Traffic(Listener):
    """Listener that counts the rows and frames of all feeds."""

    def __init__(self) -> None:
        self.rows = 0
        self.frames = 0

    def apply(self, item: Any) -> None:
        if isinstance(item, Frames):
            self.frames += len(item.frames)
        elif isinstance(item, Row):
            self.rows += 1
