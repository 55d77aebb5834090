"""DuckDB connections and pieces of SQL; DuckDB is optional, so it is imported where it is needed."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.exceptions import ArchiveError, ConfigurationError

if TYPE_CHECKING:
    import duckdb

PACKAGES = ("duckdb", "pyarrow", "pandas")

BOUND_MB, BOUND_MB_A_CORE = 600, 100
"""Memory limit of a bounded connection in MB: a base, and an amount for each core that works at a query."""
SORT_MB, SORT_MB_A_CORE = 100, 30
"""Memory limit of a query within `sorting` in MB: a base, and an amount for each core."""


def require() -> None:
    """Check that the packages of the extra are installed. Raises ConfigurationError."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise ConfigurationError(f'{", ".join(missing)} not installed: pip install "marketarchive[research]"')


def connect(spill: Path | None = None, *, is_bounded: bool = False) -> duckdb.DuckDBPyConnection:
    """Return a new DuckDB connection, in time zone UTC, that fetches nothing from the network.

    spill: folder for what does not fit into memory; is_bounded: limits memory to BOUND_MB and BOUND_MB_A_CORE
    for each core, where DuckDB's default takes most of the machine's before it spills. Joins are done as they
    are written, the right side held in memory: DuckDB cannot know how many lines a segment has. Raises
    ConfigurationError.
    """
    require()
    import duckdb

    options: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "TimeZone": "UTC",
    }
    if spill is not None:
        options["temp_directory"] = str(spill)
    if is_bounded:
        options["memory_limit"] = f"{BOUND_MB + BOUND_MB_A_CORE * (os.cpu_count() or 1)}MB"
    connection = duckdb.connect(config=options)
    run(connection, "SET disabled_optimizers = 'join_order,build_side_probe_side'")
    return connection


@contextmanager
def sorting(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Bound the memory of queries in the block that sort, or join by order, however many rows they have.

    What exceeds SORT_MB and SORT_MB_A_CORE for each core goes to the connection's `spill` folder. Only for
    queries whose other parts stay small: an aggregate of texts cannot be spilled. connection: one that is not
    bounded otherwise.
    """
    run(connection, f"SET memory_limit = '{SORT_MB + SORT_MB_A_CORE * (os.cpu_count() or 1)}MB'")
    try:
        yield
    finally:
        run(connection, "RESET memory_limit")


def stored(*paths: object, hive: bool = False) -> str:
    """Return an SQL relation that reads the Parquet files `paths`.

    hive: adds the columns venue, feed and date from the names of folders, and null for a column that a file
    of an earlier version lacks.
    """
    listed, kind = ", ".join(map(pattern, paths)), str(hive).lower()
    return f"read_parquet([{listed}], hive_partitioning = {kind}, union_by_name = {kind})"


def run(connection: duckdb.DuckDBPyConnection, query: str) -> list[Any]:
    """Execute a query and return all its rows: a result not read to its end blocks its connection."""
    return connection.execute(query).fetchall()


def pattern(path: object) -> str:
    """Return a path as an SQL literal that DuckDB does not expand as a pattern."""
    return text(re.sub(r"[\[*?]", r"[\g<0>]", str(path)))


def text(value: object) -> str:
    """Return a value as an SQL string literal."""
    return "'" + str(value).replace("'", "''") + "'"


@contextmanager
def reading_tables(what: str = "the tables") -> Iterator[None]:
    """Raise ArchiveError with the remedy where DuckDB cannot read the derived files of the block.

    what: names them. A file that was damaged after it was written is noticed only by who reads it.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        why = str(error).strip().splitlines()[0]
        raise ArchiveError(
            f"{what} cannot be read: {why}. Delete what is damaged in tables/, or all of it: it is made again"
        ) from error


def of_feeds(feeds: Iterable[tuple[str, str]]) -> str:
    """Return the SQL condition that a row belongs to one of the given (venue, feed)s."""
    listed = ", ".join(f"({text(venue)}, {text(feed)})" for venue, feed in sorted(feeds))
    return f"(venue, feed) IN ({listed or '(NULL, NULL)'})"
