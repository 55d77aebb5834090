"""The rows of `records/` as CSV: the same columns, the same digits, one row after the other by tick.

Days that were compressed are read as the plain ones are.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO, TextIO

import msgspec

from marketarchive.archive.dayfile import FILE
from marketarchive.archive.files import Files
from marketarchive.archive.labels import labels
from marketarchive.archive.ledger import Ledger
from marketarchive.exceptions import ArgumentError
from marketarchive.times import SECOND, from_iso

_DAY = 86_400 * SECOND
_SPECIAL = re.compile(r'[,"\r\n]')
_GZ = ".gz"
_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass
class Exported:
    """Result of an export: the rows written and those left out."""

    path: Path
    rows: int = 0
    files: int = 0
    labelled: list[str] = field(default_factory=list)  # files that a label takes out of use
    torn: list[str] = field(default_factory=list)  # files whose last line is not finished: written just now
    damaged: list[str] = field(default_factory=list)  # "file, line N": no JSON object with a tick; a gzip


def tables(root: Path) -> list[str]:
    """Return the names of the tables that can be exported."""
    found = (FILE.fullmatch(path.name.removesuffix(_GZ)) for path in (root / "records").glob("*.jsonl*"))
    return sorted({match["series"] for match in found if match})


def export(
    root: Path, table: str, target: Path, since: int | None = None, until: int | None = None
) -> Exported:
    """Write the rows of `table` with `since` <= tick < `until` (ns) to `target`, whole or not at all.

    Rows of one tick stand in the order of their files. An index of one day's rows is held in memory; its
    compressed files are unpacked beside the target. Raises ArgumentError for a table that is not
    there, OSError.
    """
    if table not in (there := tables(root)):
        raise ArgumentError(f"--table {table!r} is not here; there is {', '.join(there) or 'none yet'}")
    done = Exported(target)
    days = _days(root, table, since, until, done)
    columns = _columns(root, days, done)
    files = Files()
    temporary = target.with_name(f".{target.name}.tmp")
    with temporary.open("w", encoding="utf-8", newline="") as sink:
        sink.write(_csv(columns))
        for paths in days.values():
            _write_day(root, paths, columns, (since, until), sink, done)
        sink.flush()
        files.fsync(sink.fileno())
    files.rename(temporary, target)
    files.sync_dir(target.parent)
    return done


def _days(
    root: Path, table: str, since: int | None, until: int | None, done: Exported
) -> dict[str, list[Path]]:
    """Return day -> its files that are in use."""
    out_of_use = labels(list(Ledger(root).entries()))
    found: dict[str, list[Path]] = {}
    for path in _by_age((root / "records").glob(f"{table}-*.jsonl*")):
        match = FILE.fullmatch(path.name.removesuffix(_GZ))
        if match is None or match["series"] != table:
            continue
        start = from_iso(match["day"])
        if (since is not None and start + _DAY <= since) or (until is not None and start >= until):
            continue
        name = str(PurePosixPath("records", path.name))
        if not out_of_use.keys().isdisjoint({name, name.removesuffix(_GZ)}):
            done.labelled.append(name)
            continue
        found.setdefault(match["day"], []).append(path)
        done.files += 1
    return dict(sorted(found.items()))


def _by_age(paths: Iterable[Path]) -> list[Path]:
    """Return files of days, a day's own before those of later runs; of one in two forms the plain one."""
    plain: dict[str, Path] = {}
    for path in sorted(paths):  # the plain one comes first
        plain.setdefault(path.name.removesuffix(_GZ), path)
    return [plain[name] for name in sorted(plain, key=lambda name: (len(name), name))]


def _columns(root: Path, days: dict[str, list[Path]], done: Exported) -> list[str]:
    """Return the columns of all rows, in order of appearance; a gzip that is not whole leaves `days`.

    A later version of the program may have added some, also within a day.
    """
    found: dict[str, None] = {}
    for paths in days.values():
        for path in list(paths):
            try:
                with gzip.open(path) if path.suffix == _GZ else path.open("rb") as file:
                    for _, _, line in _lines(file):
                        if line.endswith(b"\n") and (row := _row(line)) is not None:
                            found |= dict.fromkeys(row[1])
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                paths.remove(path)
                done.files -= 1
                done.damaged.append(f"{path.relative_to(root)}: {error}")
    return list(found)


def _write_day(
    root: Path,
    paths: Sequence[Path],
    columns: Sequence[str],
    times: tuple[int | None, int | None],
    sink: TextIO,
    done: Exported,
) -> None:
    with ExitStack() as stack:
        opened = [_open(path, done.path.parent, stack) for path in paths]
        index: list[tuple[int, int, int, int]] = []  # tick, file, begin, size
        for number, (path, file) in enumerate(zip(paths, opened, strict=True)):
            name = str(path.relative_to(root))
            for count, (begin, size, line) in enumerate(_lines(file), 1):
                if not line.endswith(b"\n"):
                    done.torn.append(name)
                elif (row := _row(line)) is None:
                    done.damaged.append(f"{name}, line {count}")
                elif (times[0] is None or row[0] >= times[0]) and (times[1] is None or row[0] < times[1]):
                    index.append((row[0], number, begin, size))
        for _, number, begin, size in sorted(index):
            values = _DECODER.decode(os.pread(opened[number].fileno(), size, begin))
            sink.write(_csv([_text(values[name]) if name in values else "" for name in columns]))
        done.rows += len(index)


def _open(path: Path, folder: Path, stack: ExitStack) -> IO[bytes]:
    """Return an open file with the plain bytes, those of a gzip unpacked into a nameless one in `folder`."""
    if path.suffix != _GZ:
        return stack.enter_context(path.open("rb"))
    plain = stack.enter_context(TemporaryFile(dir=folder))  # noqa: SIM115  (the stack closes it)
    with gzip.open(path) as packed:
        shutil.copyfileobj(packed, plain)
    plain.seek(0)
    return plain


def _lines(file: IO[bytes] | gzip.GzipFile) -> Iterator[tuple[int, int, bytes]]:
    """Yield (offset, size in bytes, line).

    The file is not mapped into memory: a collector may cut a torn last line meanwhile.
    """
    begin = 0
    for line in file:
        yield begin, len(line), line
        begin += len(line)


def _row(line: bytes) -> tuple[int, dict[str, msgspec.Raw]] | None:
    """Return a row's tick (wall ns) and its values; None for a line that is no row."""
    try:
        line.decode()  # msgspec skips the bytes of a string that it leaves raw
        row = _DECODER.decode(line)
        named = row.get("tick_at") or row.get("timestamp") or row.get("time") or row["from"]
        return from_iso(msgspec.json.decode(named, type=str)), row
    except (msgspec.DecodeError, KeyError, ValueError):
        return None


def _text(value: msgspec.Raw) -> str:
    """Return a value as the row has it.

    A string is without its quotes, a number has all its digits, null is empty.
    """
    raw = bytes(value)
    if raw == b"null":
        return ""
    return msgspec.json.decode(raw, type=str) if raw[:1] == b'"' else raw.decode()


def _csv(fields: Sequence[str]) -> str:
    """Return a line of CSV (RFC 4180, but ended by a newline alone).

    The csv module would leave a lone CR unquoted then.
    """
    quoted = ('"' + each.replace('"', '""') + '"' if _SPECIAL.search(each) else each for each in fields)
    return ",".join(quoted) + "\n"
