"""Files of `reference_prices` that a venue's own reader makes of messages, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive.reader import Message, read_segment
from marketarchive.research.tables import schemas
from marketarchive.research.tables.extract import Made
from marketarchive.research.tables.partitions import METADATA, Partition

if TYPE_CHECKING:
    import pyarrow as pa

AT_ONCE = 50_000  # rows kept before they are written

Reader = Callable[[Message, Made], Iterator[dict[str, Any]]]


def write(root: Path, partition: Partition, target: Path, read: Reader) -> Made:
    """Write the rows that `read` makes of the day's messages. Raises ArchiveError, CorruptError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = Made()
    stamp = msgspec.json.encode(partition.stamp(verified=True))
    columns = schema().with_metadata({METADATA.encode(): stamp})
    found: list[dict[str, Any]] = []
    with pq.ParquetWriter(target, columns, compression="zstd") as file:
        for entry in partition.entries:
            for message in read_segment(root, entry):
                if partition.first_ns <= message.received_at < partition.until_ns:
                    found += read(message, made)
                if len(found) >= AT_ONCE:
                    made.rows += len(found)
                    file.write_table(pa.Table.from_pylist(found, columns))
                    found.clear()
        made.rows += len(found)
        file.write_table(pa.Table.from_pylist(found, columns))
    return made


def schema() -> pa.Schema:
    """Return the columns: of the table, but for a verdict, which none of these messages have."""
    import pyarrow as pa

    return pa.schema([column for column in schemas.schema("reference_prices") if column.name != "verified"])
