"""Whether every book in the archive is what its venue says it is: by hash, checksum or number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from marketarchive.archive.reader import Message
from marketarchive.archive.report import Report
from marketarchive.exceptions import ParseError
from marketarchive.gap_lines import GapLine, held_subjects
from marketarchive.invocation import command
from marketarchive.scope import Scope
from marketarchive.times import SECOND, from_iso
from marketarchive.venues import feed_of
from marketarchive.venues.messages import ConnectionLine
from marketarchive.venues.table_rows import BookChangesRow, BooksRow, TableRow
from marketarchive.venues.venue import RowMaker, Verified

SLACK_S = 1
"""Seconds that a gap's ends may be off: they stand on our estimate of the venue's time."""


class _Failure(NamedTuple):
    """A book of a socket's frame that did not match: no fault of the archive where a gap says why."""

    venue: str
    feed: str
    key: str
    at: int  # venue's time, ns; of receipt where it has none
    path: str
    line: int
    what: str


class BookChecks:
    """Looks at messages in their order, and says at the end what is wrong."""

    def __init__(self) -> None:
        self._makers: dict[tuple[str, str, str], RowMaker] = {}  # by run, venue and feed
        self._unseen: set[str] = set()  # feeds with books that nothing here looks at
        self._faults: dict[str, str] = {}  # by feed what went wrong first: ours, not the archive's
        self._failures: list[_Failure] = []
        self._open: dict[tuple[str, str, str], set[str]] = {}  # connections, by run, venue and feed
        self._gaps: list[tuple[GapLine, Scope, int, int | None]] = []

    def look(self, message: Message, report: Report) -> None:
        """Take one line of a segment."""
        if message.kind == "gap":
            self._note_gap(message)
            return
        feed = feed_of(message.venue, message.feed)
        if feed is None or message.kind not in ("response", "frame", "connection"):
            return
        if message.kind == "connection":
            self._connect(message)
            return
        if message.kind == "frame" if feed.verify is not None else feed.rows is None:
            if "books" in feed.tables:
                self._unseen.add(f"{message.venue}/{message.feed}")
            return
        if message.kind == "response" and message.envelope.get("status") != 200:
            return
        for key, verdict, recipe, at in self._verdicts(message):
            report.books[verdict] += 1
            if verdict == "failed":
                what = f"the book of {key} does not have the hash it states ({recipe})"
                if message.kind == "frame" and self._has_another(message):
                    continue  # what this connection lacks, another may have brought
                if message.kind == "frame":
                    where = (message.path, message.line_number, what)
                    self._failures.append(_Failure(message.venue, message.feed, key, at, *where))
                else:
                    report.problem(message.path, what, message.line_number)

    def finish(self, report: Report) -> None:
        """Name the failures of sockets that lie in no recorded gap, and feeds that were not looked at."""
        for failure in self._failures:
            if not self._is_in_gap(failure):
                report.problem(failure.path, failure.what, failure.line)
        remedy = command("normalize")
        notes = [f"not all books of {feed} were looked at: `{remedy}` replays them" for feed in self._unseen]
        notes += [
            f"not all books of {feed} were looked at: its venue's functions fail at {where}"
            for feed, where in self._faults.items()
        ]
        report.notes += sorted(notes)

    def _verdicts(self, message: Message) -> list[tuple[str, str, str, int]]:
        """Return what the feed's `verify`, or else its rows, say of the books in a message."""
        feed = feed_of(message.venue, message.feed)
        assert feed is not None
        try:
            if feed.verify is not None:
                found: Iterable[Verified] = feed.verify(message.received())
                return [(*each, message.received_at) for each in found]
            assert feed.rows is not None
            key = (message.run, message.venue, message.feed)
            if key not in self._makers:
                self._makers[key] = feed.rows()
            return list(_of_rows(self._makers[key].rows(message.received()), message.received_at))
        except ParseError:
            return []  # no book: its `invalid` line says what was wrong with it
        except Exception as error:
            where = f"{message.path} line {message.line_number}"
            self._faults.setdefault(f"{message.venue}/{message.feed}", f"{where}: {error!r}")
            return []

    def _connect(self, message: Message) -> None:
        key, line = (message.run, message.venue, message.feed), _connection(message)
        names = self._open.setdefault(key, set())
        if line.event == "closed":
            names.discard(line.connection)
        else:
            names.add(line.connection)
        if key in self._makers:
            self._makers[key].connect(line)

    def _has_another(self, message: Message) -> bool:
        names = self._open.get((message.run, message.venue, message.feed), set())
        return bool(names - {message.envelope["connection"]})

    def _note_gap(self, message: Message) -> None:
        line = message.envelope
        scope = Scope.read(message.venue, message.feed, line["scope"])
        end = None if line["to"] is None else from_iso(line["to"])
        about = GapLine(message.venue, message.feed, line.get("id"), message.seq, scope.subjects)
        self._gaps.append((about, scope, from_iso(line["from"]), end))

    def _is_in_gap(self, failure: _Failure) -> bool:
        slack = SLACK_S * SECOND
        held = held_subjects([about for about, *_ in self._gaps])
        return any(
            subjects is not None
            and (about.venue, about.feed) == (failure.venue, failure.feed)
            and (not scope.subjects or failure.key in subjects)
            and start - slack <= failure.at
            and (end is None or failure.at <= end + slack)
            for (about, scope, start, end), subjects in zip(self._gaps, held, strict=True)
        )


def _connection(message: Message) -> ConnectionLine:
    line = message.envelope
    keys = tuple(line.get("keys") or ())
    return ConnectionLine(line["connection"], line["event"], keys, message.received_at)


def _of_rows(rows: Iterable[TableRow], received_at: int) -> Iterator[tuple[str, str, str, int]]:
    for row in rows:
        if isinstance(row, BooksRow | BookChangesRow):
            recipe = row.recipe if isinstance(row, BooksRow) else None
            key = row.token or row.market or row.asset or ""
            yield key, row.verified or "unchecked", recipe or "", row.event_time or received_at
