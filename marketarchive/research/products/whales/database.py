"""The SQLite file of wwatcher, read only, also while wwatcher writes it.

Tables and columns are found by their names, as forks rename them: `alerts` as of schema versions 1 (2026-02)
and 2 of the public project polymaster, src/db.rs.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from marketarchive.exceptions import ConfigurationError
from marketarchive.research.products.whales.alerts import RubbishRow, WhaleAlert, parse

COLUMNS = {
    "platform": ("platform", "venue"),
    "market_id": ("market_id", "condition_id", "ticker"),
    "title": ("market_title", "title", "question"),
    "timestamp": ("timestamp", "trade_time"),
    "created_at": ("created_at",),
    "value": ("value", "value_usd"),
    "action": ("action", "side"),
    "outcome": ("outcome",),
    "alert_type": ("alert_type",),
    "price": ("price",),
    "size": ("size",),
    "wallet_id": ("wallet_id", "wallet"),
    "wallet_hash": ("wallet_hash",),
    "win_rate": ("win_rate", "wallet_win_rate", "whale_win_rate"),
}
"""Column -> its names in forks of wwatcher; the first name that a table has counts."""
NEEDED = (("platform",), ("value",), ("market_id", "title"), ("timestamp", "created_at"))
"""Groups of columns; a table of alerts has at least one column of each group."""
BUSY_S = 10.0
"""Seconds to wait for a writer that locks the file."""


@dataclass(frozen=True)
class WhaleFile:
    """All rows of wwatcher's file at one moment, in their order: alerts, and rows that are none."""

    path: Path
    table: str
    alerts: Sequence[WhaleAlert]
    rubbish: Sequence[RubbishRow]

    @property
    def rubbish_counts(self) -> dict[str, int]:
        """Return reason -> number of rows that are no alert."""
        return dict(Counter(each.reason for each in self.rubbish))


def read_alerts(path: Path) -> WhaleFile:
    """Return all alerts of a file as of one moment.

    Raises ConfigurationError where it cannot be read or has no table of alerts, with what was found.
    """
    if not path.is_file():
        raise ConfigurationError(f"WWATCHER_DB_PATH: there is no file {path}")
    try:
        before = _state(path)
        found = _read(path, "mode=ro&immutable=1" if before.is_quiet_log else "mode=ro")
        # without locks a writer that came meanwhile is seen only afterwards
        return _read(path, "mode=ro") if before.is_quiet_log and _state(path) != before else found
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(
            f"WWATCHER_DB_PATH: {path} cannot be read as an SQLite database: {error}"
        ) from error


class _FileState(NamedTuple):
    """Properties of an SQLite file that change when it is written."""

    is_quiet_log: bool  # it is in WAL mode and its log is empty: nobody is writing it
    changed_ns: int
    size: int


def _state(path: Path) -> _FileState:
    """Return the state of an SQLite file, without opening it by SQLite.

    SQLite would create an index and a log beside a file in WAL mode (its byte 18 is 2:
    sqlite.org/fileformat.html, 2026) and leave them there, which fails in a folder that is not ours.
    """
    log = path.with_name(f"{path.name}-wal")
    with path.open("rb") as file:
        is_wal = file.read(19)[18:] == b"\x02"
    known = path.stat()
    is_empty = not (log.exists() and log.stat().st_size)
    return _FileState(is_wal and is_empty, known.st_mtime_ns, known.st_size)


def _read(path: Path, options: str) -> WhaleFile:
    """Return all rows as of one moment. Raises ConfigurationError, sqlite3.Error.

    options: parameters of SQLite's file URI.
    """
    with closing(_connect(path, options)) as connection:
        tables = _tables(connection)
        table, names = _alerts_in(path, tables)
        return _rows(path, connection, table, tables[table], names)


def _connect(path: Path, options: str) -> sqlite3.Connection:
    """Return a connection in a transaction, so that all reads see one moment. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?{options}", uri=True, timeout=BUSY_S, isolation_level=None
    )
    try:
        connection.text_factory = lambda value: value.decode("utf-8", "replace")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # only this opens the file
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _tables(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Return table or view -> names of its columns."""
    query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
    names = [name for (name,) in connection.execute(query).fetchall()]
    return {
        name: [row[1] for row in connection.execute(f"PRAGMA table_xinfo({_quoted(name)})").fetchall()]
        for name in names
    }


def _alerts_in(path: Path, tables: Mapping[str, Sequence[str]]) -> tuple[str, dict[str, str]]:
    """Return (table of alerts, name in COLUMNS -> its column): `alerts`, else the first table that fits.

    Raises ConfigurationError.
    """
    found = {table: _named(columns) for table, columns in tables.items()}
    fitting = [
        table
        for table, names in found.items()
        if all(any(name in names for name in either) for either in NEEDED)
    ]
    if not fitting:
        wanted = ", ".join(
            " or ".join(alias for name in either for alias in COLUMNS[name]) for either in NEEDED
        )
        there = "; ".join(f"{table} ({', '.join(columns)})" for table, columns in tables.items())
        raise ConfigurationError(
            f"WWATCHER_DB_PATH: no table of {path} has columns of alerts ({wanted}); found: {there or 'none'}"
        )
    chosen = min(fitting, key=lambda table: (table.lower() != "alerts", "alert" not in table.lower(), table))
    return chosen, found[chosen]


def _named(columns: Sequence[str]) -> dict[str, str]:
    """Return name in COLUMNS -> matching column of a table, whatever its case."""
    there = {column.lower(): column for column in columns}
    return {
        name: there[alias]
        for name, aliases in COLUMNS.items()
        if (alias := next((each for each in aliases if each in there), None)) is not None
    }


def _rows(
    path: Path,
    connection: sqlite3.Connection,
    table: str,
    columns: Sequence[str],
    names: Mapping[str, str],
) -> WhaleFile:
    """Return the rows of a table, numbered by its column `id`, or from 1 in their order if it has none."""
    alerts: list[WhaleAlert] = []
    rubbish: list[RubbishRow] = []
    listed = ", ".join(map(_quoted, columns))
    number = next((column for column in columns if column.lower() == "id"), None)
    order = "" if number is None else f" ORDER BY {_quoted(number)}"
    query = connection.execute(f"SELECT {listed} FROM {_quoted(table)}{order}")
    for place, row in enumerate(query, 1):
        extra: dict[str, Any] = dict(zip(columns, row, strict=True))
        own = place if number is None else extra[number]
        values = {name: extra[column] for name, column in names.items()}
        found = parse(own if isinstance(own, int) else place, values, extra)
        if isinstance(found, WhaleAlert):
            alerts.append(found)
        else:
            rubbish.append(found)
    return WhaleFile(path, table, alerts, rubbish)


def _quoted(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
