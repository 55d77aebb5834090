"""Access to the bytes of a sealed segment, in its own file or in one that `scrapy compact` joined.

A segment is identified by its path and its sha256. It is read from its own file while that exists; afterwards
the ledger's `merged` line states the joined file, offset and length.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from pathlib import Path

import msgspec

from marketarchive.archive.ledger import Entry
from marketarchive.archive.paths import LEDGER
from marketarchive.json_lines import NOT_JSON

_BLOCK = 2**20
_MERGED = b'{"kind":"merged",'
_TAIL = 256  # bytes; the end of a line holds the digest of the line before, and so proves all before it


class Merged(msgspec.Struct, frozen=True):
    """A `merged` line of the ledger: the place of a segment's bytes in a joined file."""

    path: str  # of the segment
    sha256: str
    to: str  # path of the joined file
    offset: int  # bytes from the joined file's beginning
    length: int  # bytes


class SealedSegment(msgspec.Struct, frozen=True):
    """The fields of a segment's ledger line that joining needs; the whole line is much longer."""

    kind: str
    path: str
    sha256: str
    bytes: int
    first: str
    last: str

    @classmethod
    def of(cls, entry: Entry) -> SealedSegment:
        """Convert a segment's ledger line. Raises ValueError where the line lacks a field."""
        return msgspec.convert(entry.fields, cls)

    @property
    def folder(self) -> str:
        """Return the path of the folder that the segment is in, one folder per hour."""
        return self.path.rpartition("/")[0]

    @property
    def order(self) -> tuple[str, str]:
        """Return the key by which readers sort segments: the time of the first line, then the path."""
        return self.first, self.path


class StoredSegment:
    """Access to one sealed segment; each call determines anew which file holds its bytes.

    root: OUTPUT_DIR; path: the segment's own, relative to it.
    """

    def __init__(self, root: Path, path: str) -> None:
        self._root = root
        self._own = root / path
        self._path = path

    def place(self) -> ByteRange | None:
        """Return the file and range of the segment's bytes; None when no file on this disk has them."""
        if self._own.is_file():
            return ByteRange(self._own)
        found = merged_segments(self._root).get(self._path)
        if found is None or not (self._root / found.to).is_file():
            return None
        return ByteRange(self._root / found.to, found.offset, found.length)

    def holder(self) -> str:
        """Return the path, relative to OUTPUT_DIR, of the file that holds the segment's bytes.

        The segment's own path while its file exists, else that of the joined file if there is one. The file
        may have been moved to a remote.
        """
        if self._own.is_file():
            return self._path
        found = merged_segments(self._root).get(self._path)
        return self._path if found is None else found.to

    def open(self) -> BufferedReader:
        """Open the segment's bytes for reading, whichever file has them.

        Raises FileNotFoundError, OSError.
        """
        try:
            return self._own.open("rb")
        except FileNotFoundError:  # maybe it was removed a moment ago
            if (place := self.place()) is None:
                raise
            return place.open()

    def sha256(self) -> str:
        """Return the sha256 of the segment's bytes. Raises FileNotFoundError, OSError."""
        with self.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def as_file(self, copy: Path) -> Path:
        """Return the path of a file with the segment's bytes alone: its own, else `copy`, which is written.

        Raises FileNotFoundError, OSError.
        """
        if self._own.is_file():
            return self._own
        with self.open() as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)
        return copy


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A range of bytes in a file: `length` of them from `offset` on, all with the defaults."""

    path: Path
    offset: int = 0
    length: int | None = None

    @property
    def bytes(self) -> int:
        """Return the number of bytes; fewer than `length` where the file is too short. Raises OSError."""
        there = max(0, self.path.stat().st_size - self.offset)
        return there if self.length is None else min(self.length, there)

    def open(self) -> BufferedReader:
        """Open the range for reading. Raises OSError."""
        if self.length is None:
            return self.path.open("rb")
        return BufferedReader(_Slice(self.path, self.offset, self.length))


class _Slice(RawIOBase):
    """Raw stream of `length` bytes of a file from `offset` on; shorter where the file ends before."""

    def __init__(self, path: Path, offset: int, length: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._file.seek(offset)
        self._left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # RawIOBase's own is wider
        read = self._file.readinto(memoryview(buffer)[: self._left]) or 0
        self._left -= read
        return read

    def close(self) -> None:
        self._file.close()
        super().close()


def merged_of(entry: Entry) -> Merged | None:
    """Convert a `merged` ledger line; return None where a field is missing or invalid."""
    try:
        line = msgspec.convert(entry.fields, Merged)
    except msgspec.ValidationError:
        return None
    return line if line.offset >= 0 and line.length >= 0 else None


def merged_segments(root: Path) -> Mapping[str, Merged]:
    """Return segment path -> `merged` line of the ledger below OUTPUT_DIR `root`.

    Only ledger lines that are new since the last call are read.
    """
    path = root / LEDGER
    with _lock:
        return _ledgers.setdefault(path, _MergedLines(path)).read()


def slice_digests(path: Path, slices: Sequence[tuple[int, int]]) -> tuple[int, str, list[str]]:
    """Return (size in bytes, sha256, sha256 of each slice) of a file; slices: (offset, length).

    Raises OSError.
    """
    whole = hashlib.sha256()
    with path.open("rb") as file:
        size = 0
        while block := file.read(_BLOCK):
            whole.update(block)
            size += len(block)
    found = []
    for offset, length in slices:
        with ByteRange(path, offset, length).open() as part:
            found.append(hashlib.file_digest(part, "sha256").hexdigest())
    return size, whole.hexdigest(), found


def segments_in(root: Path, to: str, known: Iterable[SealedSegment]) -> list[Merged]:
    """Find the segments that a joined file consists of, by their sha256; return their places in it.

    to: path of the joined file relative to `root`; known: sealed segments of its folder. An empty list where
    the file holds any other bytes, or was cut. Raises OSError.
    """
    path, offset = root / to, 0
    size = path.stat().st_size
    found: list[Merged] = []
    for segment in sorted(known, key=lambda each: each.order):  # as they were joined
        if offset + segment.bytes > size:
            continue
        with ByteRange(path, offset, segment.bytes).open() as part:
            if hashlib.file_digest(part, "sha256").hexdigest() != segment.sha256:
                continue
        found.append(Merged(segment.path, segment.sha256, to, offset, segment.bytes))
        offset += segment.bytes
    return found if offset == size else []


def blocks_of(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in blocks of at most 1 MiB. Raises OSError."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


class _MergedLines:
    """Cache of the `merged` lines of one ledger: each line is read once, as a ledger is only appended to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = (0, 0)  # device and inode
        self._end = 0  # offset up to which the ledger was read
        self._tail = b""  # the last bytes before that offset
        self._found: dict[str, Merged] = {}

    def read(self) -> Mapping[str, Merged]:
        """Read new lines of the ledger, up to its last complete one; return segment path -> `merged` line."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if (status.st_dev, status.st_ino) != self._file or self._last(file.fileno()) != self._tail:
                    self._forget()  # another ledger: a copy that was made anew, or one that was changed
                    self._file = status.st_dev, status.st_ino
                file.seek(self._end)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # being written, or torn
                    self._end += len(line)
                    if line.startswith(_MERGED):
                        self._add(line)
                self._tail = self._last(file.fileno())
        except FileNotFoundError:
            self._forget()
        return self._found

    def _add(self, line: bytes) -> None:
        try:
            found = msgspec.json.decode(line, type=Merged)
        except NOT_JSON:
            return  # `verify` names it
        if found.offset >= 0 and found.length >= 0:
            self._found[found.path] = found

    def _last(self, handle: int) -> bytes:
        start = max(0, self._end - _TAIL)
        return os.pread(handle, self._end - start, start)

    def _forget(self) -> None:
        self._file = (0, 0)
        self._end = 0
        self._tail = b""
        self._found = {}


_ledgers: dict[Path, _MergedLines] = {}
_lock = threading.Lock()
