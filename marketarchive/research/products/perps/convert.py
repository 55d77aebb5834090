"""Conversion of a venue's tables to rows of one period; a row stands at the end of its period.

Sums are of exact decimals, and the nearest double is taken once, at the end; those of rates in force, which
are divided first, are of doubles in order of time. In SQL `s` are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.research.decimals import doubles
from marketarchive.research.engine import run, stored, text
from marketarchive.research.products.perps.columns import COLUMNS, schema
from marketarchive.research.tables import schemas
from marketarchive.venues.perps import PERP_TABLES, Perps, sectors

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

EIGHT_H = 28_800
CONTINUOUS_S = 7_200
"""Seconds for which an observed continuous funding rate holds, unless a newer one is known."""

LATE_S = 1_500
"""Seconds after a full hour in which a settlement is that of the hour: on chains it happens when somebody
sends the transaction or the next block is made."""

_MINUTE = "(epoch_us(event_time) + 30000000) // 60000000 * 60"
_SETTLED_S = f"({_MINUTE} - CASE WHEN {_MINUTE} % 3600 <= {LATE_S} THEN {_MINUTE} % 3600 ELSE 0 END)"
"""The due time of a settlement: the full hour, or the minute of one that is later than all are."""
_ROW_S = "((epoch_us(event_time) + 999999) // 1000000 + {period} - 1) // {period} * {period}"
"""The row of an event of table rows: of the period in which it happened."""

_PAST = """
CREATE OR REPLACE TEMP TABLE past AS  -- runs that collected the past
SELECT run FROM fundings WHERE kind = 'settled' UNION SELECT run FROM candles"""

_IS_BESIDE = "(event_time = received_at AND run IN (FROM past))"
"""Whether values are of the moment at which the past was collected: of the list of contracts."""

_SETTLED = """
CREATE OR REPLACE TEMP TABLE settled AS
WITH newest AS (  -- a settlement may be archived more than once
    SELECT market, {settled_s} AS s,
           arg_max(rate, received_at) AS rate, arg_max(coalesce(rate_short, rate), received_at) AS short,
           max(interval_s) AS stated
    FROM fundings WHERE kind = 'settled' GROUP BY ALL),
apart AS (
    SELECT *, s - lag(s) OVER (PARTITION BY market ORDER BY s) AS before FROM newest),
around AS (  -- what was before the first may be as long as it likes, what comes after the newest is unknown
    SELECT *, coalesce(lag(before) OVER each, {long}) AS earlier, lead(before, 1, 0) OVER each AS later,
           before <= greatest(least(earlier, coalesce(lag(before, 2) OVER each, {long})),
                              least(earlier, later),
                              least(later, lead(before, 2, 0) OVER each)) AS is_shortest  -- of three in a row
    FROM apart WINDOW each AS (PARTITION BY market ORDER BY s)),
known AS (
    SELECT *,
           CASE WHEN stated IS NOT NULL THEN stated
                WHEN is_shortest AND before IN ({intervals}) THEN before
                WHEN is_shortest AND before > earlier AND later IN ({intervals}) THEN later
                WHEN before IS NULL AND later = 0 THEN coalesce(listed_s, {unlisted}) END AS interval_s,
           CASE WHEN interval_s IS NOT NULL AND s % 3600 = 0 THEN least(before, interval_s) END AS covered_s
    FROM around LEFT JOIN (
        SELECT market, arg_max(funding_interval_s, received_at) AS listed_s
        FROM instruments WHERE funding_interval_s IS NOT NULL GROUP BY ALL) USING (market))
SELECT market, (s + {period} - 1) // {period} * {period} AS row_s, 'settled' AS kind,
       count(*)::INTEGER AS settlements, sum(rate) AS rate, sum(short) AS short,
       greatest({period}, max(interval_s)) AS divisor, arg_max_null(interval_s, s) AS interval_s,
       bool_and(before IS NULL AND interval_s IS NULL AND later > 0) AS is_before_all,
       -- the settlements fill the period, or the interval of the one is longer than it
       coalesce(sum(covered_s) = {period} OR count(*) = 1 AND max(interval_s) > {period}, false) AS is_whole
FROM known GROUP BY ALL"""

_CONTINUOUS = """
CREATE OR REPLACE TEMP TABLE accrued AS
WITH points AS (
    SELECT market, epoch_us(event_time) // 1000000 AS s, interval_s,
           arg_max(rate, received_at)::DOUBLE AS rate,
           arg_max(coalesce(rate_short, rate), received_at)::DOUBLE AS short
    FROM fundings WHERE kind = 'continuous' GROUP BY ALL),
stretches AS (
    SELECT *, least(coalesce(lead(s) OVER (PARTITION BY market ORDER BY s), s + {held}), s + {held}) AS until
    FROM points),
cut AS (
    SELECT *, unnest(generate_series(s // {period} * {period} + {period},
                                     (until - 1) // {period} * {period} + {period}, {period})) AS row_s
    FROM stretches WHERE until > s),
shares AS (
    SELECT *, least(until, row_s) - greatest(s, row_s - {period}) AS held FROM cut)
SELECT market, row_s, 'continuous' AS kind,  -- of doubles, so in a fixed order
       sum(rate / interval_s * held ORDER BY s) / {period} * {eight} AS rate,
       sum(short / interval_s * held ORDER BY s) / {period} * {eight} AS short,
       sum(held) = {period} AS is_whole
FROM shares GROUP BY ALL"""

_CANDLES = """
CREATE OR REPLACE TEMP TABLE bars AS
WITH newest AS (
    SELECT market, source, interval_s, event_time, arg_max(struct_pack(open, high, low, close, volume,
           volume_quote), received_at) AS c
    FROM candles WHERE is_closed AND {period} % interval_s = 0 GROUP BY ALL),
stamped AS (
    SELECT market, source, interval_s, event_time, c,
           (epoch_us(event_time) // 1000000 // {period} + 1) * {period} AS row_s FROM newest),
whole AS (SELECT market, source, row_s, unnest(c) FROM stamped WHERE interval_s = {period}),
grouped AS (
    SELECT market, source, interval_s, row_s,
           arg_min(c.open, event_time) AS open, max(c.high) AS high, min(c.low) AS low,
           arg_max(c.close, event_time) AS close, sum(c.volume) AS volume,
           sum(c.volume_quote) AS volume_quote
    FROM stamped WHERE interval_s < {period} GROUP BY ALL HAVING count(*) * interval_s = {period}),
joined AS (
    SELECT market, source, row_s, unnest(best) FROM (
        SELECT market, source, row_s,
               arg_max(struct_pack(open, high, low, close, volume, volume_quote), interval_s) AS best
        FROM grouped ANTI JOIN whole USING (market, source, row_s) GROUP BY ALL))
SELECT market, source, row_s, open AS o, high AS h, low AS l, close AS c, volume, volume_quote
FROM (FROM whole UNION ALL FROM joined)"""

_SAMPLES = """
INSERT INTO bars
SELECT market, '{source} samples', row_s, arg_min(price, event_time), max(price), min(price),
       arg_max(price, event_time), count(*)::DECIMAL(38, 18), NULL
FROM (SELECT DISTINCT market, event_time, {source}_price AS price,  -- may be archived more than once
             CASE WHEN kind = 'settled' THEN ({settled_s} + {period} - 1) // {period} * {period}
                  ELSE {row_s} END AS row_s
      FROM fundings WHERE {source}_price IS NOT NULL AND NOT {is_beside})
GROUP BY ALL"""

_INTEREST = """
CREATE OR REPLACE TEMP TABLE interest AS
SELECT market, row_s, unnest(newest) FROM (
    SELECT market, {row_s} AS row_s,
           arg_max(struct_pack(amount, amount_quote, amount_long, amount_short, rule),
                   struct_pack(event_time, received_at)) AS newest
    FROM open_interest WHERE NOT {is_beside} GROUP BY ALL)"""

_BORROWED = """
CREATE OR REPLACE TEMP TABLE borrowed AS
SELECT asset, {row_s} AS row_s, arg_max(bps_per_day, struct_pack(event_time, received_at)) AS bps
FROM borrow_rates WHERE asset IS NOT NULL GROUP BY ALL"""

_LISTED = """
CREATE OR REPLACE TEMP TABLE listed AS
SELECT market, arg_max(listed_at, received_at) AS listed_at,
       arg_max(struct_pack(at := delisted_at), received_at).at AS delisted_at
FROM instruments WHERE status <> '' GROUP BY ALL"""

_ROWS = """
WITH markets AS (SELECT * FROM (VALUES {contracts}) AS each(market, asset, sector)),
known AS (  -- a first settlement of unknown interval says only how long that of the next one was
    SELECT market, row_s FROM settled WHERE NOT is_before_all
    UNION SELECT market, row_s FROM accrued WHERE is_whole
    UNION SELECT market, row_s FROM bars UNION SELECT market, row_s FROM interest),
newest AS (
    SELECT max(epoch_us(received_at)) // 1000000 AS s
    FROM (SELECT received_at FROM fundings UNION ALL SELECT received_at FROM candles
          UNION ALL SELECT received_at FROM open_interest UNION ALL SELECT received_at FROM instruments)),
due AS (  -- a row for each period that ended, between the first and the last of which something is known
    SELECT market, asset, sector, unnest(generate_series(first, last, {period})) AS row_s
    FROM (SELECT market, min(row_s) AS first, max(row_s) AS last
          FROM known JOIN newest ON row_s <= s GROUP BY market)
    JOIN markets USING (market))
SELECT due.row_s, due.market, due.asset, due.sector,
       CASE WHEN settled.is_whole THEN settled.rate END AS settled_rate,
       CASE WHEN settled.is_whole THEN settled.short END AS settled_short, settled.divisor,
       CASE WHEN accrued.is_whole THEN accrued.rate END AS accrued_rate,
       CASE WHEN accrued.is_whole THEN accrued.short END AS accrued_short,
       CASE WHEN settled.is_whole THEN settled.kind WHEN accrued.is_whole THEN accrued.kind END AS kind,
       CASE WHEN NOT {is_continuous} THEN coalesce(settled.settlements, 0) END AS settlements,
       settled.interval_s,
       {prices},
       amount, amount_quote, amount_long, amount_short, rule, trade.volume, trade.volume_quote, borrowed.bps,
       listed.listed_at, listed.delisted_at
FROM due
LEFT JOIN settled ON settled.market = due.market AND settled.row_s = due.row_s
LEFT JOIN accrued ON accrued.market = due.market AND accrued.row_s = due.row_s
LEFT JOIN bars AS mark ON mark.market = due.market AND mark.row_s = due.row_s AND mark.source = {mark}
LEFT JOIN bars AS "index" ON "index".market = due.market AND "index".row_s = due.row_s
    AND "index".source = {index}
LEFT JOIN bars AS trade ON trade.market = due.market AND trade.row_s = due.row_s AND trade.source = 'trade'
LEFT JOIN interest ON interest.market = due.market AND interest.row_s = due.row_s
LEFT JOIN borrowed ON borrowed.asset = due.asset AND borrowed.row_s = due.row_s
LEFT JOIN listed ON listed.market = due.market
WHERE (listed.delisted_at IS NULL OR due.row_s - {period} < epoch_us(listed.delisted_at) // 1000000)
    AND due.row_s BETWEEN {first} AND {last}
ORDER BY due.market, due.row_s"""


@dataclass(frozen=True)
class Window:
    """Period and time range of the rows to make."""

    period_s: int
    first: int = 0  # Unix seconds of the first row
    last: int = 10**11  # Unix seconds of the last row; the default is no bound


def rows_of(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    perps: Perps,
    contracts: Mapping[str, str],
    files: Mapping[str, Sequence[Path]],
    window: Window,
) -> pa.Table:
    """Return the rows of a venue's contracts in the columns of `COLUMNS`, sorted by market and time.

    perps: the venue's declaration; contracts: market -> asset; files: table -> its Parquet files of this
    venue.
    """
    for table in PERP_TABLES:
        found = files.get(table, ())
        relation = schemas.relation(table, stored(*found, hive=True) if found else None)
        run(connection, f"CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM {relation}")
    period = window.period_s
    intervals = ", ".join(map(str, perps.settled_every_s))
    unlisted = "NULL" if perps.unlisted_every_s is None else perps.unlisted_every_s
    row_s = _ROW_S.format(period=period)
    run(connection, _PAST)
    run(
        connection,
        _SETTLED.format(
            period=period, intervals=intervals, unlisted=unlisted, settled_s=_SETTLED_S, long=10**11
        ),
    )
    run(connection, _CONTINUOUS.format(period=period, held=CONTINUOUS_S, eight=EIGHT_H))
    run(connection, _CANDLES.format(period=period))
    sources = {}
    for source in ("mark", "index"):
        declared = perps.columns.get(source)
        instead = None if declared is None else declared.instead
        is_sampled = declared is not None and declared.taken_as == "samples"
        sources[source] = f"{source} samples" if is_sampled else instead or source
        if is_sampled:
            run(
                connection,
                _SAMPLES.format(
                    period=period, source=source, settled_s=_SETTLED_S, row_s=row_s, is_beside=_IS_BESIDE
                ),
            )
    for made in (_INTEREST, _BORROWED, _LISTED):
        run(connection, made.format(row_s=row_s, is_beside=_IS_BESIDE))
    values = ", ".join(
        f"({text(market)}, {text(asset)}, {text(sectors()[asset]) if asset in sectors() else 'NULL'})"
        for market, asset in contracts.items()
    )
    prices = ", ".join(
        f'"{source}".{each} AS {source}_{each}'
        for source in ("mark", "index")
        for each in ("o", "h", "l", "c")
    )
    counts = ", ".join(f'"{source}".volume AS {source}_count' for source in ("mark", "index"))
    query = _ROWS.format(
        contracts=values,
        period=period,
        prices=f"{prices}, {counts}",
        mark=text(sources["mark"]),
        index=text(sources["index"]),
        is_continuous=any(route.kind == "funding" and route.is_in_force for route in perps.routes),
        first=window.first,
        last=window.last,
    )
    return _unified(connection.sql(query).to_arrow_table(), venue, perps)


def _unified(found: pa.Table, venue: str, perps: Perps) -> pa.Table:
    """Return the result of the query `_ROWS` in the columns of the unified data."""
    import pyarrow as pa
    import pyarrow.compute as pc

    count = found.num_rows
    is_one = found["settled_short"].equals(found["settled_rate"])  # both sides' rates are, mostly
    settled = _eight_hours(found["settled_rate"], found["divisor"])
    settled_short = settled if is_one else _eight_hours(found["settled_short"], found["divisor"])
    funding = pc.coalesce(settled, found["accrued_rate"])
    short = pc.coalesce(settled_short, found["accrued_short"])
    made: dict[str, Any] = {
        "timestamp": pc.multiply(found["row_s"].cast(pa.int64()), 1_000_000).cast(
            pa.timestamp("us", tz="UTC")
        ),
        "venue": pa.array([venue] * count, pa.string()),
        "symbol": found["market"],
        "asset": found["asset"],
        "sector": found["sector"].cast(pa.string()),
        "funding_rate": funding,
        "funding_rate_30m": pc.divide(funding, 16.0),
        "funding_rate_long": funding,
        "funding_rate_short": short,
        "funding_kind": found["kind"],
        "n_settlements": found["settlements"].cast(pa.int32()),
        "funding_interval_h": pc.divide(found["interval_s"].cast(pa.float64()), 3600.0),
        "open_interest": _double(found["amount"]),
        "open_interest_usd": _double(found["amount_quote"]),
        "open_interest_long": _double(found["amount_long"]),
        "open_interest_short": _double(found["amount_short"]),
        "open_interest_rule": found["rule"],
        "volume": _double(found["volume"]),
        "volume_quote": _double(found["volume_quote"]),
        "fees_taker_bps_perp": pa.array([_fee(perps.taker_bps)] * count, pa.float64()),
        "fees_maker_bps_perp": pa.array([_fee(perps.maker_bps)] * count, pa.float64()),
        "fee_schedule_date": pa.array([perps.fee_schedule_date] * count, pa.string()).cast(pa.date32()),
        "borrow_bps_per_day": _borrowed(found, perps),
        "listed_from": found["listed_at"],
        "listed_to": found["delisted_at"],
    }
    worth = perps.columns.get("open_interest_usd")
    if worth is not None and worth.origin == "substitute":
        made["open_interest_usd"] = _worth(found)
    for source in ("mark", "index"):
        for each in ("o", "h", "l", "c"):
            made[f"{source}_{each}"] = _double(found[f"{source}_{each}"])
        declared = perps.columns.get(source)
        taken_as = "candles" if declared is None else declared.taken_as
        made[f"{source}_source"] = _source(found, source, taken_as)
    return pa.table({name: made[name] for name in COLUMNS}).cast(schema())


def _borrowed(found: pa.Table, perps: Perps) -> pa.Array:
    """Return the cost of borrowing in bps per day: declared by the venue, else from its table."""
    import pyarrow as pa

    if perps.borrow_bps_per_day is None:
        return _double(found["bps"])
    return pa.array([float(perps.borrow_bps_per_day)] * found.num_rows, pa.float64())


def _worth(found: pa.Table) -> pa.Array:
    """Return open interest in dollars: as the venue states it, else amount times the closing mark price."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # Arrow wants room for a digit more than a product can have: 38 and 38 digits fit, 38 and 37 are declared
    price = found["mark_c"].cast(pa.decimal256(37, 18), safe=False)
    worth = pc.multiply(found["amount"].cast(pa.decimal256(38, 18)), price)
    return pc.coalesce(_double(found["amount_quote"]), _nearest(worth))


def _fee(reported: str | None) -> float | None:
    return None if reported is None else float(reported)


def _source(found: pa.Table, source: str, taken_as: str) -> pa.Array:
    """Return per row where a price comes from: the kind of candles, or "N samples"; null without a price.

    source: "mark" or "index"; taken_as: the kind of candles.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    sampled = pc.binary_join_element_wise(
        found[f"{source}_count"].cast(pa.int64()).cast(pa.string()), "samples", " "
    )
    is_there = found[f"{source}_c"].is_valid()
    return pc.if_else(is_there, pc.fill_null(sampled, taken_as), pa.scalar(None, pa.string()))


def _double(values: pa.ChunkedArray) -> pa.Array:
    """Return the nearest doubles of decimals; null stays null."""
    import pyarrow as pa

    whole = values.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.nulls(0, values.type)
    if not len(whole) or pa.types.is_null(whole.type):
        return pa.nulls(len(whole), pa.float64())
    return pa.array(doubles(whole), pa.float64(), mask=whole.is_null().to_numpy(zero_copy_only=False))


def _eight_hours(sums: pa.ChunkedArray, divisors: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return rates for eight hours, as nearest doubles, from sums of rates over `divisors` seconds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    over_all = pc.multiply(sums.cast(pa.decimal256(58, 38)), pa.scalar(Decimal(EIGHT_H), pa.decimal256(5, 0)))
    seconds = divisors.cast(pa.int32()).cast(pa.decimal256(10, 0))
    return _nearest(pc.divide(over_all, seconds))


def _nearest(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the nearest doubles of decimals of any width."""
    import pyarrow as pa

    return values.cast(pa.string()).cast(pa.float64())
