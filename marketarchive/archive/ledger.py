"""The ledger: one line for every file that is final, each holding the digest of the line before it.

`manifests/ledger.jsonl` is only ever appended to, under `flock` on the file itself, by every run. A line
is compact JSON, `kind` first and `previous` last: the sha256 of the preceding line's bytes without its
newline, 64 zeros in the first. A line torn by a crash stays: the next writer closes it with a newline,
says `torn_before`, and chains to its bytes like to any other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive.files import Files
from marketarchive.archive.paths import LEDGER

NOTHING = "0" * 64
"""`previous` of the first line."""

_BLOCK = 2**20
# printable ASCII only: what else a path may hold, or damage has made of it, is for the decoder
_KIND_AND_PATH = re.compile(rb'\{"kind":"(\w+)","path":"([ !#-\[\]-~]+)"').match


@dataclass(frozen=True, slots=True)
class Head:
    """Number of lines of the ledger and sha256 of the last one (64 zeros when it is empty)."""

    count: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.count}:{self.sha256}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger."""

    number: int  # from 1
    raw: bytes  # without the newline
    fields: dict[str, Any] | None  # None: the line is no JSON object (torn, or damaged)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def kind(self) -> str | None:
        return None if self.fields is None else self.fields.get("kind")

    def __getitem__(self, key: str) -> Any:
        if self.fields is None:
            raise KeyError(key)
        return self.fields[key]

    def get(self, key: str, default: Any = None) -> Any:
        return default if self.fields is None else self.fields.get(key, default)


class LedgerWriteError(OSError):
    """Raised when a line cannot be appended: nothing can be made final in this archive."""


class Ledger:
    """The ledger of one OUTPUT_DIR; every call opens the file anew."""

    def __init__(self, root: Path, files: Files | None = None) -> None:
        self.path = root / LEDGER
        self._root = root
        self._files = files or Files()

    def append(self, *entries: Mapping[str, Any]) -> Head:
        """Add lines (without `previous`) in one write, lasting when this returns. Raises LedgerWriteError."""
        try:
            return self._append(entries)
        except OSError as error:
            raise LedgerWriteError(error.errno, error.strerror, str(self.path)) from error

    def _append(self, entries: Sequence[Mapping[str, Any]]) -> Head:
        self._files.make_dirs(self.path.parent, self._root)
        handle = self._files.open_append(self.path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            count, last, is_torn = _tail(handle)
            previous = NOTHING if last is None else hashlib.sha256(last).hexdigest()
            data = b"\n" if is_torn else b""
            for entry in entries:
                torn = {"torn_before": True} if is_torn and entry is entries[0] else {}
                line = msgspec.json.encode({**entry, **torn, "previous": previous})
                previous = hashlib.sha256(line).hexdigest()
                data += line + b"\n"
            self._files.write(handle, data)
            self._files.fsync(handle)
            self._files.sync_dir(self.path.parent)  # whoever made the file may have died before this
            return Head(count + len(entries), previous)
        finally:
            self._files.close(handle)  # and with it the lock

    def entries(self) -> Iterator[Entry]:
        """Yield every line in order, as the file is now; nothing when there is no ledger yet."""
        for number, raw in enumerate(self._lines(), 1):
            yield Entry(number, raw, _decoded(raw))

    def paths(self, kind: str | None = None) -> Iterator[str]:
        """Yield the paths of all lines, or of those of one kind, without decoding the rest of a line.

        Lines that cannot be read are left out: `check` names them.
        """
        for raw in self._lines():
            if match := _KIND_AND_PATH(raw):
                found, path = match[1].decode(), match[2].decode()
            else:
                fields = _decoded(raw) or {}
                found, path = fields.get("kind"), fields.get("path")
            if isinstance(path, str) and kind in (None, found):
                yield path

    def _lines(self) -> Iterator[bytes]:
        """Yield the lines without newlines.

        What is there never changes, so only reading its size needs the lock.
        """
        with self._shared() as handle:
            size = 0 if handle is None else os.fstat(handle).st_size
        if size:
            with self.path.open("rb") as file:
                while size > 0 and (raw := file.readline(size)):
                    size -= len(raw)
                    yield raw.removesuffix(b"\n")

    def head(self) -> Head:
        """Return the newest line's head, as the next writer would chain to it."""
        with self._shared() as handle:
            if handle is None:
                return Head(0, NOTHING)
            count, last, _ = _tail(handle)
            return Head(count, NOTHING if last is None else hashlib.sha256(last).hexdigest())

    def check(self) -> list[str]:
        """Return the problems of the chain, each naming its line; empty when there are none."""
        return check_chain(self.entries())

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


def check_chain(entries: Iterable[Entry]) -> list[str]:
    """Return the problems of all entries: lines changed, removed, added, moved or torn.

    `entries` are consecutive from line 1 on. A torn line is no problem when the next line names it, or when
    it is the last: that is what a crash leaves.
    """
    problems: list[str] = []
    previous = NOTHING
    for entry, damaged in with_damage(entries):
        if damaged:
            problems.append(f"line {damaged}: is not JSON, and the next line does not name it as torn")
        if entry.fields is not None and entry.get("previous") != previous:
            problems.append(
                f"line {entry.number}: `previous` is not the digest of the line before it: "
                f"that line was changed, or lines were removed, added or moved here"
            )
        previous = entry.sha256
    return problems


def with_damage(entries: Iterable[Entry]) -> Iterator[tuple[Entry, int]]:
    """Yield each entry with the number of the line before it if that one is damaged, 0 if not.

    Damaged is a line that is not JSON, unless a crash tore it: then it is the last, or the next one says so.
    """
    unreadable = 0
    for entry in entries:
        yield entry, 0 if entry.get("torn_before") else unreadable
        unreadable = entry.number if entry.fields is None else 0


def _tail(handle: int) -> tuple[int, bytes | None, bool]:
    """Return (number of lines, the last one without newline or None, whether it lacks its newline)."""
    size = os.fstat(handle).st_size
    if size == 0:
        return 0, None, False
    count, newest, before = 0, -1, -1  # offsets of the last two newlines
    for offset in range(0, size, _BLOCK):
        block = _read(handle, offset, min(_BLOCK, size - offset))
        found = block.count(b"\n")
        if found:
            count += found
            at = block.rfind(b"\n")
            earlier = block.rfind(b"\n", 0, at)
            before = offset + earlier if earlier >= 0 else newest
            newest = offset + at
    if newest == size - 1:
        return count, _read(handle, before + 1, newest - before - 1), False
    return count + 1, _read(handle, newest + 1, size - newest - 1), True


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
