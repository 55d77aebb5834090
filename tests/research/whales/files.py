"""Files as wwatcher makes them: the tables of its schema versions 1 and 2."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

COLUMNS = """
    id INTEGER PRIMARY KEY AUTOINCREMENT, platform TEXT NOT NULL, alert_type TEXT NOT NULL,
    action TEXT NOT NULL, category TEXT, subcategory TEXT,
    value REAL NOT NULL, price REAL NOT NULL, size REAL NOT NULL,
    market_title TEXT, market_id TEXT, outcome TEXT, wallet_hash TEXT, wallet_id TEXT,
    timestamp TEXT, market_context TEXT, wallet_activity TEXT, created_at INTEGER
"""
SECOND_VERSION = f"""{COLUMNS}, live_trade_id TEXT, status TEXT DEFAULT 'OPEN', settled_outcome TEXT,
    pnl_value REAL, shadow_bet_amount REAL, shadow_active INTEGER"""
LOOSE = COLUMNS.replace(" NOT NULL", "")
"""As a fork may have it."""
ALERT = {
    "platform": "Polymarket",
    "alert_type": "WHALE_ENTRY",
    "action": "BUY",
    "value": 25_000.0,
    "price": 0.4,
    "size": 62_500.0,
    "market_title": "Will it rain?",
    "outcome": "Yes",
    "wallet_id": "0xwhale",
    "timestamp": "2026-11-21T10:00:00Z",
    "created_at": 1_795_255_203,
}


@contextmanager
def writer(path: Path, columns: str = COLUMNS, table: str = "alerts") -> Iterator[sqlite3.Connection]:
    """The tool's own connection, in WAL mode, to a file with its tables."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"CREATE TABLE {table} ({columns})")
        connection.execute("CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT)")
        yield connection


def insert(connection: sqlite3.Connection, table: str = "alerts", **changed: Any) -> None:
    """One row: ALERT, but for what is changed."""
    row = {**ALERT, **changed}
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)


def make(path: Path, *rows: dict[str, Any], columns: str = COLUMNS, table: str = "alerts") -> Path:
    """A file with these rows, closed."""
    with writer(path, columns, table) as connection:
        for row in rows:
            insert(connection, table, **row)
    return path
