"""The tables and formats that `scrapy export` can write, and the writing of one table's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from marketarchive.archive.files import Files
from marketarchive.exceptions import ArgumentError
from marketarchive.research.exports.archive_tables import archive_tables
from marketarchive.research.exports.formats import FORMATS, Format, write_plain_jsonl
from marketarchive.research.exports.records import record_tables
from marketarchive.research.exports.table import (
    PREOPEN,
    ExportedRows,
    ExportedTable,
    ExportRequest,
    TableOption,
)
from marketarchive.research.products import exported_tables
from marketarchive.research.tables.partitions import feeds

ALL = "all"
"""Given in place of a table's name: every table that the archive can have rows of."""


@dataclass(frozen=True)
class ExportedFile:
    """Result of an export: a file, and what is not in it."""

    path: Path
    rows: int
    origin: str  # text after the number of rows, such as " of 3 files"
    remarks: Sequence[str]
    damaged: Sequence[str]  # files or lines that could not be read


def declared_tables() -> dict[str, ExportedTable]:
    """Return the tables that any archive can have: those of products, then those of `scrapy normalize`."""
    return {**exported_tables(), **archive_tables()}


def declared_options() -> list[TableOption]:
    """Return the options that some declared tables have, each once."""
    tables = declared_tables().values()
    return list(dict.fromkeys(option for table in tables for option in table.options))


def declared_formats() -> dict[str, str]:
    """Return name -> description of each format: first those of all tables, then those of one table alone."""
    own = {
        each.name: f"{each.what} ({table.name} only)"
        for table in declared_tables().values()
        for each in table.formats
    }
    return {each.name: each.what for each in FORMATS.values()} | own


def in_format(table: ExportedTable, name: str) -> tuple[ExportedTable, Format]:
    """Return the format called `name`, and the table with the opener of its rows that this format needs.

    Raises ArgumentError.
    """
    for own in table.formats:
        if own.name == name:
            return replace(table, open=own.open), Format(f"{name}.jsonl", own.what, write_plain_jsonl)
    if name in FORMATS:
        return table, FORMATS[name]
    if name in declared_formats():
        raise ArgumentError(f"--format {name} does not apply to {table.name}")
    raise ArgumentError(f"--format {name!r} is unknown; use one of {', '.join(declared_formats())}")


def known_tables(root: Path) -> dict[str, ExportedTable]:
    """Return all tables of an archive by name: its series of `records/`, then the declared ones."""
    found = record_tables(root)
    others = declared_tables().items()
    return found | {name: each for name, each in others if name not in found}


def chosen_tables(root: Path, names: Sequence[str]) -> list[ExportedTable]:
    """Return the named tables, or with "all" those that can have rows of what the archive recorded.

    Raises ArgumentError.
    """
    known = known_tables(root)
    if unknown := [name for name in names if name not in known and name != ALL]:
        here = ", ".join(record_tables(root)) or "none yet"
        made = ", ".join(sorted(declared_tables()))
        raise ArgumentError(
            f"--table {unknown[0]!r} is unknown; there is {here} in records/, "
            f"and made from raw: {made}; or {ALL}"
        )
    if ALL not in names:
        return [known[name] for name in dict.fromkeys(names)]
    recorded = frozenset(feeds(root))
    return [each for each in known.values() if each.is_of(recorded)]


def open_table(table: ExportedTable, request: ExportRequest) -> ExportedRows:
    """Return the requested rows of a table. Raises ArgumentError if assets are requested and it has none."""
    rows = table.open(request)
    if request.assets is not None and "asset" not in rows.columns:
        raise ArgumentError(f"--assets: the rows of {table.name} have no asset")
    if not request.with_preopen and PREOPEN not in rows.columns:
        raise ArgumentError(f"--no-preopen: the rows of {table.name} have no column {PREOPEN}")
    return rows


def write_table(rows: ExportedRows, form: Format, target: Path) -> ExportedFile:
    """Write rows to the file `target`, whole or not at all. Raises OSError, and what reading rows raises."""
    files = Files()
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        with temporary.open("wb") as sink:
            count = form.write(rows, sink, target.parent)
            sink.flush()
            files.fsync(sink.fileno())
        files.rename(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    files.sync_dir(target.parent)
    return ExportedFile(target, count, rows.origin, rows.remarks, rows.damaged)
