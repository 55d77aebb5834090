"""The tables of `scrapy normalize` as exported tables: rows day by day, by time of receipt."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from marketarchive.research import views
from marketarchive.research.engine import connect, reading_tables
from marketarchive.research.exports.table import ExportedTable, ExportRequest, of_arrow
from marketarchive.research.tables import coverage, gaps, schemas
from marketarchive.research.tables.copies import CAUSES, TABLES
from marketarchive.research.tables.normalize import bring_up_to_date
from marketarchive.research.tables.partitions import VERSIONS, day_of, feeds_with, files
from marketarchive.research.tables.simultaneous import around, simultaneous
from marketarchive.times import DAY

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

WHAT: Mapping[str, str] = {
    "books": "one row per whole order book",
    "book_changes": "one row per changed level of a book",
    "trades": "one row per trade",
    "quotes": "one row per statement of best prices",
    "reference_prices": "one row per reference price",
    "price_history": "one row per point of a market's past prices",
    "fundings": "one row per funding rate of a perpetual",
    "candles": "one row per candle of a perpetual",
    "open_interest": "one row per open interest of a perpetual",
    "instruments": "one row per statement of a perpetual's terms",
    "borrow_rates": "one row per borrow rate",
    "coverage": "one row per day of a feed's market: seconds observed, quiet, gapped, unknown",
}
GAPS = "current_gaps"
"""Exported table with a row per gap as it is known now; the series `gaps` of `records/` has a row per
line."""
_ORDER = ("received_at", "venue", "feed", "run", "seq", "index", "position")
_ROWS = 16_384


def archive_tables() -> dict[str, ExportedTable]:
    """Return a table to export for each table of `scrapy normalize`, by name."""
    tables = {
        name: of_arrow(name, WHAT[name], partial(_by_day, name), partial(_has, name))
        for name in VERSIONS
        if name != "gaps"
    }
    return {**tables, GAPS: of_arrow(GAPS, "one row per recorded gap, in its newest state", _gaps)}


def _has(name: str, recorded: Collection[tuple[str, str]]) -> bool:
    return not feeds_with(name).isdisjoint(recorded)


def _by_day(name: str, request: ExportRequest) -> Iterator[pa.Table]:
    """Yield the requested rows of a table day by day, after an empty table that gives the columns."""
    schema = _schema(name)
    yield schema.empty_table()
    _bring_up_to_date(name, request, request.until)
    for day in sorted({day_of(path) for path in files(request.root, name, request.since, request.until)}):
        with reading_tables(), closing(connect(request.root / "tables" / ".spill")) as connection:
            for batch in _rows(connection, name, request, day):
                yield batch.cast(schema)


def _rows(
    connection: duckdb.DuckDBPyConnection, name: str, request: ExportRequest, day: int
) -> Iterator[pa.Table]:
    import pyarrow as pa

    if "token" in schemas.COLUMNS.get(name, ()):
        views.view_names(connection, request.root, request.master_url)
        views.view_rows(connection, request.root, name, day, day + DAY)
    else:
        views.view_plain(connection, request.root, name, day, day + DAY)
    views.merge_copies(
        connection, request.root, name, simultaneous(request.root, day, day + DAY), (day, day + DAY)
    )
    columns = _schema(name).names
    where = ["true"]
    if "received_at" in columns:
        where += [] if request.since is None else [f"received_at >= {views.literal(request.since)}"]
        where += [] if request.until is None else [f"received_at < {views.literal(request.until)}"]
    order = [each for each in _ORDER if each in columns] if "received_at" in columns else ["ALL"]
    query = f"""SELECT {", ".join(f'"{each}"' for each in columns)} FROM {name}
        WHERE {" AND ".join(where)} ORDER BY {", ".join(order)}"""
    for batch in connection.sql(query).to_arrow_reader(_ROWS):
        yield pa.Table.from_batches([batch])


def _gaps(request: ExportRequest) -> Iterator[pa.Table]:
    _bring_up_to_date("gaps", request, None)  # a crash is noticed long after it
    columns = [each for each in gaps.nothing().schema.names if each != "date"]
    with reading_tables(), closing(connect(request.root / "tables" / ".spill")) as connection:
        views.view_names(connection, request.root, request.master_url)
        views.view_gaps(connection, request.root, request.since, request.until, is_named=True)
        yield connection.sql(
            f"""SELECT {", ".join(f'"{each}"' for each in columns)} FROM gaps
                ORDER BY "from", venue, feed, run, seq"""
        ).to_arrow_table()


def _schema(name: str) -> pa.Schema:
    """Return the columns of an exported table, `venue` and `feed` among them."""
    import pyarrow as pa

    if name == "coverage":
        return coverage.nothing().schema
    return pa.schema([("venue", pa.string()), ("feed", pa.string()), *schemas.schema(name)])


def _bring_up_to_date(name: str, request: ExportRequest, until: int | None) -> None:
    """Make the missing files of a table for the request; until: ns. Raises ArchiveError, DiskError."""
    wanted = None if name == "gaps" else feeds_with(name)
    times = request.since, until
    bring_up_to_date(request.root, wanted, (name,), *times, master_url=request.master_url)
    if name in TABLES and (shared := simultaneous(request.root, *times)):
        tables = (name, *CAUSES) if name == "quotes" else (name,)
        bring_up_to_date(request.root, shared, tables, *around(*times), master_url=request.master_url)
