"""The table `reference_prices` of RTDS: one row per point, with all digits.

Some topics send numbers as JSON numbers, whose text DuckDB would not keep: the venue's own parser reads all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from marketarchive.archive.reader import Message
from marketarchive.exceptions import ParseError
from marketarchive.research.tables import prices
from marketarchive.research.tables.extract import AMOUNT, LATEST_MS, Made, amount_fits
from marketarchive.research.tables.making import Task
from marketarchive.venues.polymarket import rtds
from marketarchive.venues.polymarket.rtds import ReferencePoint, RtdsRefused

NO_POINT = "not a frame of RTDS"


def make(task: Task) -> Made:
    """Write the day's rows to the task's target. Raises ArchiveError, CorruptError."""
    return prices.write(task.root, task.partition, task.target, _rows)


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
