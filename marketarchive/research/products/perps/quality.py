"""Quality of the unified data: rows, missing rows and values, and faults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.research.engine import connect, pattern, run
from marketarchive.research.products.perps.collected import Collected, Ended
from marketarchive.research.products.perps.columns import COLUMNS
from marketarchive.research.products.perps.convert import Window
from marketarchive.research.products.perps.over_time import (
    due,
    make_spreads,
    records_by_day,
    spread_by_day,
    staleness,
)
from marketarchive.times import SECOND, iso
from marketarchive.venues import venues
from marketarchive.venues.perps import sectors
from marketarchive.venues.symbols import symbols

if TYPE_CHECKING:
    import duckdb

EXAMPLES = 5
"""Most rows that a finding names as examples."""
OUTLIER = 10
"""Distance from a contract's median, in median absolute deviations, beyond which a rate is an outlier."""
PRICES = [f"{kind}_{each}" for kind in ("mark", "index") for each in "ohlc"]

_CONTRACT = "venue, asset, symbol, sector"
_DISTANCE = "abs(funding_rate - median(funding_rate) OVER (PARTITION BY venue, symbol))"
_BEFORE = "epoch_us(lag(timestamp) OVER (PARTITION BY venue, symbol ORDER BY timestamp))"
_RATES = """count(funding_rate) AS rates, median(funding_rate) * 10000 AS median,
    avg(funding_rate) * 10000 AS mean, stddev_samp(funding_rate) * 10000 AS std,
    min(funding_rate) * 10000 AS lowest, max(funding_rate) * 10000 AS highest"""
_WRONG = {
    "duplicates": (
        "rows whose timestamp, venue and symbol occur more than once",
        "SELECT * FROM unified QUALIFY count(*) OVER (PARTITION BY timestamp, venue, symbol) > 1",
    ),
    "disorder": (
        "rows that are out of order",
        """SELECT * FROM unified QUALIFY row(timestamp, venue, symbol)
            < lag(row(timestamp, venue, symbol)) OVER (ORDER BY file_row_number)""",
    ),
    "off_grid": (
        "rows whose timestamp is not the end of a period",
        "SELECT * FROM unified WHERE epoch_us(timestamp) % {period_us} <> 0",
    ),
    "holes": (
        "rows that follow a missing period of the same contract",
        f"SELECT * FROM unified QUALIFY epoch_us(timestamp) - {_BEFORE} > {{period_us}}",
    ),
    "prices_disagree": (
        "rows with a high below, or a low above, another price of the same candle",
        """SELECT * FROM unified WHERE mark_h < greatest(mark_o, mark_l, mark_c)
            OR mark_l > least(mark_o, mark_c) OR index_h < greatest(index_o, index_l, index_c)
            OR index_l > least(index_o, index_c)""",
    ),
    "out_of_range": (
        "rows with a price that is not positive, or an amount below zero",
        f"""SELECT * FROM unified WHERE least({", ".join(PRICES)}) <= 0
            OR least(open_interest, volume, open_interest_usd, volume_quote) < 0""",
    ),
}
"""Faults that no row may have: name -> (description, SQL of the faulty rows)."""
_ODD = {
    "outliers": (
        f"rows whose funding is further from the contract's median than {OUTLIER} times the median deviation",
        f"""SELECT * EXCLUDE (far) FROM (SELECT *, {_DISTANCE} AS far FROM unified)
            QUALIFY far > {OUTLIER} * median(far) OVER (PARTITION BY venue, symbol)
                AND median(far) OVER (PARTITION BY venue, symbol) > 0""",
    ),
}
"""Oddities that may be correct: name -> (description, SQL of the rows)."""


def quality(path: Path, window: Window, collected: Collected, now_ns: int) -> dict[str, Any]:
    """Return the quality report of the file `path` of unified data as a JSON object.

    window: requested period and range; now_ns: wall ns. Funding is in basis points of 8 hours.
    """
    with closing(connect()) as connection:
        source = f"read_parquet({pattern(path)}, hive_partitioning = false, file_row_number = true)"
        run(connection, f"CREATE TEMP TABLE unified AS SELECT * FROM {source}")
        [(rows, first, last)] = run(
            connection, "SELECT count(*), min(timestamp), max(timestamp) FROM unified"
        )
        span = _span(window, first, last, now_ns // SECOND)
        contracts, spans = _contracts(connection, window.period_s, span, collected.ended)
        make_spreads(connection)
        findings = {
            name: _finding(connection, what, sql.format(period_us=window.period_s * 10**6))
            for name, (what, sql) in {**_WRONG, **_ODD}.items()
        }
        missing = _missing(connection)
        by = {name: _funding(connection, name) for name in ("asset", "sector")}
        records, spreads = records_by_day(connection, window.period_s, spans), spread_by_day(connection)
    wrong = [name for name in _WRONG if findings[name]["rows"]]
    partial = [each for each in contracts if each["status"] == "partial"]
    crawls = [{"venue": venue, **each._asdict()} for venue, each in sorted(collected.crawls.items())]
    is_partial = collected.failed or partial or any(each.has_failed for each in collected.crawls.values())
    return {
        "kind": "perps_quality",
        "schema": 2,
        "made_at_utc": iso(now_ns),
        "status": "wrong" if wrong else "partial" if is_partial else "complete",
        "wrong": wrong,
        "failed": dict(collected.failed),
        "crawls": crawls,
        "period_s": window.period_s,
        "first": None if span is None else iso(span[0] * SECOND),
        "last": None if span is None else iso(span[1] * SECOND),
        "rows": rows,
        "contracts": contracts,
        "records_by_day": records,
        "spread_by_day": spreads,
        "missing_share": missing,
        "funding_bps_8h": by,
        "findings": findings,
    }


def _span(
    window: Window, first: datetime | None, last: datetime | None, now_s: int
) -> tuple[int, int] | None:
    """Return the (first, last) time of rows that are due, Unix s: as requested, else as in the data.

    first, last: times of the rows in the data; None, as the result is then: there are no rows.
    """
    if first is None or last is None:
        return None
    begin = window.first or int(first.timestamp())
    end = min(window.last, max(now_s, int(last.timestamp())))
    return begin, end if window.last < Window(window.period_s).last else int(last.timestamp())


def _contracts(
    connection: duckdb.DuckDBPyConnection,
    period_s: int,
    span: tuple[int, int] | None,
    ended: Mapping[tuple[str, str], Ended],
) -> tuple[list[dict[str, Any]], dict[tuple[str, str], tuple[int, int]]]:
    """Return (contracts, due times).

    Contracts are those with rows, and those of assets with a sector that have none. Due times are (venue,
    symbol) -> Unix seconds of the first and last row expected, for contracts with rows.
    """
    found = _dicts(
        connection,
        f"""SELECT {_CONTRACT}, count(*) AS records, count(DISTINCT timestamp) AS there,
            min(timestamp) AS first, max(timestamp) AS last, min(listed_from) AS listed_from,
            max(listed_to) AS listed_to, {_RATES}, corr(mark_c, index_c) AS mark_index_correlation
            FROM unified GROUP BY {_CONTRACT} ORDER BY {_CONTRACT}""",
    )
    spans = {}
    for row in found:
        assert span is not None
        begin, end = span
        if row["listed_from"] is not None:
            begin = max(begin, int(row["listed_from"].timestamp()))
        if (known := _end(row, ended)) is not None:
            row.update(_shown(known))
            end = min(end, -(-int((known.at or row["last"]).timestamp()) // period_s) * period_s)
        spans[row["venue"], row["symbol"]] = begin, end // period_s * period_s
    ages = staleness(connection, {key: end for key, (_, end) in spans.items()})
    made = []
    for row in found:
        key = row["venue"], row["symbol"]
        expected = due(*spans[key], period_s)
        values = {name: _plain(value) for name, value in row.items()}
        status = "complete" if row["there"] >= expected else "partial"
        made.append({**values, **ages[key], "expected": expected, "status": status})
    made += [
        {
            "venue": venue, "asset": asset, "symbol": row["symbol"], "sector": sectors()[asset],
            "records": 0, "there": 0, "expected": None, "status": "no rows",
            **_shown(ended.get((venue, row["symbol"]))),
        }
        for venue, each in venues().items() if each.perps is not None
        for asset, row in symbols(venue).items() if asset in sectors() and (venue, row["symbol"]) not in spans
    ]  # fmt: skip
    return sorted(made, key=lambda row: (row["venue"], row["asset"], row["symbol"])), spans


def _end(row: Mapping[str, Any], ended: Mapping[tuple[str, str], Ended]) -> Ended | None:
    """Return the end of a contract with rows: as its venue dates it, else by what else is known."""
    if row["listed_to"] is not None:
        return Ended(row["listed_to"], "the venue")
    return ended.get((row["venue"], row["symbol"]))


def _shown(ended: Ended | None) -> dict[str, Any]:
    """Return the fields of a contract's end; none of one that lives."""
    return {} if ended is None else {"ended": _plain(ended.at), "ended_by": ended.source}


def _missing(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, float]]:
    """Return venue -> column -> share of rows in which it is null."""
    shares = ", ".join(f'1 - count("{name}") / count(*) AS "{name}"' for name in COLUMNS)
    rows = _dicts(connection, f"SELECT venue AS of, {shares} FROM unified GROUP BY venue ORDER BY venue")
    return {row.pop("of"): row for row in rows}


def _funding(connection: duckdb.DuckDBPyConnection, by: str) -> list[dict[str, Any]]:
    """Return funding statistics over all venues in basis points, a row per asset or sector.

    by: "asset" or "sector". `spread` is the mean distance between venues for one asset at one time. Needs the
    table `spreads`.
    """
    query = f"""SELECT * FROM (SELECT {by}, {_RATES} FROM unified WHERE {by} IS NOT NULL GROUP BY {by})
        LEFT JOIN (SELECT {by}, avg(funding) AS spread FROM spreads GROUP BY {by}) USING ({by})
        ORDER BY {by}"""
    return [{name: _plain(value) for name, value in row.items()} for row in _dicts(connection, query)]


def _finding(connection: duckdb.DuckDBPyConnection, what: str, sql: str) -> dict[str, Any]:
    [(count,)] = run(connection, f"SELECT count(*) FROM ({sql})")
    query = f"SELECT timestamp, venue, symbol FROM ({sql}) ORDER BY ALL LIMIT {EXAMPLES}"
    rows = _dicts(connection, query) if count else []
    examples = [{name: _plain(value) for name, value in row.items()} for row in rows]
    return {"what": what, "rows": count, "examples": examples}


def _dicts(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
    return found


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: a time as ISO 8601 text, NaN and infinity as None."""
    if isinstance(value, datetime):
        return iso(round(value.timestamp() * 10**6) * 1000)
    return None if isinstance(value, float) and not math.isfinite(value) else value
