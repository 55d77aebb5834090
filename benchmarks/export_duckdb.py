"""An expert's DuckDB query: resolved markets of a market master to one Parquet file, nothing else.

The master's tables are handed over by `sqlite3` as Arrow batches, because DuckDB's wheel reads no SQLite.
It knows one end of a market, no revision of a result, no alerts, headlines or splits, and checks nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

AT_ONCE = 50_000
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "TimeZone": "UTC",
}
TEXTS = ("title", "category", "event_id", "group", "subtitle", "description", "volume_unit", "liquidity_unit")
TIMES = ("resolved_at", "start_at", "end_at")
SAME = (
    "market_id",
    "platform",
    *TEXTS,
    *TIMES,
    "outcomes",
    "resolution",
    "volume",
    "liquidity",
    "price_at_open",
    "price_at_close",
    "price_history",
    "first_seen_at",
    "description_sha256",
    "is_observed",
    "days_to_resolution",
)
"""Columns that it has, with the values that `scrapy export` gives them."""
TABLES = {
    "markets": ("platform", "market_id", "created_at"),
    "changes": ("platform", "market_id", "field", "new", "observed_at"),
    "snapshots": ("platform", "market_id", "snapshot_at", "yes_price", "volume", "liquidity"),
}
_FIELDS = (*TEXTS, *TIMES, "outcomes", "resolution")
_STATED = ", ".join(f"arg_max(new, observed_at) FILTER (field = '{name}') AS \"{name}\"" for name in _FIELDS)
_QUERY = f"""
    WITH stated AS (
        SELECT platform, market_id, {_STATED}, max(observed_at) FILTER (field = 'resolution') AS result_at
        FROM changes GROUP BY ALL
    ), resolved AS (
        SELECT * REPLACE ({", ".join(f"{name}::TIMESTAMPTZ AS {name}" for name in TIMES)},
                from_json(outcomes, '["VARCHAR"]') AS outcomes, upper(resolution) AS resolution),
            least(epoch_us(resolved_at::TIMESTAMPTZ), result_at) AS ended_at,
            epoch_us(start_at::TIMESTAMPTZ) AS opened_at
        FROM markets JOIN stated USING (platform, market_id) WHERE resolution IS NOT NULL
    ), priced AS (
        SELECT platform, market_id,
            '[' || string_agg('{{"at":"' || strftime(make_timestamp(snapshot_at), '%Y-%m-%dT%H:%M:%S.%fZ')
                || '","price":' || yes_price::DOUBLE || '}}', ',' ORDER BY snapshot_at) || ']'
                AS price_history,
            arg_max(yes_price::DOUBLE, snapshot_at) AS price_at_close,
            min(snapshot_at) FILTER (snapshot_at >= opened_at) AS first_at,
            arg_min(yes_price::DOUBLE, snapshot_at) FILTER (snapshot_at >= opened_at) AS first_price,
            arg_max(volume::DOUBLE, snapshot_at) AS volume,
            arg_max(liquidity::DOUBLE, snapshot_at) AS liquidity
        FROM snapshots JOIN resolved USING (platform, market_id) WHERE snapshot_at < ended_at GROUP BY ALL
    )
    SELECT resolved.* EXCLUDE (result_at, ended_at, opened_at, created_at),
        priced.* EXCLUDE (platform, market_id, first_at, first_price),
        CASE WHEN first_at <= opened_at + 900_000_000 THEN first_price END AS price_at_open,
        make_timestamptz(created_at) AS first_seen_at,
        sha256(description) AS description_sha256,
        ended_at > created_at AS is_observed,
        (epoch_us(resolved_at) - created_at) / 86_400_000_000 AS days_to_resolution
    FROM resolved LEFT JOIN priced USING (platform, market_id) ORDER BY created_at, market_id"""


def extract(master: Path, target: Path) -> None:
    """Write the resolved markets of a master to a Parquet file."""
    source = sqlite3.connect(f"file:{master}?mode=ro", uri=True, check_same_thread=False)
    with duckdb.connect(config=CONFIG) as connection:
        for name, columns in TABLES.items():
            schema = pa.schema(
                [(each, pa.int64() if each.endswith("_at") else pa.string()) for each in columns]
            )
            table = {"changes": "market_changes", "snapshots": "price_snapshots"}.get(name, name)
            rows = source.execute(f"SELECT {', '.join(columns)} FROM {table}")
            connection.register("given", pa.RecordBatchReader.from_batches(schema, _batches(rows, schema)))
            connection.execute(f"CREATE TEMP TABLE {name} AS FROM given")
        connection.execute(f"COPY ({_QUERY}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    source.close()


def _batches(rows: sqlite3.Cursor, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    while found := rows.fetchmany(AT_ONCE):
        yield pa.record_batch(list(zip(*found, strict=True)), schema=schema)
