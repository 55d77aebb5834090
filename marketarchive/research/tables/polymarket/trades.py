"""The table `trades`: one row per trade, as the socket or the Data API told it first.

The same trade is told again by each poll and by each of two overlapping connections. What tells two fills
apart that look alike is `number`: the place among its equals in one answer or frame.
"""

from __future__ import annotations

from typing import Any

from marketarchive.research.engine import stored
from marketarchive.research.tables.extract import AMOUNT, Made, aside, copy, count, moment, register
from marketarchive.research.tables.making import Task
from marketarchive.research.tables.polymarket import answered_trades, sound
from marketarchive.research.tables.polymarket.frames import events, extract, frames

_SUSPECT = (
    r'\.[0-9]{19}|"(?:price|size|side|asset_id|market|timestamp|transaction_hash|fee_rate_bps)":\s*[^"\s]'
)
_SHAPE = (
    '{"event_type":"VARCHAR","market":"VARCHAR","asset_id":"VARCHAR","timestamp":"BIGINT","side":"VARCHAR",'
    f'"price":"{AMOUNT}","size":"{AMOUNT}","transaction_hash":"VARCHAR","fee_rate_bps":"VARCHAR"}}'
)
_ALIKE = "transaction_hash, token, wallet, side, price, size, event_time"


def make(task: Task) -> Made:
    """Write the day's rows to the task's target. Raises ArchiveError, CorruptError, and duckdb.Error for a
    segment that cannot be read.
    """
    connection, root, partition, target = task.connection, task.root, task.partition, task.target
    paths = register(connection, root, partition, task.names)
    told = aside(target, "told")
    stamp = partition.stamp(verified=True)
    if partition.is_polled:
        made = answered_trades.make(root, partition, told)
    else:
        given = frames(partition, paths, '"last_trade_price"', _SUSPECT)
        wanted = {"last_trade_price": _sound}
        made = extract(connection, root, partition, given, _of_frames, wanted, told, stamp)
    copy(connection, rows(stored(told)), target, stamp)
    told.unlink()
    made.rows = count(connection, target)
    return made


def rows(told: str) -> str:
    """The table's columns: of trades as they were told, each one once. Needs `names`."""
    return f"""
    SELECT market, coalesce(names.slug, told.slug) AS slug, coalesce(names.outcome, told.outcome) AS outcome,
           token, event_time, received_at, run, seq, connection, index, position, source, side, price, size,
           transaction_hash, number, wallet, fee_rate_bps
    FROM (SELECT *, (row_number() OVER (PARTITION BY run, seq, {_ALIKE} ORDER BY index, position))::INTEGER
                        AS number
          FROM {told}) AS told
    LEFT JOIN names USING (token)
    QUALIFY transaction_hash IS NULL OR row_number() OVER (
        PARTITION BY {_ALIKE}, number ORDER BY received_at, run, seq, index, position) = 1"""


def _of_frames(given: str) -> str:
    """Trades in frames; `token` is null where SQL is not to be trusted."""
    return f"""
    SELECT market, CASE WHEN trusted THEN asset_id END AS token, event_time,
           collected_at_utc::TIMESTAMPTZ AS received_at, run, seq, connection, index::INTEGER AS index,
           1::INTEGER AS position, 'market_channel' AS source, NULL::VARCHAR AS slug,
           NULL::VARCHAR AS outcome, side, price, size, nullif(transaction_hash, '') AS transaction_hash,
           NULL::VARCHAR AS wallet, fee AS fee_rate_bps
    FROM (SELECT *, event.*, {moment('event."timestamp"')} AS event_time,
                 try_cast(nullif(event.fee_rate_bps, '') AS {AMOUNT}) AS fee,
                 coalesce(NOT suspect AND event.event_type IS NOT NULL AND event.market IS NOT NULL
                          AND event_time IS NOT NULL AND event.price IS NOT NULL AND event.size IS NOT NULL
                          AND event.side IN ('BUY', 'SELL')
                          AND (fee IS NULL) = (nullif(event.fee_rate_bps, '') IS NULL), false) AS trusted
          FROM {events(given, _SHAPE, "last_trade_price")})"""


def _sound(event: Any) -> dict[str, Any]:
    """Raises ParseError when a value cannot stand in its column exactly."""
    fee = event.get("fee_rate_bps")
    return {
        "market": sound.string(event, "market"),
        "asset_id": sound.string(event, "asset_id"),
        "timestamp": sound.milliseconds(event),
        "side": sound.side(event),
        "price": sound.amount(event, "price"),
        "size": sound.amount(event, "size"),
        "transaction_hash": sound.string_or_none(event, "transaction_hash"),
        "fee_rate_bps": None if fee in (None, "") else sound.amount(event, "fee_rate_bps"),
    }
