"""Tables that products let `scrapy export` write, and their CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.archive.files import Files
from marketarchive.research.labels.label import plain
from marketarchive.times import from_datetime, iso

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ExportedTable:
    """A table of a product: `research/products/<name>` has a tuple of them as `EXPORTS` in `exports`."""

    name: str
    rows: str  # what its rows are: "a row a second of ..."
    make: Callable[[Path, int | None, int | None, Any, str | None], pa.Table]
    """Takes OUTPUT_DIR, since, until (ns), assets or None for all, the master's URL. Raises ArchiveError,
    ConfigurationError, DiskError."""


def write_csv(table: pa.Table, target: Path) -> None:
    """Write a table as CSV (RFC 4180, lines ended by a newline alone), whole or not at all. Raises OSError.

    Null is nothing, a truth value 1 or 0, a time ISO 8601 in UTC; exact numbers have no trailing zeros.
    """
    files = Files()
    temporary = target.with_name(f".{target.name}.tmp")
    with temporary.open("w", encoding="utf-8", newline="") as sink:
        written = csv.writer(sink, lineterminator="\n")
        written.writerow(table.column_names)
        for batch in table.to_batches():
            columns = [column.to_pylist() for column in batch.columns]
            written.writerows([_text(value) for value in row] for row in zip(*columns, strict=True))
        sink.flush()
        files.fsync(sink.fileno())
    files.rename(temporary, target)
    files.sync_dir(target.parent)


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        return iso(from_datetime(value))
    if isinstance(value, Decimal):
        return plain(value)
    return value
