"""The ledger: one line for every final file of the archive, each with the sha256 of the line before it.

`manifests/ledger.jsonl` is only ever appended to, under `flock` on the file itself, by every run. A line
is compact JSON, `kind` first and `previous` last: the sha256 of the preceding line's bytes without its
newline, 64 zeros in the first. A line torn by a crash stays: the next writer ends it with a newline, writes
`torn_before` in its own line unless only the newline was missing, and chains to the torn bytes like to any
other line.

A query reads only a part of the ledger: `pages.py` summarises pages of old lines, and a page that cannot
hold what is searched is skipped. Every result is read from the lines themselves.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from marketarchive.archive.files import Files
from marketarchive.archive.pages import (
    PAGE_LINES,
    FeedSum,
    FeedSums,
    LedgerPage,
    LineMark,
    PageMaker,
    key_of,
    load_pages,
    store_pages,
)
from marketarchive.archive.paths import LEDGER, run_id_of
from marketarchive.times import from_iso

NOTHING = "0" * 64
"""Value of `previous` in the ledger's first line."""

SEGMENT_KINDS = ("segment", "recovered")
"""Kinds of ledger lines that enter a readable segment."""

FILE_KINDS = (*SEGMENT_KINDS, "torn", "joined", "manifest", "day_file")
"""Kinds of ledger lines that enter a file."""

_BEGIN = LineMark()
_BLOCK = 2**20
_KIND = re.compile(rb'\{"kind":"(\w+)","').match


@dataclass(frozen=True, slots=True)
class Head:
    """Head of a ledger: its number of lines and the sha256 of the last one (64 zeros when it is empty)."""

    count: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.count}:{self.sha256}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger."""

    number: int  # from 1
    raw: bytes  # without the newline; empty where it was not kept
    fields: dict[str, Any] | None  # None: the line is no JSON object (torn, or damaged)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def kind(self) -> str | None:
        return None if self.fields is None else self.fields.get("kind")

    def without_members(self) -> Entry:
        """Return the line without what only checks of its file need, which is nine tenths of its memory."""
        fields = {key: value for key, value in (self.fields or {}).items() if key != "members"}
        return Entry(self.number, b"", fields)

    def __getitem__(self, key: str) -> Any:
        if self.fields is None:
            raise KeyError(key)
        return self.fields[key]

    def get(self, key: str, default: Any = None) -> Any:
        return default if self.fields is None else self.fields.get(key, default)


class LedgerWriteError(OSError):
    """Raised when a line cannot be appended to the ledger: no file of this archive can be made final."""


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """Head, chain problems, and sums by feed over all lines of a ledger."""

    head: Head
    problems: list[str]  # of the chain
    feeds: list[FeedSum]


class Ledger:
    """Reader and writer of the ledger of one OUTPUT_DIR; every call opens the file anew."""

    def __init__(self, root: Path, files: Files | None = None, page_lines: int = PAGE_LINES) -> None:
        """Prepare to read and append. root: OUTPUT_DIR; page_lines: ledger lines per page of `seal_pages`."""
        self.path = root / LEDGER
        self._root = root
        self._files = files or Files()
        self._page_lines = page_lines
        self._mark: LineMark | None = None  # the newest whole line that was seen
        self._durable: tuple[int, int] | None = None  # device and inode of a ledger whose folders were synced

    def append(self, *entries: Mapping[str, Any]) -> Head:
        """Append lines in one durable write; return the new head. Raises LedgerWriteError.

        entries: the fields of each line without `previous`, which is added here.
        """
        try:
            return self._append(entries)
        except OSError as error:
            raise LedgerWriteError(error.errno, error.strerror, str(self.path)) from error

    def _append(self, entries: Sequence[Mapping[str, Any]]) -> Head:
        if self._durable is None:
            self._files.make_dirs(self.path.parent, self._root)
        handle = self._files.open_append(self.path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            mark, torn = self._end(handle)
            head = _head(mark, torn)
            previous, data = head.sha256, b"" if torn is None else b"\n"
            is_torn = torn is not None and _decoded(torn) is None
            for number, entry in enumerate(entries):
                noted = {"torn_before": True} if is_torn and number == 0 else {}
                line = msgspec.json.encode({**entry, **noted, "previous": previous})
                previous = hashlib.sha256(line).hexdigest()
                data += line + b"\n"
            self._files.write(handle, data)
            self._files.fsync(handle)
            found = os.fstat(handle)
            if self._durable != (found.st_dev, found.st_ino):
                self._files.sync_dir(self.path.parent)  # whoever made the file may have died before this
                self._durable = found.st_dev, found.st_ino
            return Head(head.count + len(entries), previous)
        finally:
            self._files.close(handle)  # and with it the lock

    def entries(self, kinds: Collection[str] | None = None) -> Iterator[Entry]:
        """Yield every line of the ledger in order; nothing when there is no ledger yet.

        kinds: lines that clearly are of another kind are skipped without being decoded; None: none are.
        """
        with self._snapshot() as (file, size):
            yield from _entries(file, 0, size, 0, kinds)

    def segments(
        self,
        feeds: Collection[tuple[str, str]] | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> Iterator[Entry]:
        """Yield the ledger lines, without members, of the segments that match, in order of the ledger.

        feeds: (venue, feed) of the segments, None for all; since, until: wall ns, None for open; only
        segments that may hold a line received in `since` <= time < `until`. Raises ValueError for a ledger
        line whose times cannot be parsed.
        """

        def may_hold(page: LedgerPage) -> bool:
            return page.has_segment(feeds, since, until)

        for entry in self._found(may_hold, SEGMENT_KINDS):
            if (feeds is None or (entry["venue"], entry["feed"]) in feeds) and touches(entry, since, until):
                yield entry.without_members()

    def of_kind(self, *kinds: str, begin: LineMark = _BEGIN, end: LineMark | None = None) -> Iterator[Entry]:
        """Yield the ledger lines of some kinds in order, those after the line `begin` up to the line `end`.

        By default from the first line to the last.
        """
        return self._found(lambda page: not page.kinds.keys().isdisjoint(kinds), kinds, begin, end)

    def page_spans(self) -> list[tuple[LineMark, LineMark]]:
        """Return (mark of the line before it, mark of its last line) of each page of the ledger."""
        with self._snapshot() as (file, _):
            return [(page.begin, page.end) for page in self._pages(file)]

    def feeds(self) -> set[tuple[str, str]]:
        """Return (venue, feed) of all segments in the ledger."""
        with self._snapshot() as (file, size):
            pages = self._pages(file)
            found = {
                (each.venue, each.feed) for page in pages for each in page.feeds if each.first is not None
            }
            rest = self._read(file, size, pages, lambda page: page.is_odd, SEGMENT_KINDS)
            return found | {(entry["venue"], entry["feed"]) for entry in rest}

    def of_run(self, run: str) -> Iterator[Entry]:
        """Yield, in order, the ledger lines whose field `run` or path has the id of a run."""
        return self.of_runs({run})

    def of_runs(self, runs: Collection[str]) -> Iterator[Entry]:
        """Yield, in order, the ledger lines whose field `run` or path has an id of `runs`.

        Only the id is compared: runs of two spiders may have the same one.
        """
        keys = {key_of(run) for run in runs}
        for entry in self._found(lambda page: page.has_key_of(keys), None):
            if entry.get("run") in runs or run_id_of(str(entry.get("path"))) in runs:
                yield entry

    def naming(self, paths: Collection[str]) -> Iterator[Entry]:
        """Yield, in order, the ledger lines whose field `path` is one of `paths`."""
        keys = {key_of(run_id_of(path) or path) for path in paths}
        wanted = frozenset(paths)
        for entry in self._found(lambda page: page.has_key_of(keys), None):
            if isinstance(path := entry.get("path"), str) and path in wanted:
                yield entry

    def day_files(self) -> set[str]:
        """Return the paths of all day files in the ledger."""
        with self._snapshot() as (file, size):
            pages = self._pages(file)
            found = {path for page in pages for path in page.day_files}
            rest = self._read(file, size, pages, _nothing, ("day_file",))
            return found | {path for entry in rest if isinstance(path := entry.get("path"), str)}

    def damaged(self) -> list[int]:
        """Return the numbers (from 1) of ledger lines that are not JSON though no crash tore them.

        The last line is left out: a crash may have torn it, which only the next line will state.
        """
        with self._snapshot() as (file, size):
            pages = self._pages(file)
            check = _check_behind(pages)
            found = [number for page in pages for number in page.damaged]
            for entry in self._read(file, size, pages, _nothing, None, with_torn=True):
                check.of(entry)
                found += [check.damaged] if check.damaged else []
            return found

    def summary(self) -> LedgerSummary:
        """Return head, chain problems and sums by feed over all lines of the ledger."""
        with self._snapshot() as (file, size):
            pages = self._pages(file)
            sums, head = FeedSums(), _head(_end_of(pages), None)
            for page in pages:
                for each in page.feeds:
                    sums.add(each)
            problems = [problem for page in pages for problem in page.problems]
            check = _check_behind(pages)
            for entry in self._read(file, size, pages, _nothing, None, with_torn=True):
                problems += check.of(entry)
                sums.apply(entry.fields)
                head = Head(entry.number, entry.sha256)
            return LedgerSummary(head, problems, [sums.by_feed[key] for key in sorted(sums.by_feed)])

    def seal_pages(self) -> int:
        """Summarise lines newer than the newest page in further full pages; return the number of all pages.

        Raises OSError where the pages cannot be stored.
        """
        with self._snapshot() as (file, size):
            pages = self._pages(file)
            begin, check = _end_of(pages), _check_behind(pages)
            fresh: list[LedgerPage] = []
            maker = PageMaker(begin)
            for entry in _entries(file, begin.offset, size, begin.lines):
                if maker.offset + len(entry.raw) == size:
                    break  # without its newline it is not whole yet
                maker.add(entry.raw, entry.fields, check.of(entry), check.damaged)
                if maker.lines == self._page_lines:
                    fresh.append(maker.page(check.unreadable))
                    maker = PageMaker(fresh[-1].end)
        if fresh:
            store_pages(self._root, [*pages, *fresh])
        return len(pages) + len(fresh)

    def mark(self) -> LineMark:
        """Return the mark of the ledger's newest complete line."""
        with self._shared() as handle:
            return LineMark() if handle is None else self._end(handle)[0]

    def holds(self, mark: LineMark) -> bool:
        """Return whether the line of a mark is still where it was.

        Then all lines before it are unchanged too.
        """
        with self._shared() as handle:
            return mark == LineMark() if handle is None else mark.holds_in(handle)

    def head(self) -> Head:
        """Return the ledger's head, which the next line will chain to."""
        with self._shared() as handle:
            return Head(0, NOTHING) if handle is None else _head(*self._end(handle))

    def check(self) -> list[str]:
        """Return the problems of the ledger's chain, each naming its line.

        An empty list when it is intact.
        """
        return check_chain(self.entries())

    def _end(self, handle: int) -> tuple[LineMark, bytes | None]:
        """Return (mark of the newest complete line, bytes of a torn line after it or None)."""
        known = self._mark
        if known is None or not known.holds_in(handle):
            known = _end_of(self._pages(handle))
        found, torn = _tail(handle, known)
        self._mark = found
        return found, torn

    def _pages(self, file: BinaryIO | int) -> list[LedgerPage]:
        """Return the stored pages that still match the ledger file; file: open file or file descriptor."""
        handle = file if isinstance(file, int) else file.fileno()
        pages = load_pages(self._root)
        while pages and not pages[-1].end.holds_in(handle):
            pages.pop()
        return pages

    def _found(
        self,
        may_hold: Callable[[LedgerPage], bool],
        kinds: Collection[str] | None,
        begin: LineMark = _BEGIN,
        end: LineMark | None = None,
    ) -> Iterator[Entry]:
        """Yield ledger lines, without reading pages that cannot hold what is searched.

        may_hold: decides by a page's summary; kinds: of the lines, None for all; begin, end: only lines after
        the first mark, up to the second.
        """
        with self._snapshot() as (file, size):
            until = size if end is None else min(size, end.offset)
            pages = [page for page in self._pages(file) if page.end.offset <= until]
            yield from self._read(file, until, pages, may_hold, kinds, begin)

    def _read(
        self,
        file: BinaryIO,
        size: int,
        pages: Sequence[LedgerPage],
        may_hold: Callable[[LedgerPage], bool],
        kinds: Collection[str] | None,
        behind: LineMark = _BEGIN,
        *,
        with_torn: bool = False,
    ) -> Iterator[Entry]:
        """Yield the lines of those pages for which `may_hold` is True, and all lines after the last page.

        size: bytes of the file to read; kinds: of the lines, None for all; behind: only lines after this
        mark; with_torn: yield lines that are no JSON object too.
        """
        spans = [(page.begin, page.end) for page in pages if page.end.offset <= size and may_hold(page)]
        for begin, end in (*spans, (_end_of(pages), LineMark(size))):
            first = max(begin, behind, key=lambda mark: mark.offset)
            for entry in _entries(file, first.offset, end.offset, first.lines, kinds):
                if with_torn or (entry.fields is not None and (kinds is None or entry.kind in kinds)):
                    yield entry

    @contextmanager
    def _snapshot(self) -> Iterator[tuple[BinaryIO, int]]:
        """Open the ledger; give (file, its present size in bytes).

        Written bytes never change, so only reading the size needs the lock.
        """
        with self._shared() as handle:
            size = 0 if handle is None else os.fstat(handle).st_size
        with (self.path if size else Path(os.devnull)).open("rb") as file:
            yield file, size

    @contextmanager
    def _shared(self) -> Iterator[int | None]:
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            yield None
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield handle
        finally:
            os.close(handle)


class ChainCheck:
    """Check of the ledger's chain, given its lines one after the other."""

    def __init__(self, previous: str = NOTHING, unreadable: int = 0) -> None:
        """Begin after the line whose sha256 is `previous`.

        unreadable: number of that line if it is not JSON, else 0.
        """
        self.sha256 = previous  # of the line checked last
        self.unreadable = unreadable  # number of the line checked last, if it is not JSON, else 0
        self.damaged = 0  # number of the line before that, if it is damaged, else 0

    def of(self, entry: Entry) -> list[str]:
        """Check the next line; return its problems, and the damage of the line before that it shows."""
        self.damaged = 0 if entry.get("torn_before") else self.unreadable
        self.unreadable = entry.number if entry.fields is None else 0
        problems = []
        if self.damaged:
            problems.append(f"line {self.damaged}: is not JSON, and the next line does not name it as torn")
        if entry.fields is not None and entry.get("previous") != self.sha256:
            problems.append(
                f"line {entry.number}: `previous` is not the digest of the line before it: "
                f"that line was changed, or lines were removed, added or moved here"
            )
        self.sha256 = entry.sha256
        return problems


def check_chain(entries: Iterable[Entry]) -> list[str]:
    """Return the problems of a ledger's chain: lines changed, removed, added, moved or torn.

    entries: all lines from number 1 on. A torn line is no problem when the next line states it, or when it
    is the last: that is what a crash leaves.
    """
    check = ChainCheck()
    return [problem for entry in entries for problem in check.of(entry)]


def touches(entry: Entry, since: int | None, until: int | None) -> bool:
    """Return whether a segment may hold a line received in `since` <= time < `until` (wall ns, None: open).

    entry: the segment's ledger line. Raises ValueError where its times cannot be parsed.
    """
    return (since is None or from_iso(entry["last"]) >= since) and (
        until is None or from_iso(entry["first"]) < until
    )


def _entries(
    file: BinaryIO, offset: int, until: int, number: int, kinds: Collection[str] | None = None
) -> Iterator[Entry]:
    """Yield the ledger lines in the bytes from `offset` to `until`; number: how many lines precede them.

    kinds: lines that clearly are of another kind are skipped without being decoded; None: none are.
    """
    file.seek(offset)
    while offset < until and (raw := file.readline(until - offset)):
        offset += len(raw)
        number += 1
        if kinds is not None and (match := _KIND(raw)) and match[1].decode() not in kinds:
            continue
        line = raw.removesuffix(b"\n")
        yield Entry(number, line, _decoded(line))


def _end_of(pages: Sequence[LedgerPage]) -> LineMark:
    return pages[-1].end if pages else LineMark()


def _check_behind(pages: Sequence[LedgerPage]) -> ChainCheck:
    return ChainCheck(pages[-1].end.sha256, pages[-1].unreadable_end) if pages else ChainCheck()


def _nothing(_: LedgerPage) -> bool:
    return False


def _head(mark: LineMark, torn: bytes | None) -> Head:
    if torn is not None:
        return Head(mark.lines + 1, hashlib.sha256(torn).hexdigest())
    return Head(mark.lines, mark.sha256 or NOTHING)


def _tail(handle: int, known: LineMark) -> tuple[LineMark, bytes | None]:
    """Return (mark of the newest complete line, bytes of a torn line after it or None) of the open ledger.

    Only bytes after the line of the mark `known` are read.
    """
    size = os.fstat(handle).st_size
    count, newest, before = known.lines, known.offset - 1, -1  # offsets of the last two newlines
    for offset in range(known.offset, size, _BLOCK):
        block = _read(handle, offset, min(_BLOCK, size - offset))
        found = block.count(b"\n")
        if found:
            count += found
            at = block.rfind(b"\n")
            earlier = block.rfind(b"\n", 0, at)
            before = offset + earlier if earlier >= 0 else newest
            newest = offset + at
    torn = _read(handle, newest + 1, size - newest - 1) if newest < size - 1 else None
    if newest < known.offset:
        return known, torn
    last = _read(handle, before + 1, newest - before - 1)
    return LineMark(newest + 1, count, len(last), hashlib.sha256(last).hexdigest()), torn


def _read(handle: int, offset: int, size: int) -> bytes:
    chunks = []
    while size > 0 and (chunk := os.pread(handle, size, offset)):
        chunks.append(chunk)
        offset, size = offset + len(chunk), size - len(chunk)
    return b"".join(chunks)


def _decoded(raw: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
