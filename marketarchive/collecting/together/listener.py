"""Listeners: given the items of a collection as they pass, they know what is shown of them."""

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
"""(venue, feed)."""


@dataclass(frozen=True, slots=True)
class Observation:
    """State seen at a moment; its row follows once the second is over."""

    venue: str
    feed: str
    subject: str
    at: int  # wall ns, the venue's
    value: Any = None  # what was seen, where a listener may want it: the top of a book, a ticker


@dataclass(frozen=True, slots=True)
class Share:
    """Share of the seconds due that were observed."""

    observed: int = 0
    due: int = 0
    joined_ns: int | None = (
        None  # counted from here on only: what it is of had begun before; None = all of it
    )

    def __add__(self, other: Share) -> Share:
        return Share(self.observed + other.observed, self.due + other.due)

    @property
    def value(self) -> float | None:
        """Return the share as a number from 0 to 1; None while nothing is due."""
        return self.observed / self.due if self.due else None


@dataclass(frozen=True, slots=True)
class Total:
    """A line at the end: of how many what were observed, and how much of their seconds."""

    name: str
    count: int
    seconds: Share
    what: str = "round"


@dataclass(slots=True)
class Seconds:
    """The rows of one series and subject, a row a second; times in wall ns."""

    first_ns: int
    rows_to_ns: int
    observed: int = 0

    @property
    def share(self) -> Share:
        """Return the share observed of the seconds from the first row to the newest."""
        return Share(self.observed, max((self.rows_to_ns - self.first_ns) // SECOND, self.observed))


class DueRows:
    """Rows of which there is one a second, observed or not."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str, str], Seconds] = {}  # by feed, series and subject

    def apply(self, row: Row) -> None:
        """Count a row of a series that has one a second; other rows are ignored."""
        if row.is_due:
            key = (row.feed, row.series, row.subject)
            seconds = self.seconds.setdefault(key, Seconds(row.tick, row.tick))
            seconds.observed += row.observed
            seconds.rows_to_ns = max(seconds.rows_to_ns, row.tick + SECOND)

    def by_feed(self) -> dict[str, Share]:
        """Return the share observed of each feed's seconds."""
        found: dict[str, Share] = {}
        for (feed, _, _), seconds in self.seconds.items():
            found[feed] = found.get(feed, Share()) + seconds.share
        return found


class RowWriter(Protocol):
    """Destination of a listener's own rows: the run of the collection that it listens to."""

    run: str

    def write_record(self, series: str, tick_ns: int, line: bytes, folder: Path | None = None) -> None: ...


class Listener:
    """Receiver of the items of a plan's feeds on their way to the disk.

    A plan brings a subclass, or does with `FeedCounts`. One that joins what it is given into rows of its own
    writes them in `keep` and `finish`.
    """

    def open(self, root: Path) -> None:
        """Check or lock what the listener needs, before a run is opened in OUTPUT_DIR `root`.

        Raises ArgumentError.
        """

    def begin(self, clock: Clock, rows: RowWriter) -> None:
        """Begin, before anything is collected."""

    async def keep(self) -> None:
        """Do what is due by the clock; it is cancelled when the feeds have ended."""

    def finish(self) -> None:
        """Write what is left, the last call of all."""

    def apply(self, item: Any) -> None:
        """Count an item that a spider yielded, or an Observation."""
        raise NotImplementedError

    def look(self, now: int) -> ViewPart:
        """Return the content of the display at `now` (wall ns)."""
        raise NotImplementedError

    def other_gaps(self) -> int:
        """Return the number of gaps that `look` does not show."""
        return 0

    def seconds(self, now: int) -> Mapping[str, Share]:  # noqa: ARG002  (a hook)
        """Return by feed what was observed of the seconds that were due."""
        return {}

    def totals(self, now: int) -> Sequence[Total]:  # noqa: ARG002  (a hook)
        """Return the lines that the summary at the end adds."""
        return ()

    def advice(self, now: int) -> Iterable[tuple[str, str]]:  # noqa: ARG002  (a hook)
        """Return the next steps for the summary at the end: (purpose, command) each; now: wall ns."""
        return ()


class Selected(Listener):
    """Listener that passes on the items of some feeds."""

    def __init__(self, listener: Listener, feeds: Feeds) -> None:
        self._listener = listener
        self._feeds = feeds

    def apply(self, item: Any) -> None:
        if (item.venue, item.feed) in self._feeds:
            self._listener.apply(item)


class Traffic(Listener):
    """Counter of rows and frames of all feeds."""

    def __init__(self) -> None:
        self.rows = 0
        self.frames = 0

    def apply(self, item: Any) -> None:
        if isinstance(item, Frames):
            self.frames += len(item.frames)
        elif isinstance(item, Row):
            self.rows += 1
