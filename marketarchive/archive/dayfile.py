"""Day files, `records/<series>-YYYY-MM-DD.jsonl`: rows of one UTC day as plain JSONL, one writer per file.

A day file is final `day_grace_s` after the end of its day: then it is entered in the ledger and never changed
again. Rows of that day that come later go to a file of their run. A last line torn by a crash is cut when the
file is next opened, and the cut bytes are counted.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.locks import try_lock
from marketarchive.archive.paths import RUN_ID, checked_name, relative
from marketarchive.archive.store import Store
from marketarchive.times import SECOND, utc

FILE = re.compile(rf"(?P<series>[A-Za-z0-9_.]+)-(?P<day>\d{{4}}-\d\d-\d\d)(-{RUN_ID}(-\d+)?)?\.jsonl")
_DAY_NS = 86_400 * SECOND
_BLOCK = 2**20


class DayFile:
    """Writer of the rows that one run has of one series and UTC day; it opens the file with its first row.

    All methods may raise OSError.
    """

    def __init__(self, store: Store, series: str, day: str, run: str) -> None:
        self.written: list[dict[str, Any]] = []
        """For the run's manifest: each file that has rows of this day, with their offset, size and sha256."""
        self._digest = hashlib.sha256()  # of this run's rows in the newest file of `written`
        self._store = store
        self._base = f"{checked_name(series)}-{day}"
        self._run = run
        self._final_ns = _day_end(day) + store.day_grace_ns
        self._is_late = False
        self.handle: int | None = None
        self._is_dirty = False

    def write(self, batch: Sequence[bytes]) -> None:
        """Write a batch of rows, each of them JSON with its newline; they are durable only after `sync`."""
        if self.handle is None:
            self._open()
        assert self.handle is not None
        data = b"".join(batch)
        self._store.files.write(self.handle, data)
        self._digest.update(data)
        newest = self.written[-1]
        newest |= {
            "rows": newest["rows"] + len(batch),
            "bytes": newest["bytes"] + len(data),
            "sha256": self._digest.hexdigest(),
        }
        self._is_dirty = True

    def sync(self) -> None:
        """Bring all written rows to the disk, and enter the file in the ledger once its day is final.

        A file of late rows stays open until the run ends, since more may come.
        """
        self._flush()
        if not self._is_late and self._store.clock.now_ns() >= self._final_ns:
            self._enter()

    def close(self) -> None:
        """Bring all rows to the disk and close the file at the end of the run.

        Enter it in the ledger if final.
        """
        self.sync()
        if self._is_late:
            self._enter()
        self.abandon()

    def abandon(self) -> None:
        """Close the file without bringing its rows to the disk or entering it in the ledger."""
        if self.handle is not None:
            self._store.files.close(self.handle)
            self.handle = None

    def _open(self) -> None:
        files, root = self._store.files, self._store.root
        if self._store.rows:
            files.make_dirs(root / self._store.rows, root)
        self._is_late = self._store.clock.now_ns() >= self._final_ns
        for path in self._names():
            handle = files.open_append(root / path)
            if try_lock(handle) and str(path) not in _entered(self._store.ledger):
                break  # a clock that was ahead may have entered the file of a day that is not over
            files.close(handle)
        self.handle = handle
        cut = cut_torn_line(files, handle)
        files.sync_dir(root / self._store.rows)
        place = {} if self._store.rows else {"folder": str(root)}
        begin = os.fstat(handle).st_size
        self._digest = hashlib.sha256()
        self.written.append(
            {"path": str(path), **place, "rows": 0, "torn_bytes_cut": cut, "offset": begin, "bytes": 0}
        )

    def _names(self) -> Iterator[PurePosixPath]:
        """Yield paths to try for the rows: the day's own file, then files of this run, numbered without end.

        Late rows never go to a file that is final.
        """
        final = _entered(self._store.ledger) if self._is_late else set()
        if not self._is_late:
            yield PurePosixPath(self._store.rows, f"{self._base}.jsonl")
        for n in itertools.count(1):
            tail = "" if n == 1 else f"-{n}"
            path = PurePosixPath(self._store.rows, f"{self._base}-{self._run}{tail}.jsonl")
            if str(path) not in final:
                yield path

    def _flush(self) -> None:
        if self._is_dirty and self.handle is not None:
            self._store.files.fdatasync(self.handle)
            self._is_dirty = False

    def _enter(self) -> None:
        if self.handle is not None:
            self._store.ledger.append(_entry(self.written[-1]["path"], self.handle))
            self.abandon()


def day_files(root: Path, rows: str = "records") -> Iterator[tuple[Path, str]]:
    """Yield (path, UTC day as YYYY-MM-DD) of each day file, in order of path.

    rows: their folder below root.
    """
    for path in sorted((root / rows).glob("*.jsonl")):
        match = FILE.fullmatch(path.name)
        if match is not None:
            yield path, match["day"]


def finished_day_files(store: Store) -> Iterator[Path]:
    """Yield the day files of past days that the ledger does not name, in order of path."""
    entered, now_ns = _entered(store.ledger), store.clock.now_ns()
    for path, day in day_files(store.root, store.rows):
        if now_ns >= _day_end(day) + store.day_grace_ns and relative(store.root, path) not in entered:
            yield path


def enter_day_file(store: Store, path: Path) -> None:
    """Enter in the ledger a day file that its run left behind; do nothing where a process still writes it."""
    name = relative(store.root, path)
    handle = store.files.open_append(path)
    try:
        if try_lock(handle) and name not in _entered(store.ledger):
            cut = cut_torn_line(store.files, handle)
            store.ledger.append({**_entry(name, handle), **({"torn_bytes_cut": cut} if cut else {})})
    finally:
        store.files.close(handle)


def day_of(ns: int) -> str:
    """Return the UTC day of a time in ns, YYYY-MM-DD."""
    return f"{utc(ns):%Y-%m-%d}"


def cut_torn_line(files: Files, handle: int) -> int:
    """Cut a file, durably, after its last newline; return the number of bytes cut."""
    size = os.fstat(handle).st_size
    keep = size
    while keep > 0:
        start = max(0, keep - _BLOCK)
        at = os.pread(handle, keep - start, start).rfind(b"\n")
        if at >= 0:
            keep = start + at + 1
            break
        keep = start
    if keep < size:
        files.truncate(handle, keep)
        files.fsync(handle)
    return size - keep


def _entry(path: str, handle: int) -> dict[str, Any]:
    digest, lines, size = hashlib.sha256(), 0, 0
    while block := os.pread(handle, _BLOCK, size):
        digest.update(block)
        lines += block.count(b"\n")
        size += len(block)
    return {"kind": "day_file", "path": path, "bytes": size, "lines": lines, "sha256": digest.hexdigest()}


def _entered(ledger: Ledger) -> set[str]:
    return ledger.day_files()


def _day_end(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * SECOND + _DAY_NS
