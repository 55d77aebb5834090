"""Read the rows of a series of `records/`, in order of their tick, from plain and compressed day files."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO, TypeAlias

import msgspec

from marketarchive.archive.dayfile import FILE
from marketarchive.archive.labels import labels
from marketarchive.archive.ledger import Ledger
from marketarchive.json_lines import DAMAGED_GZIP, NOT_JSON
from marketarchive.times import DAY, from_iso

RecordRow: TypeAlias = Mapping[str, msgspec.Raw]
"""Name -> value of a row, each value as the JSON text that is in its line."""

BATCH = 8192
"""Rows per list of `RecordRows.batches`."""

_GZ = ".gz"
_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


def series(root: Path) -> list[str]:
    """Return the names of the series that have a day file in `records/`, sorted."""
    found = (FILE.fullmatch(path.name.removesuffix(_GZ)) for path in (root / "records").glob("*.jsonl*"))
    return sorted({match["series"] for match in found if match})


class RecordRows:
    """Rows of one series with `since` <= tick < `until` (wall ns, None: open) for which `keeps` is True.

    The constructor reads all files once; rows written later are not included. `columns` are the names in all
    rows in order of appearance, also those that a later version of the program added within a day. Skipped
    files and lines are in `labelled`, `torn` and `damaged`. Methods raise OSError.
    """

    def __init__(
        self,
        root: Path,
        name: str,
        since: int | None = None,
        until: int | None = None,
        *,
        keeps: Callable[[RecordRow], bool] = lambda _: True,
    ) -> None:
        self.files = 0
        self.labelled: list[str] = []  # files labelled deprecated or invalid
        self.torn: list[str] = []  # files whose last line is incomplete: it is being written
        self.damaged: list[str] = []  # "file, line N" without a row, "file: error" for a gzip
        self._root = root
        self._since, self._until, self._keeps = since, until, keeps
        self._ends: dict[Path, int] = {}  # size of a file's complete lines, uncompressed, in bytes
        self._days = self._files_by_day(name)
        self.columns = self._read_through()

    def batches(self, scratch: Path) -> Iterator[list[bytes]]:
        """Yield lists of up to BATCH rows as JSON lines without newline, in order of their tick.

        Rows of one tick are in the order of their files. An index of one day's rows is held in memory.
        scratch: folder for temporary files, into which compressed day files are unpacked.
        """
        for paths in self._days.values():
            with ExitStack() as stack:
                opened = [_open(path, scratch, stack) for path in paths]
                index = sorted(self._index(paths, opened))
                for begin in range(0, len(index), BATCH):
                    yield [
                        os.pread(opened[number].fileno(), size, offset).rstrip(b"\n")
                        for _, number, offset, size in index[begin : begin + BATCH]
                    ]

    def _files_by_day(self, name: str) -> dict[str, list[Path]]:
        """Return day (YYYY-MM-DD) -> day files of the series that are not labelled."""
        out_of_use = labels(Ledger(self._root).of_kind("label"))
        found: dict[str, list[Path]] = {}
        for path in _by_age((self._root / "records").glob(f"{name}-*.jsonl*")):
            match = FILE.fullmatch(path.name.removesuffix(_GZ))
            if match is None or match["series"] != name:
                continue
            start = from_iso(match["day"])
            if not self._touches(start, start + DAY):
                continue
            stored = str(PurePosixPath("records", path.name))
            if not out_of_use.keys().isdisjoint({stored, stored.removesuffix(_GZ)}):
                self.labelled.append(stored)
                continue
            found.setdefault(match["day"], []).append(path)
            self.files += 1
        return dict(sorted(found.items()))

    def _read_through(self) -> list[str]:
        """Read all files once; return the columns of all rows, and leave out damaged gzip files."""
        found: dict[str, None] = {}
        for paths in self._days.values():
            for path in list(paths):
                try:
                    for row in self._first_reading(path):
                        found |= dict.fromkeys(row)
                except DAMAGED_GZIP as error:
                    paths.remove(path)
                    self.files -= 1
                    self.damaged.append(f"{path.relative_to(self._root)}: {error}")
        return list(found)

    def _first_reading(self, path: Path) -> Iterator[RecordRow]:
        """Yield all rows of a file; note its damaged lines, and where its last complete line ends."""
        name = str(path.relative_to(self._root))
        with gzip.open(path) if path.suffix == _GZ else path.open("rb") as file:
            for count, (begin, size, line) in enumerate(_lines(file), 1):
                if not line.endswith(b"\n"):
                    self.torn.append(name)
                    return
                self._ends[path] = begin + size
                if (row := _row(line)) is None:
                    self.damaged.append(f"{name}, line {count}")
                else:
                    yield row[1]

    def _index(
        self, paths: Sequence[Path], opened: Sequence[IO[bytes]]
    ) -> Iterator[tuple[int, int, int, int]]:
        """Yield (tick in wall ns, index of the file, offset, size in bytes) of each selected row of a day."""
        for number, (path, file) in enumerate(zip(paths, opened, strict=True)):
            file.seek(0)
            for begin, size, line in _lines(file):
                if begin >= self._ends.get(path, 0):
                    break  # was written since the first reading
                row = _row(line)
                if row is not None and self._touches(row[0], row[0] + 1) and self._keeps(row[1]):
                    yield row[0], number, begin, size

    def _touches(self, begin: int, end: int) -> bool:
        return (self._since is None or end > self._since) and (self._until is None or begin < self._until)


def values(line: bytes) -> RecordRow:
    """Return the values by column of a row, given as its JSON line."""
    return _DECODER.decode(line)


def _by_age(paths: Iterable[Path]) -> list[Path]:
    """Return day files, a day's own before those of late rows; where a gzip has a plain file, only that."""
    plain: dict[str, Path] = {}
    for path in sorted(paths):  # the plain one comes first
        plain.setdefault(path.name.removesuffix(_GZ), path)
    return [plain[name] for name in sorted(plain, key=lambda name: (len(name), name))]


def _open(path: Path, folder: Path, stack: ExitStack) -> IO[bytes]:
    """Open a day file; a gzip is unpacked into a temporary file in `folder`. stack: closes the file."""
    if path.suffix != _GZ:
        return stack.enter_context(path.open("rb"))
    plain = stack.enter_context(TemporaryFile(dir=folder))  # noqa: SIM115  (the stack closes it)
    with gzip.open(path) as packed:
        shutil.copyfileobj(packed, plain)
    plain.flush()
    return plain


def _lines(file: IO[bytes] | gzip.GzipFile) -> Iterator[tuple[int, int, bytes]]:
    """Yield (offset, size in bytes, line) of each line of a file.

    The file is not mapped into memory: a collector may cut a torn last line while it is read.
    """
    begin = 0
    for line in file:
        yield begin, len(line), line
        begin += len(line)


def _row(line: bytes) -> tuple[int, RecordRow] | None:
    """Return (tick in wall ns, values) of a row; None for a line that is no row."""
    try:
        line.decode()  # msgspec skips the bytes of a string that it leaves raw
        row = _DECODER.decode(line)
        named = row.get("tick_at") or row.get("timestamp") or row.get("time") or row["from"]
        return from_iso(msgspec.json.decode(named, type=str)), row
    except (*NOT_JSON, KeyError, ValueError):
        return None
