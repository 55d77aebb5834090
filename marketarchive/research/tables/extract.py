"""Shared parts of tables: writing, unreadable rows, reading and writing by DuckDB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive.stored import StoredSegment
from marketarchive.research.engine import pattern, run, stored, text
from marketarchive.research.tables.partitions import METADATA, Partition, Stamp

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

EXAMPLES = 10
"""Number of unreadable things that are named; all are counted."""

Names = Mapping[str, tuple[str, str]]
"""Token -> (slug, outcome)."""

Progress = Callable[[int], None]
"""Told bytes of segments as they are read."""


@dataclass
class MadeTable:
    """Result of making a day's file."""

    rows: int = 0
    verified: bool = True  # False: without the verdicts that its rows can have
    unreadable: Counter[str] = field(default_factory=Counter)  # by what was wrong
    examples: list[dict[str, Any]] = field(default_factory=list)

    def miss(self, reason: str, detail: str, run: str, seq: int, position: int) -> None:
        """Count something that is no row; `position` is its place in the message, 0 for all of it."""
        self.unreadable[reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append({"run": run, "seq": seq, "position": position, "why": detail[:200]})


def register(
    connection: duckdb.DuckDBPyConnection, root: Path, partition: Partition, names: Names, target: Path
) -> list[str]:
    """Register `sources` (number, file and run of each segment) and `names`; return the files.

    A segment that lies within a joined file is copied out of it, beside `target`.
    """
    paths = [
        str(StoredSegment(root, entry["path"]).as_file(aside(target, f"segment-{number}.jsonl.gz")))
        for number, entry in enumerate(partition.entries)
    ]
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
    """Return the SQL of the segments' lines with `columns` (name -> type), `source` and `run`.

    Needs `sources`.
    """
    read = ", ".join(f"{name}: {text(kind)}" for name, kind in columns.items())
    return (
        f"read_json([{', '.join(map(pattern, paths))}], format = 'newline_delimited', columns = {{{read}}}, "
        "compression = 'gzip', filename = true) AS lines JOIN sources ON sources.file = lines.filename"
    )


def copy(connection: duckdb.DuckDBPyConnection, query: str, target: Path, stamp: Stamp) -> None:
    """Write the rows of `query` with the stamp of what they were made from."""
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
    """Return `path` under another name, which a later call deletes."""
    return path.with_name(f"{path.name}.{mark}")


_TYPES = {"source": "i4", "seq": "i8", "suspect": "b"}


def table(columns: Mapping[str, list[Any]], kinds: Mapping[str, str] = _TYPES) -> pa.Table:
    """Return a table of text columns, but for those in `kinds` (i4, i8, b)."""
    import pyarrow as pa

    types = {"s": pa.string(), "i4": pa.int32(), "i8": pa.int64(), "b": pa.bool_()}
    schema = pa.schema([(name, types[kinds.get(name, "s")]) for name in columns])
    return pa.table(dict(columns), schema)
