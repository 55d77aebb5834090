"""Statistics of the unified data over time: rows per day, age of the newest row, distance between venues.

All functions read `unified`, a relation with the columns of the unified data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from marketarchive.research.engine import run
from marketarchive.times import SECOND, iso

if TYPE_CHECKING:
    import duckdb

DAY_S = 86_400
NEWEST = ("funding_rate", "mark_c", "index_c", "open_interest", "volume")
"""Columns for which the age of the newest value is reported."""

_SPREADS = """
CREATE OR REPLACE TEMP TABLE spreads AS
SELECT asset, any_value(sector) AS sector, timestamp,
       CASE WHEN min(venue) FILTER (WHERE funding_rate IS NOT NULL)
                 < max(venue) FILTER (WHERE funding_rate IS NOT NULL)
            THEN (max(funding_rate) - min(funding_rate)) * 10000 END AS funding,
       CASE WHEN min(venue) FILTER (WHERE mark_c > 0) < max(venue) FILTER (WHERE mark_c > 0)
            THEN (max(mark_c) FILTER (WHERE mark_c > 0) / min(mark_c) FILTER (WHERE mark_c > 0) - 1) * 10000
       END AS mark
FROM unified GROUP BY asset, timestamp"""
_UNMOVED = """
SELECT venue, symbol, max(length) AS unmoved FROM (
    SELECT venue, symbol, place - lag(place, 1, 0::BIGINT) OVER of AS length FROM (
        SELECT venue, symbol, row_number() OVER each AS place,
               mark_c IS DISTINCT FROM lead(mark_c) OVER each AS is_last, mark_c IS NOT NULL AS is_there
        FROM unified WINDOW each AS (PARTITION BY venue, symbol ORDER BY timestamp))
    WHERE is_last WINDOW of AS (PARTITION BY venue, symbol ORDER BY place)
    QUALIFY is_there)
GROUP BY ALL"""


def due(first_s: int, last_s: int, period_s: int) -> int:
    """Return the number of period ends in first <= time <= last, Unix seconds."""
    return max(0, last_s // period_s - -(-first_s // period_s) + 1)


def make_spreads(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table `spreads`: distance between the venues of an asset at each time, basis points.

    `funding` is the highest less the lowest 8-hour rate, `mark` that of prices relative to the lowest. Null
    where only one venue has a value.
    """
    run(connection, _SPREADS)


def spread_by_day(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return a row per asset and day with its mean spreads in basis points. Needs the table `spreads`."""
    rows = run(
        connection,
        """SELECT asset, (epoch_us(timestamp) - 1) // 86400000000 AS day, avg(funding), avg(mark) FROM spreads
           WHERE asset IS NOT NULL AND (funding IS NOT NULL OR mark IS NOT NULL)
           GROUP BY ALL ORDER BY ALL""",
    )
    return [
        {"asset": asset, "day": _day(day), "funding_bps": funding, "mark_bps": mark}
        for asset, day, funding, mark in rows
    ]


def records_by_day(
    connection: duckdb.DuckDBPyConnection,
    period_s: int,
    contracts: Mapping[tuple[str, str], tuple[int, int]],
) -> list[dict[str, Any]]:
    """Return a row per venue and day with the numbers of rows present and expected.

    contracts: (venue, symbol) -> Unix seconds at which its first and last row are due. A row stands at the
    end of its period: a row of midnight belongs to the day that ends there.
    """
    found = run(
        connection,
        """SELECT venue, (epoch_us(timestamp) - 1) // 86400000000 AS day, count(*) FROM unified
           GROUP BY ALL""",
    )
    records = {(venue, day): count for venue, day, count in found}
    expected: dict[tuple[str, int], int] = {}
    for (venue, _), (first, last) in contracts.items():
        for day in range((first - 1) // DAY_S, (last - 1) // DAY_S + 1):
            begin, end = max(first, day * DAY_S + 1), min(last, (day + 1) * DAY_S)
            expected[venue, day] = expected.get((venue, day), 0) + due(begin, end, period_s)
    keys = sorted({*records, *(key for key, count in expected.items() if count)})
    return [
        {
            "venue": venue,
            "day": _day(day),
            "records": records.get((venue, day), 0),
            "expected": expected.get((venue, day), 0),
        }
        for venue, day in keys
    ]


def staleness(
    connection: duckdb.DuckDBPyConnection, last_due: Mapping[tuple[str, str], int]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return (venue, symbol) -> ages of its newest values, and its longest time without a price change.

    last_due: (venue, symbol) -> Unix seconds at which its last row is due. `stale_h`: column -> hours from
    its newest value to then, None if it has no value. `unmoved`: most successive rows with the same closing
    mark price.
    """
    newest = ", ".join(
        f"epoch_us(max(timestamp) FILTER (WHERE {name} IS NOT NULL)) // 1000000" for name in NEWEST
    )
    rows = run(
        connection,
        f"""SELECT venue, symbol, epoch_us(max(timestamp)) // 1000000, {newest}
            FROM unified GROUP BY venue, symbol""",
    )
    unmoved = {(venue, symbol): count for venue, symbol, count in run(connection, _UNMOVED)}
    return {
        (venue, symbol): {
            "stale_h": dict(zip(("row", *NEWEST), _ages(last_due[venue, symbol], times), strict=True)),
            "unmoved": unmoved.get((venue, symbol)),
        }
        for venue, symbol, *times in rows
    }


def _ages(last_s: int, times: Iterable[int | None]) -> list[float | None]:
    return [None if at is None else max(0, last_s - at) / 3600 for at in times]


def _day(number: int) -> str:
    return iso(number * DAY_S * SECOND)[:10]
