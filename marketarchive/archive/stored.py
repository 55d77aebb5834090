"""The bytes of a sealed segment, wherever they lie: in its own file, or in one that `compact` joined.

A segment is known by its path and the sha256 of its bytes, wherever they lie. Its own file is read while it
is there; then the ledger's `merged` line tells the file, offset and length.
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

_BLOCK = 2**20
_MERGED = b'{"kind":"merged",'
_TAIL = 256  # bytes; holds the digest of the last line's predecessor, and so of all lines before it


class Merged(msgspec.Struct, frozen=True):
    """A `merged` line of the ledger: where else a segment's bytes lie."""

    path: str  # of the segment
    sha256: str
    to: str  # path of the joined file
    offset: int  # bytes from its beginning
    length: int  # bytes


class SealedSegment(msgspec.Struct, frozen=True):
    """Fields of a segment's ledger line, which is much longer, that joining needs."""

    kind: str
    path: str
    sha256: str
    bytes: int
    first: str
    last: str

    @classmethod
    def of(cls, entry: Entry) -> SealedSegment:
        """Return it of a ledger line. Raises ValueError where that lacks something."""
        return msgspec.convert(entry.fields, cls)

    @property
    def folder(self) -> str:
        """Return the path of its hour's folder."""
        return self.path.rpartition("/")[0]

    @property
    def order(self) -> tuple[str, str]:
        """Return the key by which readers sort segments: the time of the first line, then the path."""
        return self.first, self.path


class StoredSegment:
    """The bytes of one sealed segment; each call looks anew where they lie.

    root: OUTPUT_DIR; path: the segment's own, relative to it.
    """

    def __init__(self, root: Path, path: str) -> None:
        self._root = root
        self._own = root / path
        self._path = path

    def place(self) -> ByteRange | None:
        """Return where the bytes lie now; None when the segment is not here, whoever has it."""
        if self._own.is_file():
            return ByteRange(self._own)
        found = _merged_segments(self._root).get(self._path)
        if found is None or not (self._root / found.to).is_file():
            return None
        return ByteRange(self._root / found.to, found.offset, found.length)

    def holder(self) -> str:
        """Return the path of the file that holds the bytes, or held them when it was here.

        It is relative to OUTPUT_DIR: the segment's own, unless only a joined one can have them.
        """
        if self._own.is_file():
            return self._path
        found = _merged_segments(self._root).get(self._path)
        return self._path if found is None else found.to

    def open(self) -> BufferedReader:
        """Open the bytes for reading from the first to the last. Raises FileNotFoundError, OSError."""
        try:
            return self._own.open("rb")
        except FileNotFoundError:  # maybe it was removed a moment ago
            if (place := self.place()) is None:
                raise
            return place.open()

    def sha256(self) -> str:
        """Return the digest of the bytes. Raises FileNotFoundError, OSError."""
        with self.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def as_file(self, copy: Path) -> Path:
        """Return a file that holds the segment alone: its own, or else `copy`, which is written then.

        Raises FileNotFoundError, OSError.
        """
        if self._own.is_file():
            return self._own
        with self.open() as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)
        return copy


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes of a file: all, or `length` of them from `offset`."""

    path: Path
    offset: int = 0
    length: int | None = None

    @property
    def bytes(self) -> int:
        """Return how many there are; fewer than `length` where the file is too short. Raises OSError."""
        there = max(0, self.path.stat().st_size - self.offset)
        return there if self.length is None else min(self.length, there)

    def open(self) -> BufferedReader:
        """Open them for reading. Raises OSError."""
        if self.length is None:
            return self.path.open("rb")
        return BufferedReader(_Slice(self.path, self.offset, self.length))


class _Slice(RawIOBase):
    """Read `length` bytes of a file from `offset` on; as many as there are where it is too short."""

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
    """Return what a `merged` line says; None where it lacks something, or a value is of another type."""
    try:
        line = msgspec.convert(entry.fields, Merged)
    except msgspec.ValidationError:
        return None
    return line if line.offset >= 0 and line.length >= 0 else None


def _merged_segments(root: Path) -> Mapping[str, Merged]:
    """Return the `merged` lines of the ledger below `root`, by the segment's path, as they are now.

    Only lines that are new since the last call are read.
    """
    path = root / LEDGER
    with _lock:
        return _ledgers.setdefault(path, _MergedLines(path)).read()


def slice_digests(path: Path, slices: Sequence[tuple[int, int]]) -> tuple[int, str, list[str]]:
    """Return size and sha256 of a file, and the sha256 of each (offset, length) of it. Raises OSError."""
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
    """Return where the segments lie that a joined file consists of, found by their sha256.

    to: path of the file relative to `root`; known: segments of its folder. Nothing where the file holds
    anything else, also where it was cut. Raises OSError.
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
    """Yield a file's bytes in pieces of bounded size. Raises OSError."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


class _MergedLines:
    """The `merged` lines of one ledger, which is only appended to: what was read is not read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = (0, 0)  # device and inode
        self._end = 0  # of what was read
        self._tail = b""  # what stood there
        self._found: dict[str, Merged] = {}

    def read(self) -> Mapping[str, Merged]:
        """Read what is new, up to the last whole line."""
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
        except (msgspec.DecodeError, UnicodeDecodeError):
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
