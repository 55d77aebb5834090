"""DuckDB, which reads segments and tables; an optional package, so imported when it is needed."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.exceptions import ConfigurationError

if TYPE_CHECKING:
    import duckdb

PACKAGES = ("duckdb", "pyarrow", "pandas")

BOUND_MB, BOUND_MB_A_CORE = 600, 100
"""Memory of an engine that is bounded: each core that works at a query needs some for itself."""
SORT_MB, SORT_MB_A_CORE = 100, 30
"""Memory of a query that `sorting` bounds."""


def require() -> None:
    """Check that the packages of the extra are installed. Raises ConfigurationError."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise ConfigurationError(f'{", ".join(missing)} not installed: pip install "marketarchive[research]"')


def connect(spill: Path | None = None, *, is_bounded: bool = False) -> duckdb.DuckDBPyConnection:
    """Return a new engine with UTC as its time zone, which fetches nothing from the network.

    What does not fit into memory goes to the folder `spill`. Joins are done as they are written, the right
    side held in memory: DuckDB cannot know how many lines a segment has. `is_bounded` lets it have BOUND_MB
    and BOUND_MB_A_CORE for each core, where else it takes most of the machine's memory before it spills.
    Raises ConfigurationError.
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
    """Bound the memory of queries that sort, or join by order, however many rows they have.

    What exceeds SORT_MB, and SORT_MB_A_CORE for each core, goes to the connection's `spill`. Only for
    queries whose other parts stay small: an aggregate of texts cannot be spilled. The connection is one that
    is not bounded otherwise.
    """
    run(connection, f"SET memory_limit = '{SORT_MB + SORT_MB_A_CORE * (os.cpu_count() or 1)}MB'")
    try:
        yield
    finally:
        run(connection, "RESET memory_limit")


def stored(*paths: object, hive: bool = False) -> str:
    """Return the SQL of Parquet files as a relation.

    hive: with the columns venue, feed and date of their folders, and null for a column that a file of an
    earlier version lacks.
    """
    listed, kind = ", ".join(map(pattern, paths)), str(hive).lower()
    return f"read_parquet([{listed}], hive_partitioning = {kind}, union_by_name = {kind})"


def run(connection: duckdb.DuckDBPyConnection, query: str) -> list[Any]:
    """Return all rows: a result that is not read to its end blocks its connection."""
    return connection.execute(query).fetchall()


def pattern(path: object) -> str:
    """Return a path as an SQL literal that DuckDB does not expand as a pattern."""
    return text(re.sub(r"[\[*?]", r"[\g<0>]", str(path)))


def text(value: object) -> str:
    """Return a value as an SQL string literal."""
    return "'" + str(value).replace("'", "''") + "'"


def of_feeds(feeds: Iterable[tuple[str, str]]) -> str:
    """Return the SQL condition that a row is of one of some (venue, feed)s."""
    listed = ", ".join(f"({text(venue)}, {text(feed)})" for venue, feed in sorted(feeds))
    return f"(venue, feed) IN ({listed or '(NULL, NULL)'})"
