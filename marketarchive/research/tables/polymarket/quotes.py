"""The table `quotes`: one row each time that a token's best bid or ask, as the venue states it, changed.

Made from `book_changes` (each change names both), whole books of the socket, and `best_bid_ask` events. Its
file is in order of source and token: who wants what the venue stated, or one token, reads little else.
"""

from __future__ import annotations

from typing import Any

from marketarchive.research.engine import stored
from marketarchive.research.tables.extract import PRICE, Made, aside, copy, count, moment, register
from marketarchive.research.tables.making import Task
from marketarchive.research.tables.polymarket import sound
from marketarchive.research.tables.polymarket.frames import events, extract, frames

_SUSPECT = r'\.[0-9]{10}|"(?:best_bid|best_ask|asset_id|market|timestamp)":\s*[^"\s]'
_SHAPE = (
    '{"event_type":"VARCHAR","market":"VARCHAR","asset_id":"VARCHAR","timestamp":"BIGINT",'
    '"best_bid":"VARCHAR","best_ask":"VARCHAR"}'
)
_COLUMNS = (
    "market, slug, outcome, token, event_time, received_at, run, seq, connection, index, position, source, "
    "best_bid, best_ask"
)


def make(task: Task) -> Made:
    """Write the day's rows to the task's target. Raises ArchiveError, CorruptError, and duckdb.Error for a
    segment that cannot be read.
    """
    connection, root, partition, target = task.connection, task.root, task.partition, task.target
    paths = register(connection, root, partition, task.names)
    stated = aside(target, "stated")
    stamp = partition.stamp(verified=True)
    given = frames(partition, paths, '"best_bid_ask"', _SUSPECT)
    made = extract(connection, root, partition, given, _stated, {"best_bid_ask": _sound}, stated, stamp)
    books, changes = (stored(root / partition.path_of(table)) for table in ("books", "book_changes"))
    copy(connection, rows(books, changes, stored(stated)), target, stamp)
    stated.unlink()
    made.rows = count(connection, target)
    return made


def rows(books: str, changes: str, stated: str) -> str:
    """The table's columns, of the tables `books` and `book_changes` and of `best_bid_ask` events."""
    before = "PARTITION BY run, connection, token ORDER BY seq, index, position"
    return f"""
    SELECT {_COLUMNS} FROM (
        SELECT {_COLUMNS.replace("source", "'price_change' AS source")} FROM {changes}
        UNION ALL
        SELECT {_COLUMNS.replace("source", "'book' AS source")} FROM {books} WHERE route = 'ws'
        UNION ALL
        SELECT {_COLUMNS} FROM {stated})
    QUALIFY best_bid IS DISTINCT FROM lag(best_bid) OVER ({before})
         OR best_ask IS DISTINCT FROM lag(best_ask) OVER ({before})
         OR row_number() OVER ({before}) = 1
    ORDER BY source, token, received_at, run, seq, index, position"""


def _stated(given: str) -> str:
    """`best_bid_ask` events in frames; `token` is null where SQL is not to be trusted."""
    return f"""
    SELECT market, slug, outcome, CASE WHEN trusted THEN asset_id END AS token, event_time,
           collected_at_utc::TIMESTAMPTZ AS received_at, run, seq, connection, index::INTEGER AS index,
           1::INTEGER AS position, 'best_bid_ask' AS source, bid AS best_bid, ask AS best_ask
    FROM (SELECT *, event.*, {moment('event."timestamp"')} AS event_time,
                 try_cast(nullif(event.best_bid, '') AS {PRICE}) AS bid,
                 try_cast(nullif(event.best_ask, '') AS {PRICE}) AS ask,
                 coalesce(NOT suspect AND event.event_type IS NOT NULL AND event.market IS NOT NULL
                          AND event_time IS NOT NULL
                          AND (bid IS NULL) = (nullif(event.best_bid, '') IS NULL)
                          AND (ask IS NULL) = (nullif(event.best_ask, '') IS NULL), false) AS trusted
          FROM {events(given, _SHAPE, "best_bid_ask")}) AS stated
    LEFT JOIN names ON names.token = stated.asset_id"""


def _sound(event: Any) -> dict[str, Any]:
    """Raises ParseError when a value cannot stand in its column exactly."""
    return {
        "market": sound.string(event, "market"),
        "asset_id": sound.string(event, "asset_id"),
        "timestamp": sound.milliseconds(event),
        "best_bid": sound.best(event, "best_bid"),
        "best_ask": sound.best(event, "best_ask"),
    }
