"""What the tables that DuckDB extracts share: where they read, how they are written, what was no row.

DuckDB takes messages apart and marks what it cannot be trusted with (a row whose `token` is null). Those
messages are looked at one by one in Python and given to the same SQL again, as text that it can be trusted
with; what is no row even then is counted with its reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive.reader import Message
from marketarchive.exceptions import ArchiveError
from marketarchive.research.engine import pattern, run, stored, text
from marketarchive.research.tables.partitions import METADATA, Partition, Stamp
from marketarchive.times import iso

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

EXAMPLES = 10
"""How many unreadable things are named; all are counted."""

PRICE = "DECIMAL(18,9)"
SIZE = "DECIMAL(18,6)"
AMOUNT = "DECIMAL(38,18)"
"""What is no number of a book: an average price, an oracle's value."""

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999: what every reader of a table can hold."""

price_fits = re.compile(r"-?(?=\.?[0-9])[0-9]{0,9}(?:\.[0-9]{0,9}0*)?").fullmatch
size_fits = re.compile(r"-?(?=\.?[0-9])[0-9]{0,12}(?:\.[0-9]{0,6}0*)?").fullmatch
amount_fits = re.compile(r"-?(?=\.?[0-9])[0-9]{0,20}(?:\.[0-9]{0,18}0*)?").fullmatch

Names = Mapping[str, tuple[str, str]]
"""Token -> (slug, outcome)."""

Progress = Callable[[int], None]
"""Told bytes of segments as they are read."""


@dataclass
class Made:
    """What became of a day's messages."""

    rows: int = 0
    verified: bool = True  # False: without the verdicts that its rows can have
    unreadable: Counter[str] = field(default_factory=Counter)  # by what was wrong
    examples: list[dict[str, Any]] = field(default_factory=list)

    def miss(self, reason: str, detail: str, message: Message, position: int) -> None:
        """Something that is no row; `position` is its place in the message, 0 for all of it."""
        self.unreadable[reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(
                {"run": message.run, "seq": message.seq, "position": position, "why": detail[:200]}
            )

    def require_all(self, received: int, what: str, partition: Partition) -> None:
        """Compare rows and unreadable ones with what was received: less than that is a fault of ours.

        received: how many, counted apart from the rows; what: their name, plural. Raises ArchiveError.
        """
        unreadable = sum(self.unreadable.values())
        if self.rows + unreadable < received:
            raise ArchiveError(
                f"{partition.path}: {self.rows} rows and {unreadable} unreadable messages were made of "
                f"{received} {what} that were received; nothing was replaced"
            )


def register(
    connection: duckdb.DuckDBPyConnection, root: Path, partition: Partition, names: Names
) -> list[str]:
    """`sources` (of each segment its number, file and run) and `names`; the segments' files."""
    paths = [str(root / entry["path"]) for entry in partition.entries]
    columns: dict[str, list[Any]] = {
        "source": list(range(len(paths))),
        "file": paths,
        "run": [entry["run"] for entry in partition.entries],
    }
    connection.register("sources", table(columns, {"source": "i4"}))
    known = {
        "token": list(names),
        "slug": [slug for slug, _ in names.values()],
        "outcome": [outcome for _, outcome in names.values()],
    }
    connection.register("names", table(known))
    return paths


def lines(paths: list[str], columns: Mapping[str, str]) -> str:
    """The segments' lines with `columns` (name -> type), their `source` and `run`. Needs `sources`."""
    read = ", ".join(f"{name}: {text(kind)}" for name, kind in columns.items())
    return (
        f"read_json([{', '.join(map(pattern, paths))}], format = 'newline_delimited', columns = {{{read}}}, "
        "compression = 'gzip', filename = true) AS lines JOIN sources ON sources.file = lines.filename"
    )


def within(partition: Partition) -> str:
    """Whether a line lies in the partition's day."""
    first, until = text(iso(partition.first_ns)), text(iso(partition.until_ns))
    return f"collected_at_utc >= {first} AND collected_at_utc < {until}"


def frame_with(word: str) -> str:
    """Whether a frame may have an event with `word` in its text; so may one that is no JSON."""
    return (
        r"CASE WHEN payload IS NULL THEN coalesce(payload_text, '?') NOT IN ('', 'PONG') "
        rf"ELSE contains(payload::VARCHAR, {text(word)}) OR contains(payload::VARCHAR, '\u') END"
    )


def moment(milliseconds: str) -> str:
    """A time of the venue; null for one that no calendar has."""
    within = f"{milliseconds} BETWEEN 0 AND {LATEST_MS}"
    return f"make_timestamp_ms(CASE WHEN {within} THEN {milliseconds} END)::TIMESTAMPTZ"


def copy(connection: duckdb.DuckDBPyConnection, query: str, target: Path, stamp: Stamp) -> None:
    """Writes the rows of `query` with what they were made from."""
    metadata = text(msgspec.json.encode(stamp).decode())
    run(
        connection,
        f"COPY ({query}) TO {text(target)} "
        f"(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{METADATA}: {metadata}}})",
    )


def count(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    [(rows,)] = run(connection, f"SELECT count(*) FROM {stored(path)}")
    return int(rows)


def aside(path: Path, mark: str) -> Path:
    """`path` under another name, which a later call sweeps up."""
    return path.with_name(f"{path.name}.{mark}")


_TYPES = {"source": "i4", "seq": "i8", "suspect": "b"}


def table(columns: Mapping[str, list[Any]], kinds: Mapping[str, str] = _TYPES) -> pa.Table:
    """Text, but for the columns in `kinds` (i4, i8, b)."""
    import pyarrow as pa

    types = {"s": pa.string(), "i4": pa.int32(), "i8": pa.int64(), "b": pa.bool_()}
    schema = pa.schema([(name, types[kinds.get(name, "s")]) for name in columns])
    return pa.table(dict(columns), schema)
