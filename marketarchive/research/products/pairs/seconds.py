"""Best prices of both rounds of each pair, a row per second, as a live reader knew them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.field_docs import FieldDoc
from marketarchive.research import views
from marketarchive.research.described_schema import described_schema
from marketarchive.research.engine import connect, run, text
from marketarchive.research.names import known, tokens_by_market
from marketarchive.research.products.pairs.windows import SIDES, Pair
from marketarchive.research.tables.closed_gaps import stands
from marketarchive.research.tables.extract import table
from marketarchive.research.tables.gap_scope import concerns
from marketarchive.research.tables.normalize import bring_gaps_up_to_date, bring_up_to_date
from marketarchive.research.tables.partitions import feeds_with
from marketarchive.research.tables.soundness import SOUND
from marketarchive.times import SECOND

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

CARRY_S = 60
"""Seconds after which a price that nothing confirms is no price any more."""
_UNKNOWN = f"nothing of the last {CARRY_S} s is known"
_STATE = {
    "bid": FieldDoc(
        "highest bid of the side that wins when the price rises: Up, yes",
        "dollars",
        f"{_UNKNOWN}, or the side is empty",
        type="double",
    ),
    "ask": FieldDoc("lowest ask of that side", "dollars", f"{_UNKNOWN}, or the side is empty", type="double"),
    "age_s": FieldDoc(
        "since the message that states them was received; of a copy, with its age",
        "seconds",
        _UNKNOWN,
        type="double",
    ),
    "gap": FieldDoc(
        "a gap of this recording and market was recorded since then, so the price is carried across missing "
        "data",
        "",
        _UNKNOWN,
        type="bool",
    ),
}

FIELDS: Mapping[str, FieldDoc] = {
    "asset": FieldDoc("the asset", "`BTC`", type="string"),
    "start_timestamp": FieldDoc("start of the window", "Unix seconds", type="int64"),
    "t": FieldDoc("since the start", "seconds", type="int32"),
    "second": FieldDoc("start + `t`", "UTC", type="timestamp[us, tz=UTC]"),
    **{f"{venue}_market": FieldDoc("the round", "slug; ticker", type="string") for venue in SIDES},
    **{f"{venue}_{name}": each for venue in SIDES for name, each in _STATE.items()},
    **{f"{venue}_source": FieldDoc("the feed", "", _UNKNOWN, type="string") for venue in SIDES},
}
"""Columns of a second; docs/KALSHI_COLLECTOR.md lists them."""
TABLES = ("books", "book_changes", "quotes")
"""Tables that best prices are read from."""
TOGETHER = 96
"""Number of pairs joined at a time, a day of an asset, to bound memory."""


def seconds(root: Path, found: Sequence[Pair], master_url: str | None = None) -> Iterator[pa.Table]:
    """Yield tables with a row per second of each pair that has any price, by window and second.

    found: the pairs; master_url: None is `master.db` in `root`. The first table is empty and has the schema.
    Derived tables are brought up to date first. Raises ArchiveError, DiskError, duckdb.Error.
    """
    yield described_schema(FIELDS).empty_table()
    if not found:
        return
    first = min(each.first.start_ns for each in found) - CARRY_S * SECOND
    last = max(each.first.end_ns for each in found) + SECOND
    wanted = {feed for name in TABLES for feed in feeds_with(name) if feed[0] in SIDES}
    bring_up_to_date(root, wanted, TABLES, first, last, master_url=master_url)
    shared = bring_gaps_up_to_date(root, wanted, first, last, master_url=master_url)
    tokens = tokens_by_market(known(root, master_url).tokens)
    for begin in range(0, len(found), TOGETHER):
        some = found[begin : begin + TOGETHER]
        with closing(connect(root / "tables" / ".spill")) as connection:
            made = _joined(connection, root, some, tokens, shared, master_url)
        yield made


def _joined(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    found: Sequence[Pair],
    tokens: Mapping[str, Mapping[str, str]],
    shared: Collection[tuple[str, str]],
    master_url: str | None,
) -> pa.Table:
    first = min(each.first.start_ns for each in found) - CARRY_S * SECOND
    last = max(each.first.end_ns for each in found) + SECOND
    connection.register("pairs", _pairs(found))
    connection.register("sides", _sides(found, tokens))
    views.view_names(connection, root, master_url)
    for name in TABLES:
        views.view_rows(connection, root, name, first, last)
    views.view_gaps(connection, root, first, last)
    views.close_gaps(connection, root, shared, first, last)
    for name, query in (("states", _STATES), ("seen", _SEEN), ("broken", _BROKEN)):
        run(connection, f"CREATE TEMP TABLE {name} AS {query}")
    return connection.sql(_ROWS).to_arrow_table().cast(described_schema(FIELDS))


def _pairs(found: Sequence[Pair]) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "pair": list(range(len(found))),
        "asset": [each.first.asset for each in found],
        "start_s": [each.first.start_ns // SECOND for each in found],
        "duration_s": [(each.first.end_ns - each.first.start_ns) // SECOND for each in found],
        "polymarket_market": [each.first.market_id for each in found],
        "kalshi_market": [each.second.market_id for each in found],
    }
    return table(columns, {"pair": "i4", "start_s": "i8", "duration_s": "i8"})


def _sides(found: Sequence[Pair], tokens: Mapping[str, Mapping[str, str]]) -> pa.Table:
    """Return a table of the books to read: per pair and venue, the outcome that wins if the price rises.

    `name` is the outcome's token; at a venue without tokens the market.
    """
    listed = [
        (number, each.platform, tokens.get(each.market_id, {}).get(SIDES[each.platform], each.market_id))
        for number, pair in enumerate(found)
        for each in (pair.first, pair.second)
    ]
    columns = ("pair", "platform", "name")
    return table({name: [row[n] for row in listed] for n, name in enumerate(columns)}, {"pair": "i4"})


# ---- SQL -------------------------------------------------------------------------------------------------

_OUTCOMES = ", ".join(f"({text(venue)}, {text(side)})" for venue, side in SIDES.items())


def _stated(name: str) -> str:
    """Return an SQL query of the best prices that a table states for the outcomes in SIDES.

    name: the table. A delta without best prices states none; a snapshot or quote without any is an empty
    book.
    """
    is_book, is_change = name == "books", name == "book_changes"
    states_prices = "(best_bid IS NOT NULL OR best_ask IS NOT NULL) AND is_stale IS DISTINCT FROM true"
    return f"""
        SELECT venue, feed, run, connection, seq, index, position, market, slug, token,
               epoch_us(received_at) AS received_us, epoch_us(event_time) AS event_us,
               best_bid::DOUBLE AS bid, best_ask::DOUBLE AS ask,
               {"coalesce(age_ms, 0)" if is_book else "0"} * 1000 AS age_us,
               {str(is_change).lower()} AS is_ordered
        FROM {name} WHERE {SOUND} AND (outcome IS NULL OR (venue, outcome) IN ({_OUTCOMES}))
            {f"AND {states_prices}" if is_change else ""}"""


# a state counts from its receipt on, unless a newer one had been received before it; a delta is as new as
# what its connection sent before it, whatever its date, and what a connection sends undated is of its receipt
_DATED = """
    SELECT *, CASE WHEN connection IS NULL THEN coalesce(event_us, received_us - age_us)
                   WHEN is_ordered THEN max(event_us) OVER (
                       PARTITION BY pair, platform, feed, run, connection
                       ORDER BY received_us, seq, index, position
                       ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
                   ELSE event_us END AS dated_us
    FROM found"""
_STATES = f"""
    WITH found AS (
        SELECT sides.pair, sides.platform, stated.*
        FROM ({" UNION ALL ".join(map(_stated, TABLES))}) AS stated JOIN sides
            ON sides.platform = stated.venue AND coalesce(stated.token, stated.market) = sides.name
    )
    SELECT *, (received_us + 999999) // 1000000 AS known_s FROM (
        FROM ({_DATED})
        QUALIFY dated_us IS NULL OR dated_us >= coalesce(
            max(dated_us) OVER (
                PARTITION BY pair, platform ORDER BY received_us, run, seq, index, position
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), -1))
    QUALIFY row_number() OVER (
        PARTITION BY pair, platform, known_s
        ORDER BY received_us DESC, run DESC, seq DESC, index DESC, position DESC) = 1"""
_SEEN = f"""
    SELECT grid.pair, grid.platform, grid.t, grid.second, venue, feed, run, connection,
           [market, slug, token] AS names, bid, ask, received_us,
           grid.second - (received_us - age_us) / 1000000 AS age_s
    FROM (SELECT pair, platform, t, start_s + t AS second
          FROM (SELECT *, unnest(range(0, duration_s)) AS t FROM pairs)
          CROSS JOIN (VALUES {", ".join(f"({text(venue)})" for venue in SIDES)}) AS venues(platform)) AS grid
    ASOF JOIN states ON states.pair = grid.pair AND states.platform = grid.platform
        AND grid.second >= states.known_s
    WHERE grid.second - (received_us - age_us) / 1000000 <= {CARRY_S}"""
_BROKEN = f"""
    SELECT DISTINCT pair, platform, t FROM seen JOIN gaps
        ON {concerns("seen.venue", "seen.feed", "seen.names", "seen.connection")}
        AND {stands("seen.names")}
        AND gaps.run = seen.run AND epoch_us(gaps."from") <= seen.second * 1000000
        AND coalesce(epoch_us(gaps."to"), seen.second * 1000000 + 1) > seen.received_us"""


def _of(venue: str) -> str:
    """Return the SQL of a venue's columns in the rows of pairs, except the column of its market."""
    return f"""{venue}.bid AS {venue}_bid, {venue}.ask AS {venue}_ask, {venue}.age_s AS {venue}_age_s,
        CASE WHEN {venue}.t IS NOT NULL THEN {venue}.is_broken END AS {venue}_gap"""


def _joined_of(venue: str) -> str:
    return f"""LEFT JOIN (FROM known WHERE platform = {text(venue)}) AS {venue}
        ON {venue}.pair = grid.pair AND {venue}.t = grid.t"""


_ROWS = f"""
    WITH known AS (
        SELECT seen.*, broken.t IS NOT NULL AS is_broken
        FROM seen LEFT JOIN broken USING (pair, platform, t))
    SELECT grid.asset, grid.start_s AS start_timestamp, grid.t,
           make_timestamptz((grid.start_s + grid.t) * 1000000) AS second,
           {", ".join(f"grid.{venue}_market" for venue in SIDES)}, {", ".join(map(_of, SIDES))},
           {", ".join(f"{venue}.feed AS {venue}_source" for venue in SIDES)}
    FROM (SELECT *, unnest(range(0, duration_s))::INTEGER AS t FROM pairs) AS grid
    {
    " ".join(
        f'''LEFT JOIN (FROM known WHERE platform = {text(venue)}) AS {venue}
        ON {venue}.pair = grid.pair AND {venue}.t = grid.t'''
        for venue in SIDES
    )
}
    WHERE grid.pair IN (SELECT pair FROM seen)
    ORDER BY grid.start_s, grid.asset, grid.t"""
