"""Pages of the ledger: what is known of lines that were read before, so that a reader may pass over them.

`index/ledger.pages` is derived and never believed alone. A page says of some thousand consecutive lines what
they cannot hold, and what they come to; every line that is given out is read in the ledger itself. A page
holds only of the file in which its last line stands where it stood: since each line holds the digest of the
one before, what precedes it is the same too. Of a ledger that was rolled back or replaced, pages from the
first other line on are dropped. What nobody but `verify` finds is a line that was changed in place, to one as
long, in a page: it reads everything, and asks no page.
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
"""Lines of a page: a reader that needs one of them reads about 2 MB."""
_VERSION = 1


class LineMark(msgspec.Struct, frozen=True, array_like=True):
    """The end of a line: what precedes it is known by its digest."""

    offset: int = 0  # behind its newline
    lines: int = 0  # up to it
    last_bytes: int = 0  # of the line, without its newline
    sha256: str = ""  # of these

    def holds_in(self, handle: int) -> bool:
        """Return whether the line still stands there."""
        if self.offset == 0:
            return True
        begin = self.offset - 1 - self.last_bytes
        lead = min(begin, 1)  # the newline before it
        data = os.pread(handle, self.last_bytes + 1 + lead, begin - lead)
        line = data[lead:-1]
        return data == b"\n" * lead + line + b"\n" and hashlib.sha256(line).hexdigest() == self.sha256


class FeedSum(msgspec.Struct, array_like=True):
    """Sums over the segments of one feed."""

    venue: str
    feed: str
    first: int | None = None  # ns, of all its lines
    last: int | None = None
    newest: int | None = None  # ns: `last` without recovered segments, which end when recovery came
    sealed: int = 0
    recovered: int = 0
    torn: int = 0
    lines: int = 0
    bytes: int = 0
    invalid: int = 0

    def add(self, other: FeedSum) -> None:
        """Add the sums of other segments."""
        self.first = min((at for at in (self.first, other.first) if at is not None), default=None)
        self.last = max((at for at in (self.last, other.last) if at is not None), default=None)
        self.newest = max((at for at in (self.newest, other.newest) if at is not None), default=None)
        for name in ("sealed", "recovered", "torn", "lines", "bytes", "invalid"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class LedgerPage(msgspec.Struct, array_like=True):
    """Summary of consecutive lines."""

    begin: LineMark
    end: LineMark
    is_odd: bool  # a segment's line lacks what it has: whoever seeks segments reads them all
    damaged: list[int]  # numbers of lines that are not JSON though no crash tore them; the one before it too
    unreadable_end: int  # number of its last line, if that is not JSON, else 0
    problems: list[str]  # of the chain
    kinds: dict[str, int]
    feeds: list[FeedSum]
    day_files: list[str]
    keys: bytes  # CRC-32 of runs, and of paths that tell no run, ascending

    def has_key_of(self, wanted: Collection[int]) -> bool:
        """Return whether a line may be of a run or path with one of these keys."""
        keys = memoryview(self.keys).cast("I")
        if len(wanted) > len(keys):
            return not set(wanted).isdisjoint(keys)
        found = ((bisect_left(keys, key), key) for key in wanted)
        return any(at < len(keys) and keys[at] == key for at, key in found)

    def has_segment(
        self, feeds: Collection[tuple[str, str]] | None, since: int | None, until: int | None
    ) -> bool:
        """Return whether a segment may be of `feeds` (None: any) with a line in `since` <= time < `until`."""
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
    """Sums by feed, line by line."""

    by_feed: dict[tuple[str, str], FeedSum] = field(default_factory=dict)

    def apply(self, fields: Mapping[str, Any] | None) -> bool:
        """Add a line of the ledger; return False for one of a segment that lacks what it has."""
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
        """Add sums."""
        key = other.venue, other.feed
        self.by_feed.setdefault(key, FeedSum(*key)).add(other)


class _SummedLine(msgspec.Struct):
    """Fields needed of a segment's line."""

    venue: str
    feed: str
    first: str
    last: str
    lines: int
    bytes: int
    counts: dict[str, int]


class PageMaker:
    """A page in the making."""

    def __init__(self, begin: LineMark) -> None:
        self.end = begin
        self._begin = begin
        self._sums = FeedSums()
        self._is_odd = False
        self._damaged: list[int] = []
        self._problems: list[str] = []
        self._kinds: dict[str, int] = {}
        self._day_files: list[str] = []
        self._keys: set[int] = set()

    @property
    def lines(self) -> int:
        return self.end.lines - self._begin.lines

    def add(
        self, raw: bytes, fields: Mapping[str, Any] | None, problems: Sequence[str], damaged: int
    ) -> None:
        """Add the next line, with what it shows of the chain; damaged: number of the line before it, or 0."""
        self.end = LineMark(
            self.end.offset + len(raw) + 1, self.end.lines + 1, len(raw), hashlib.sha256(raw).hexdigest()
        )
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
        """Return what was added; unreadable_end: the last line's number, if it is not JSON, else 0."""
        keys = memoryview(bytearray(4 * len(self._keys))).cast("I")
        for at, key in enumerate(sorted(self._keys)):
            keys[at] = key
        return LedgerPage(
            self._begin,
            self.end,
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
    """Return the key of a run's id, or of a path that tells no run."""
    return zlib.crc32(name.encode(errors="surrogatepass"))


def load_pages(root: Path) -> list[LedgerPage]:
    """Return the pages that were stored, none where they cannot be read; which of them hold, marks tell."""
    return load_derived(root / LEDGER_PAGES, _VERSION, list[LedgerPage]) or []


def store_pages(root: Path, pages: Sequence[LedgerPage]) -> None:
    """Replace the pages. Raises OSError."""
    store_derived(root / LEDGER_PAGES, _VERSION, pages)
