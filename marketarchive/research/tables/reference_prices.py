"""The table `reference_prices`: one row per point of RTDS and per report of a page, with all digits.

Some topics send numbers as JSON numbers, whose text DuckDB would not keep: the venues' own parsers read all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive.reader import Message, read_segment
from marketarchive.exceptions import ParseError
from marketarchive.research.tables import page_prices
from marketarchive.research.tables.extract import AMOUNT, LATEST_MS, Made, amount_fits
from marketarchive.research.tables.partitions import METADATA, Partition
from marketarchive.venues.polymarket import rtds
from marketarchive.venues.polymarket.rtds import ReferencePoint, RtdsRefused

if TYPE_CHECKING:
    import pyarrow as pa

NO_POINT = "not a frame of RTDS"
AT_ONCE = 50_000  # rows kept before they are written


def make(root: Path, partition: Partition, target: Path) -> Made:
    """Writes the day's rows to `target`. Raises ArchiveError, CorruptError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = Made()
    stamp = msgspec.json.encode(partition.stamp(verified=True))
    schema = _schema().with_metadata({METADATA.encode(): stamp})
    found: list[dict[str, Any]] = []
    read = page_prices.reader(root, partition) if partition.feed == "pages" else _rows
    with pq.ParquetWriter(target, schema, compression="zstd") as file:
        for entry in partition.entries:
            for message in read_segment(root, entry):
                if partition.first_ns <= message.received_at < partition.until_ns:
                    found += read(message, made)
                if len(found) >= AT_ONCE:
                    made.rows += len(found)
                    file.write_table(pa.Table.from_pylist(found, schema))
                    found.clear()
        made.rows += len(found)
        file.write_table(pa.Table.from_pylist(found, schema))
    return made


def nothing() -> pa.Table:
    """The columns of the stored table and no row."""
    import pyarrow as pa

    named = [pa.field(name, pa.string()) for name in ("venue", "feed", "date")]
    return pa.schema([*_schema(), *named]).empty_table()


def _rows(message: Message, made: Made) -> Iterator[dict[str, Any]]:
    if message.kind != "frame":
        return
    try:
        points = rtds.decode(message.payload)
    except RtdsRefused:
        return  # an error that the venue told is no price that was missed
    except ParseError as error:
        made.miss(", ".join(error.fields) or NO_POINT, str(error), message, 0)
        return
    for point in points:
        if _fits(point):
            yield _row(message, point)
        else:
            made.miss("value", f"{point} does not fit {AMOUNT}", message, point.index)


def _fits(point: ReferencePoint) -> bool:
    return (
        amount_fits(f"{point.value:f}") is not None
        and 0 <= point.observed_ms <= LATEST_MS
        and 0 <= point.published_ms <= LATEST_MS
    )


def _row(message: Message, point: ReferencePoint) -> dict[str, Any]:
    return {
        "topic": point.topic,
        "symbol": point.symbol,
        "asset": point.asset,
        "event_time": point.observed_ms * 1000,
        "published_at": point.published_ms * 1000,
        "received_at": message.received_at // 1000,
        "instrument": _instrument(point),
        "value": point.value,
        "bid": None,
        "ask": None,
        "window_s": point.window_s,
        "is_backfill": point.is_backfill,
        "run": message.run,
        "seq": message.seq,
        "connection": message.envelope["connection"],
        "index": point.index,
    }


def _instrument(point: ReferencePoint) -> str | None:
    """What the price is of, as every source of it is called: `chainlink:btc-usd-twap-60s`."""
    if point.topic == "crypto_prices":
        return f"binance:{point.symbol.lower()}"
    spot = f"chainlink:{point.asset.lower()}-usd"
    if point.topic == "crypto_prices_chainlink":
        return spot
    return None if point.window_s is None else f"{spot}-twap-{point.window_s}s"


def _schema() -> pa.Schema:
    import pyarrow as pa

    moment, text = pa.timestamp("us", tz="UTC"), pa.string()
    return pa.schema(
        [
            ("topic", text),
            ("symbol", text),
            ("asset", text),
            ("event_time", moment),
            ("published_at", moment),
            ("received_at", moment),
            ("instrument", text),
            ("value", pa.decimal128(38, 18)),
            ("bid", pa.decimal128(38, 18)),
            ("ask", pa.decimal128(38, 18)),
            ("window_s", pa.int32()),
            ("is_backfill", pa.bool_()),
            ("run", text),
            ("seq", pa.int64()),
            ("connection", text),
            ("index", pa.int32()),
        ]
    )
