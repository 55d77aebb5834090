"""Interface of tables that `scrapy export` writes: rows in batches, each batch in several forms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from marketarchive.research.labels.label import plain
from marketarchive.times import from_datetime, iso

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ExportRequest:
    """Arguments of `scrapy export`: the archive, the choice of rows, and settings of tables."""

    root: Path
    since: int | None = None  # ns, None: no bound
    until: int | None = None  # ns, None: no bound; not included
    assets: Collection[str] | None = None  # None: all
    with_preopen: bool = True  # include rows of seconds before their market's start
    master_url: str | None = None
    wwatcher: Path | None = None  # database of whale alerts: WWATCHER_DB_PATH
    snapshot_cycle_s: float = 900.0  # time between two price snapshots of a market: CATALOG_SNAPSHOT_MINUTES
    options: Mapping[str, Any] = field(default_factory=dict)  # those of `ExportedTable.options`, by name


class ExportedBatch(Protocol):
    """Some rows in order, in each of the forms that formats write."""

    def cells(self) -> Iterator[list[str]]:
        """Yield each row as a list of texts: null is "", a truth value 1 or 0, a time ISO 8601 in UTC."""

    def objects(self) -> Iterator[bytes]:
        """Yield each row as a JSON object of one line, without its newline."""

    def arrow(self) -> pa.Table:
        """Return the rows as an Arrow table with the schema of the exported table."""


class ExportedRows(Protocol):
    """The requested rows of a table.

    Methods may raise ArchiveError, ConfigurationError, DiskError, OSError.
    """

    @property
    def columns(self) -> Sequence[str]: ...

    @property
    def origin(self) -> str:
        """Return where the rows come from, as it follows "12 rows" in a message: " of 3 files"."""

    @property
    def remarks(self) -> Sequence[str]:
        """Return sentences about rows that were left out on purpose."""

    @property
    def damaged(self) -> Sequence[str]:
        """Return the names of files or lines that could not be read."""

    def schema(self, scratch: Path) -> pa.Schema:
        """Return the schema of the rows, which has to be called before a batch's `arrow`.

        scratch: a folder for nameless temporary files.
        """

    def batches(self, scratch: Path) -> Iterator[ExportedBatch]:
        """Yield the rows, some thousand at a time; scratch: a folder for nameless temporary files."""


@dataclass(frozen=True)
class TableOption:
    """An option of `scrapy export` that only tables which declare it have."""

    flag: str  # "--min-volume"
    kind: Literal["switch", "time", "number", "text", "list", "spans"]
    """Type that the text is parsed to: True, ns, float, str, a tuple of str, a tuple of spans in ns."""
    help: str
    metavar: str | None = None

    @property
    def name(self) -> str:
        return self.flag.removeprefix("--").replace("-", "_")


@dataclass(frozen=True)
class TableFormat:
    """Format that only one table has, such as prompts made from the table's markets.

    Its rows are written to `<name of the table>.<name of the format>.jsonl`.
    """

    name: str
    what: str
    open: Callable[[ExportRequest], ExportedRows]


@dataclass(frozen=True)
class ExportedTable:
    """Table that `scrapy export` can write.

    A package `research/products/<name>` declares a tuple of them as `EXPORTS` in its module `exports`.
    """

    name: str
    rows: str  # description of a row: "one row per second of ..."
    open: Callable[[ExportRequest], ExportedRows]
    """Opens the requested rows. Raises ArgumentError, ArchiveError, ConfigurationError, DiskError."""
    is_of: Callable[[Collection[tuple[str, str]]], bool] = field(default=lambda _: True)
    """Returns whether an archive with these (venue, feed)s can have rows of the table."""
    options: Sequence[TableOption] = ()
    formats: Sequence[TableFormat] = ()


class ArrowRows:
    """ExportedRows made from Arrow tables."""

    damaged: Sequence[str] = ()

    def __init__(
        self, what: str, made: Iterable[pa.Table], request: ExportRequest, remarks: Sequence[str] = ()
    ) -> None:
        """Take the Arrow tables `made`, all of the same columns: at least one, which may be empty.

        what: description of a row; remarks: lines may be added to it until the last table is made.
        """
        self.remarks = remarks
        parts = iter(made)
        first = next(parts)
        self.origin = f": {what}"
        self._schema: pa.Schema = first.schema
        self._parts = chain([first], parts)
        self._request = request

    @property
    def columns(self) -> Sequence[str]:
        return list(self._schema.names)

    def schema(self, scratch: Path) -> pa.Schema:
        del scratch
        return self._schema

    def batches(self, scratch: Path) -> Iterator[ArrowBatch]:
        del scratch
        for part in self._parts:
            for batch in self._wanted(part).to_batches(max_chunksize=_BATCH):
                yield ArrowBatch(batch)

    def _wanted(self, part: pa.Table) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._request.assets is not None:
            part = part.filter(pc.is_in(part["asset"], pa.array(sorted(self._request.assets))))
        if not self._request.with_preopen:
            part = part.filter(pc.invert(pc.fill_null(part[PREOPEN].cast(pa.bool_()), fill_value=False)))
        return part


PREOPEN = "preopen"
"""Column that is true or 1 in rows of a market before its start."""

_BATCH = 16_384


class ArrowBatch:
    """ExportedBatch of Arrow rows; decimals are written without trailing zeros."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def cells(self) -> Iterator[list[str]]:
        return ([_cell(value) for value in row] for row in self._rows())

    def objects(self) -> Iterator[bytes]:
        names = self._batch.schema.names
        return (
            msgspec.json.encode({name: _json(value) for name, value in zip(names, row, strict=True)})
            for row in self._rows()
        )

    def arrow(self) -> pa.Table:
        import pyarrow as pa

        return pa.Table.from_batches([self._batch])

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        return zip(*(column.to_pylist() for column in self._batch.columns), strict=True)


def of_arrow(
    name: str,
    rows: str,
    make: Callable[[ExportRequest], Iterable[pa.Table]],
    is_of: Callable[[Collection[tuple[str, str]]], bool] = lambda _: True,
) -> ExportedTable:
    """Return an exported table whose rows are made as Arrow tables.

    rows: description of a row; make: yields at least one table, each of at most a day's rows; is_of: whether
    an archive with these (venue, feed)s can have rows.
    """
    return ExportedTable(name, rows, lambda request: ArrowRows(rows, make(request), request), is_of)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list | dict):
        return msgspec.json.encode(_json(value)).decode()
    made = _json(value)
    return bytes(made).decode() if isinstance(made, msgspec.Raw) else str(made)


def _json(value: Any) -> Any:
    """Return a value in a form that msgspec encodes as JSON; times become ISO 8601, NaN and infinity null."""
    if isinstance(value, datetime):
        return iso(from_datetime(value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return msgspec.Raw((plain(value) or "").encode())
    if isinstance(value, dict):
        return {name: _json(each) for name, each in value.items()}
    return [_json(each) for each in value] if isinstance(value, list) else value
