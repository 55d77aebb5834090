"""Check of every archived book against its venue: by hash, checksum or sequence number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from marketarchive.archive.reader import Message
from marketarchive.archive.replay import make_rows
from marketarchive.archive.report import VerifyReport
from marketarchive.exceptions import ParseError
from marketarchive.gap_lines import GapLineKey, held_subjects
from marketarchive.scope import Scope
from marketarchive.times import SECOND, from_iso
from marketarchive.venues import feed_of
from marketarchive.venues.table_rows import BookChangesRow, BooksRow, ColumnarRows, TableRow
from marketarchive.venues.venue import RowMaker

SLACK_S = 1
"""Tolerance in s around a recorded gap: its ends stand on our estimate of the venue's time."""


class _Failure(NamedTuple):
    """A book from a socket's frame that does not match its hash; excused where a recorded gap covers it."""

    venue: str
    feed: str
    key: str
    at: int  # ns; the venue's time of the book, the time of receipt where the venue states none
    path: str  # of the segment
    line: int  # number in the segment, from 1
    what: str  # the problem, as the report shows it


class BookChecks:
    """Check of archived books against the hashes that their venue states, line by line."""

    def __init__(self) -> None:
        self._makers: dict[tuple[str, str, str], RowMaker] = {}  # by run, venue and feed
        self._unseen: set[str] = set()  # feeds with books whose venue declares no RowMaker
        self._faults: dict[str, str] = {}  # by feed: our own first error while reading its books
        self._failures: list[_Failure] = []
        self._open: dict[tuple[str, str, str], set[str]] = {}  # names of connections, by run, venue, feed
        self._gaps: list[tuple[GapLineKey, Scope, int, int | None]] = []

    def look(self, message: Message, report: VerifyReport) -> None:
        """Check the books in one line of a segment; lines are given in the order of `replay.replayed`.

        A failed book of an HTTP answer goes to `report` at once, one of a socket is kept until `finish`.
        """
        if message.kind == "gap":
            self._note_gap(message)
            return
        feed = feed_of(message.venue, message.feed)
        if feed is None or "books" not in feed.tables:
            return
        if feed.rows is None:
            self._unseen.add(f"{message.venue}/{message.feed}")
            return
        key = (message.run, message.venue, message.feed)
        if key not in self._makers:
            self._makers[key] = feed.rows()
        if message.kind == "connection":
            self._note_connection(message)
        for book, verdict, recipe, at in self._verdicts(self._makers[key], message):
            report.books[verdict] += 1
            if verdict == "failed":
                what = f"the book of {book} does not have the hash it states ({recipe})"
                if message.kind == "response":
                    report.problem(message.path, what, message.line_number)
                elif not self._has_another(message):  # the other may have sent it
                    where = (message.path, message.line_number, what)
                    self._failures.append(_Failure(message.venue, message.feed, book, at, *where))

    def finish(self, report: VerifyReport) -> None:
        """Report failed books of sockets outside of recorded gaps, and note feeds that were not checked."""
        held = held_subjects([about for about, *_ in self._gaps])
        gaps = [
            (replace(scope, subjects=tuple(subjects)), start, end)
            for (_, scope, start, end), subjects in zip(self._gaps, held, strict=True)
            if subjects is not None
        ]
        for failure in self._failures:
            if not _is_in_gap(failure, gaps):
                report.problem(failure.path, failure.what, failure.line)
        report.notes += sorted(
            f"no books of {feed} were checked: its venue declares no rows for it" for feed in self._unseen
        )
        report.notes += sorted(
            f"not all books of {feed} were checked: its venue's parser fails at {where}"
            for feed, where in self._faults.items()
        )

    def _verdicts(self, maker: RowMaker, message: Message) -> list[tuple[str, str, str, int]]:
        """Return (key, verified, hash recipe, venue's time in ns) of each book in a message."""
        try:
            rows = make_rows(maker, message)
            return [] if message.kind == "book_state" else list(_judged(rows, message.received_at))
        except ParseError:
            return []  # no book: its `invalid` line says what was wrong with it
        except Exception as error:
            where = f"{message.path} line {message.line_number}"
            self._faults.setdefault(f"{message.venue}/{message.feed}", f"{where}: {error!r}")
            return []

    def _note_connection(self, message: Message) -> None:
        names = self._open.setdefault((message.run, message.venue, message.feed), set())
        if message.envelope["event"] == "closed":
            names.discard(message.envelope["connection"])
        else:
            names.add(message.envelope["connection"])

    def _has_another(self, message: Message) -> bool:
        names = self._open.get((message.run, message.venue, message.feed), set())
        return bool(names - {message.envelope["connection"]})

    def _note_gap(self, message: Message) -> None:
        line = message.envelope
        scope = Scope.read(message.venue, message.feed, line["scope"])
        end = None if line["to"] is None else from_iso(line["to"])
        about = GapLineKey(message.venue, message.feed, line.get("id"), message.seq, scope.subjects)
        self._gaps.append((about, scope, from_iso(line["from"]), end))


def _is_in_gap(failure: _Failure, gaps: Iterable[tuple[Scope, int, int | None]]) -> bool:
    slack = SLACK_S * SECOND
    return any(
        scope.concerns(failure.venue, failure.feed, [failure.key])
        and start - slack <= failure.at
        and (end is None or failure.at <= end + slack)
        for scope, start, end in gaps
    )


def _judged(rows: Iterable[TableRow | ColumnarRows], received_at: int) -> Iterator[tuple[str, str, str, int]]:
    for row in rows:
        if isinstance(row, BooksRow | BookChangesRow):
            recipe = row.recipe if isinstance(row, BooksRow) else None
            key = row.token or row.market or row.asset or ""
            yield key, row.verified or "unchecked", recipe or "", row.event_time or received_at
