"""The rows of `records/` as CSV: the same columns, the same digits, one row after the other by tick."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TextIO

import msgspec

from marketarchive.archive.dayfile import FILE
from marketarchive.archive.files import Files
from marketarchive.archive.labels import labels
from marketarchive.archive.ledger import Ledger
from marketarchive.clock import SECOND, from_iso
from marketarchive.exceptions import ArgumentError

_DAY = 86_400 * SECOND
_SPECIAL = re.compile(r'[,"\r\n]')
_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass
class Exported:
    """What was written, and what was left out."""

    path: Path
    rows: int = 0
    files: int = 0
    labelled: list[str] = field(default_factory=list)  # files that a label takes out of use
    torn: list[str] = field(default_factory=list)  # files whose last line is not finished: written just now
    damaged: list[str] = field(default_factory=list)  # "file, line N": no JSON object with a tick


def tables(root: Path) -> list[str]:
    """What can be exported."""
    found = (FILE.fullmatch(path.name) for path in (root / "records").glob("*.jsonl"))
    return sorted({match["series"] for match in found if match})


def export(
    root: Path, table: str, target: Path, since: int | None = None, until: int | None = None
) -> Exported:
    """Writes the rows of `table` with `since` <= tick < `until` (ns) to `target`, whole or not at all.

    Rows of one tick stand in the order of their files. An index of one day's rows is held in memory. Raises
    ArgumentError for a table that is not there, OSError.
    """
    if table not in (there := tables(root)):
        raise ArgumentError(f"--table {table!r} is not here; there is {', '.join(there) or 'none yet'}")
    done = Exported(target)
    days = _days(root, table, since, until, done)
    columns = _columns(path for paths in days.values() for path in paths)
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
    """Day -> its files that are in use."""
    out_of_use = labels(list(Ledger(root).entries()))
    found: dict[str, list[Path]] = {}
    by_age = sorted((root / "records").glob(f"{table}-*.jsonl"), key=lambda path: (len(path.name), path.name))
    for path in by_age:  # a day's own file before those of later runs
        match = FILE.fullmatch(path.name)
        if match is None or match["series"] != table:
            continue
        start = from_iso(match["day"])
        if (since is not None and start + _DAY <= since) or (until is not None and start >= until):
            continue
        name = str(PurePosixPath("records", path.name))
        if name in out_of_use:
            done.labelled.append(name)
            continue
        found.setdefault(match["day"], []).append(path)
        done.files += 1
    return dict(sorted(found.items()))


def _columns(paths: Iterator[Path]) -> list[str]:
    """Of the first rows of all files: a later version of the program may have added some."""
    found: dict[str, None] = {}
    for path in paths:
        with path.open("rb") as file:
            try:
                found |= dict.fromkeys(_DECODER.decode(file.readline()))
            except msgspec.DecodeError:
                continue  # it is named when the rows are read
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
        texts = []
        for path in paths:
            file = stack.enter_context(path.open("rb"))
            size = path.stat().st_size
            texts.append(
                stack.enter_context(mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)) if size else b""
            )
        index: list[tuple[int, int, int, int]] = []  # tick, file, begin, end
        for number, (path, text) in enumerate(zip(paths, texts, strict=True)):
            name = str(path.relative_to(root))
            for line, (begin, end) in enumerate(_lines(text), 1):
                if text[end - 1 : end] != b"\n":
                    done.torn.append(name)
                elif (tick := _tick(text[begin:end])) is None:
                    done.damaged.append(f"{name}, line {line}")
                elif (times[0] is None or tick >= times[0]) and (times[1] is None or tick < times[1]):
                    index.append((tick, number, begin, end))
        for _, number, begin, end in sorted(index):
            row = _DECODER.decode(texts[number][begin:end])
            sink.write(_csv([_text(row[name]) if name in row else "" for name in columns]))
        done.rows += len(index)


def _lines(text: mmap.mmap | bytes) -> Iterator[tuple[int, int]]:
    begin = 0
    while begin < len(text):
        end = text.find(b"\n", begin) + 1 or len(text)
        yield begin, end
        begin = end


def _tick(line: bytes) -> int | None:
    """Wall ns; None where it is no row."""
    try:
        row = _DECODER.decode(line)
        named = row.get("tick_at") or row.get("timestamp") or row["from"]
        return from_iso(msgspec.json.decode(named, type=str))
    except (msgspec.DecodeError, KeyError, ValueError):
        return None


def _text(value: msgspec.Raw) -> str:
    """As the row has it: a string without its quotes, a number with all its digits, null as nothing."""
    raw = bytes(value)
    if raw == b"null":
        return ""
    return msgspec.json.decode(raw, type=str) if raw[:1] == b'"' else raw.decode()


def _csv(fields: Sequence[str]) -> str:
    """A line of CSV (RFC 4180, ended by a newline alone); the csv module leaves a lone CR unquoted then."""
    quoted = ('"' + each.replace('"', '""') + '"' if _SPECIAL.search(each) else each for each in fields)
    return ",".join(quoted) + "\n"
