"""Parts that tables share: results with unreadable rows, and reading and writing by DuckDB."""

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
"""Most unreadable messages and rows that are listed; all are counted."""

Names = Mapping[str, tuple[str, str]]
"""Token -> (slug, outcome)."""

Progress = Callable[[int], None]
"""Function that is called with the number of bytes of segments read since its last call."""


@dataclass
class MadeTable:
    """Result of making a day's file."""

    rows: int = 0
    verified: bool = True  # False: hashes were not recomputed, so verdicts of rows are missing
    unreadable: Counter[str] = field(default_factory=Counter)  # reason -> number of unreadable rows
    examples: list[dict[str, Any]] = field(default_factory=list)

    def miss(self, reason: str, detail: str, run: str, seq: int, position: int) -> None:
        """Count a message or row that cannot be read; position: its place in the message, 0: all of it."""
        self.unreadable[reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append({"run": run, "seq": seq, "position": position, "why": detail[:200]})


def register(
    connection: duckdb.DuckDBPyConnection, root: Path, partition: Partition, names: Names, target: Path
) -> list[str]:
    """Register the relations `sources` (number, file, run of each segment) and `names`; return the files.

    names: token -> (slug, outcome). A segment within a joined file is copied out of it, beside `target`.
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
    """Return the SQL of the lines of segments, with `columns` (name -> type), `source` and `run`.

    paths: files of the segments. Needs the relation `sources`.
    """
    read = ", ".join(f"{name}: {text(kind)}" for name, kind in columns.items())
    return (
        f"read_json([{', '.join(map(pattern, paths))}], format = 'newline_delimited', columns = {{{read}}}, "
        "compression = 'gzip', filename = true) AS lines JOIN sources ON sources.file = lines.filename"
    )


def copy(connection: duckdb.DuckDBPyConnection, query: str, target: Path, stamp: Stamp) -> None:
    """Write the rows of a query to a Parquet file; stamp: the inputs they were made from, as metadata."""
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
    """Return the path of a temporary file beside `path`, named with `mark`; a later run deletes it."""
    return path.with_name(f"{path.name}.{mark}")


_TYPES = {"source": "i4", "seq": "i8", "suspect": "b"}


def table(columns: Mapping[str, list[Any]], kinds: Mapping[str, str] = _TYPES) -> pa.Table:
    """Return an Arrow table of text columns; kinds: name -> type of other columns (i4, i8, b)."""
    import pyarrow as pa

    types = {"s": pa.string(), "i4": pa.int32(), "i8": pa.int64(), "b": pa.bool_()}
    schema = pa.schema([(name, types[kinds.get(name, "s")]) for name in columns])
    return pa.table(dict(columns), schema)
