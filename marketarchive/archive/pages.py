"""Pages of the ledger: summaries of its older lines, so that a reader may skip those it does not need.

`index/ledger.pages` is derived. A page gives the sums over some thousand consecutive lines, and lets a reader
decide which lines they cannot contain; the lines themselves are always read from the ledger. A page is used
only if its last line is still at its place in the file: each line holds the digest of the one before, so all
earlier lines are unchanged too. If a ledger was rolled back or replaced, pages from the first changed line on
are dropped. A line of a page that was changed in place, to one of the same length, is found only by `verify`,
which reads everything and uses no page.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive.derived_file import load_derived, store_derived
from marketarchive.archive.paths import LEDGER_PAGES, parse_segment_path, run_id_of
from marketarchive.times import from_iso

PAGE_LINES = 4096
"""Ledger lines per page; a reader that needs one of them reads about 2 MB."""
_VERSION = 1


class LineMark(msgspec.Struct, frozen=True, array_like=True):
    """Position of the end of a ledger line, with the line's digest, which proves all lines up to it."""

    offset: int = 0  # bytes of the file up to and with the line's newline
    lines: int = 0  # number of lines up to and with this one
    last_bytes: int = 0  # length of the line, without its newline
    sha256: str = ""  # of the line, without its newline

    def holds_in(self, handle: int) -> bool:
        """Return whether the open ledger file has this very line at this place. handle: file descriptor."""
        if self.offset == 0:
            return True
        begin = self.offset - 1 - self.last_bytes
        lead = min(begin, 1)  # the newline before it
        data = os.pread(handle, self.last_bytes + 1 + lead, begin - lead)
        line = data[lead:-1]
        return data == b"\n" * lead + line + b"\n" and hashlib.sha256(line).hexdigest() == self.sha256


class FeedSum(msgspec.Struct, array_like=True):
    """Sums over the segments of one feed in the ledger."""

    venue: str
    feed: str
    first: int | None = None  # wall ns of the earliest line
    last: int | None = None  # wall ns of the latest line
    newest: int | None = None  # as `last`, without recovered segments, whose last line is of the recovery
    sealed: int = 0  # number of sealed segments
    recovered: int = 0  # number of recovered segments
    torn: int = 0  # number of torn originals
    lines: int = 0  # of all segments
    bytes: int = 0  # compressed
    invalid: int = 0  # `invalid` lines

    def add(self, other: FeedSum) -> None:
        """Add the sums over other segments of the same feed."""
        self.first = min((at for at in (self.first, other.first) if at is not None), default=None)
        self.last = max((at for at in (self.last, other.last) if at is not None), default=None)
        self.newest = max((at for at in (self.newest, other.newest) if at is not None), default=None)
        for name in ("sealed", "recovered", "torn", "lines", "bytes", "invalid"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class LedgerPage(msgspec.Struct, array_like=True):
    """Page: a summary of consecutive ledger lines."""

    begin: LineMark  # of the line before the page
    end: LineMark  # of the page's last line
    is_odd: bool  # a segment's line lacks a field, so that the page's sums cannot exclude any segment
    damaged: list[int]  # numbers of lines that are not JSON though no crash tore them, from the one before on
    unreadable_end: int  # number of the page's last line, if that is not JSON, else 0
    problems: list[str]  # of the chain
    kinds: dict[str, int]  # number of lines by kind
    feeds: list[FeedSum]
    day_files: list[str]  # paths
    keys: bytes  # packed uint32: `key_of` each run id, and of each path without one, ascending

    def has_key_of(self, wanted: Collection[int]) -> bool:
        """Return whether the page may have a line of a run or path with one of these keys (see `key_of`)."""
        keys = memoryview(self.keys).cast("I")
        if len(wanted) > len(keys):
            return not set(wanted).isdisjoint(keys)
        found = ((bisect_left(keys, key), key) for key in wanted)
        return any(at < len(keys) and keys[at] == key for at, key in found)

    def has_segment(
        self, feeds: Collection[tuple[str, str]] | None, since: int | None, until: int | None
    ) -> bool:
        """Return whether the page may enter a segment that matches; False is certain.

        feeds: (venue, feed) of the segment, None for any; since, until: wall ns, None for open; the segment
        has a line in `since` <= time < `until`.
        """
        return self.is_odd or any(
            (feeds is None or (each.venue, each.feed) in feeds)
            and each.first is not None
            and each.last is not None
            and (since is None or each.last >= since)
            and (until is None or each.first < until)
            for each in self.feeds
        )


@dataclass
class FeedSums:
    """Sums by feed over ledger lines that are added one by one."""

    by_feed: dict[tuple[str, str], FeedSum] = field(default_factory=dict)

    def apply(self, fields: Mapping[str, Any] | None) -> bool:
        """Add a ledger line; return False for a segment's line that lacks a field.

        fields: None for no JSON.
        """
        kind = None if fields is None else fields.get("kind")
        if fields is None or kind not in ("segment", "recovered", "torn"):
            return True
        if kind == "torn":
            name = parse_segment_path(str(fields.get("path")))
            if name is not None:
                self.add(FeedSum(name.venue, name.feed, torn=1))
            return True
        try:
            line = msgspec.convert(fields, _SummedLine)
            first, last = from_iso(line.first), from_iso(line.last)
        except ValueError:  # msgspec's ValidationError is one
            return False
        is_sealed = kind == "segment"
        self.add(
            FeedSum(
                line.venue,
                line.feed,
                first,
                last,
                last if is_sealed else None,
                int(is_sealed),
                int(not is_sealed),
                lines=line.lines,
                bytes=line.bytes,
                invalid=line.counts.get("invalid", 0),
            )
        )
        return True

    def add(self, other: FeedSum) -> None:
        """Add sums over other segments to those of the same feed."""
        key = other.venue, other.feed
        self.by_feed.setdefault(key, FeedSum(*key)).add(other)


class _SummedLine(msgspec.Struct):
    """Fields of a segment's ledger line that are summed."""

    venue: str
    feed: str
    first: str
    last: str
    lines: int
    bytes: int
    counts: dict[str, int]


class PageMaker:
    """Builder of one page from consecutive ledger lines."""

    def __init__(self, begin: LineMark) -> None:
        self.offset = begin.offset  # bytes of the file up to and with the newest line added
        self.lines = 0  # number of lines added
        self._begin = begin
        self._last = b""  # the newest line added
        self._sums = FeedSums()
        self._is_odd = False
        self._damaged: list[int] = []
        self._problems: list[str] = []
        self._kinds: dict[str, int] = {}
        self._day_files: list[str] = []
        self._keys: set[int] = set()

    def add(
        self, raw: bytes, fields: Mapping[str, Any] | None, problems: Sequence[str], damaged: int
    ) -> None:
        """Add the next ledger line.

        raw: its bytes without the newline; fields: decoded, None if it is no JSON object; problems: of the
        chain at this line; damaged: number of the line before it if that is damaged, else 0.
        """
        self.offset += len(raw) + 1
        self.lines += 1
        self._last = raw
        self._problems += problems
        if damaged:
            self._damaged.append(damaged)
        if fields is None:
            return
        kind, path, run = fields.get("kind"), fields.get("path"), fields.get("run")
        if isinstance(kind, str):
            self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if isinstance(path, str):
            self._keys.add(key_of(run_id_of(path) or path))
            if kind == "day_file":
                self._day_files.append(path)
        if isinstance(run, str):
            self._keys.add(key_of(run))
        self._is_odd |= not self._sums.apply(fields)

    def page(self, unreadable_end: int) -> LedgerPage:
        """Return the page of all lines added.

        unreadable_end: number of the last one if it is not JSON, else 0.
        """
        keys = memoryview(bytearray(4 * len(self._keys))).cast("I")
        for at, key in enumerate(sorted(self._keys)):
            keys[at] = key
        digest = hashlib.sha256(self._last).hexdigest()
        return LedgerPage(
            self._begin,
            LineMark(self.offset, self._begin.lines + self.lines, len(self._last), digest),
            self._is_odd,
            self._damaged,
            unreadable_end,
            self._problems,
            self._kinds,
            list(self._sums.by_feed.values()),
            self._day_files,
            bytes(keys),
        )


def key_of(name: str) -> int:
    """Return the CRC-32 of a name by which pages of the ledger are searched.

    name: a run id, or the path of a file that belongs to no run.
    """
    return zlib.crc32(name.encode(errors="surrogatepass"))


def load_pages(root: Path) -> list[LedgerPage]:
    """Return the stored pages of the ledger below OUTPUT_DIR; an empty list where they cannot be read.

    The caller checks by each page's `end` whether it still matches the ledger.
    """
    return load_derived(root / LEDGER_PAGES, _VERSION, list[LedgerPage]) or []


def store_pages(root: Path, pages: Sequence[LedgerPage]) -> None:
    """Store the pages of the ledger below OUTPUT_DIR, replacing those stored before. Raises OSError."""
    store_derived(root / LEDGER_PAGES, _VERSION, pages)
