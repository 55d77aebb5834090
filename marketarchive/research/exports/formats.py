"""The formats that `scrapy export` writes; its help and its errors list those in FORMATS."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from marketarchive.research.engine import require
from marketarchive.research.exports.table import ExportedRows

_SPECIAL = re.compile(r'[,"\r\n]')


@dataclass(frozen=True)
class Format:
    """Format of an exported file; its name is the file's suffix."""

    name: str
    what: str
    write: Callable[[ExportedRows, IO[bytes], Path], int]
    """Writes all rows to an open file, using a folder for nameless temporary files; returns their number.

    Raises what reading the rows raises.
    """


def _write_csv(rows: ExportedRows, sink: IO[bytes], scratch: Path) -> int:
    sink.write(_line(rows.columns))
    return _write_lines((_line(row) for batch in rows.batches(scratch) for row in batch.cells()), sink)


def _write_jsonl(rows: ExportedRows, sink: IO[bytes], scratch: Path) -> int:
    # neither name nor date: the same bytes each time
    with gzip.GzipFile("", "wb", compresslevel=6, fileobj=sink, mtime=0) as packed:
        lines = (each + b"\n" for batch in rows.batches(scratch) for each in batch.objects())
        return _write_lines(lines, packed)


def write_plain_jsonl(rows: ExportedRows, sink: IO[bytes], scratch: Path) -> int:
    """Write rows to `sink` as JSON lines without compression; return their number."""
    return _write_lines((each + b"\n" for batch in rows.batches(scratch) for each in batch.objects()), sink)


def _write_parquet(rows: ExportedRows, sink: IO[bytes], scratch: Path) -> int:
    require()
    import pyarrow.parquet as pq

    count = 0
    with pq.ParquetWriter(sink, rows.schema(scratch), compression="zstd") as written:
        for batch in rows.batches(scratch):
            table = batch.arrow()
            written.write_table(table)
            count += table.num_rows
    return count


FORMATS = {
    each.name: each
    for each in (
        Format(
            "csv", "text, the first line with the names, null as nothing, a truth value as 1 or 0", _write_csv
        ),
        Format(
            "parquet", "typed columns, compressed by zstd, numbers of records/ as doubles", _write_parquet
        ),
        Format("jsonl.gz", "a JSON object a line, rows of records/ byte for byte", _write_jsonl),
    )
}


def _write_lines(lines: Iterable[bytes], sink: IO[bytes] | gzip.GzipFile) -> int:
    count = 0
    for line in lines:
        sink.write(line)
        count += 1
    return count


def _line(fields: Sequence[str]) -> bytes:
    """Return a line of CSV (RFC 4180, but ended by a newline alone).

    The csv module would leave a lone CR unquoted with this line ending.
    """
    quoted = ('"' + each.replace('"', '""') + '"' if _SPECIAL.search(each) else each for each in fields)
    return (",".join(quoted) + "\n").encode()
