"""Reading of the canonical dataset's inputs from tables and labels, for some rounds at a time.

Relations of a DuckDB connection, times in us since the epoch:
`rounds`  market_no, market_id, condition_id, asset, start_s, duration, strike, settlement, outcome (1 Up, 0
          Down), strike_received_us, spot, twap (instruments), spot_no, twap_no (their numbers), up, down
          (numbers of tokens)
`tokens`  number, token, slug
`prices`  instrument (its number), event_us, received_us, value, bid, ask, source (a number)
`market_gaps`   market_no, stream, reason, from_us, to_us: recorded gaps that concern a market
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.research.engine import run, stored, text
from marketarchive.research.labels.label import Label
from marketarchive.research.products.updown.canonical import reading
from marketarchive.research.products.updown.canonical.columns import Clock
from marketarchive.research.products.updown.canonical.grid import Inputs
from marketarchive.research.products.updown.canonical.received import ReceivedColumns
from marketarchive.research.products.updown.canonical.references import references
from marketarchive.research.tables.closed_gaps import stands, still_open, untouched
from marketarchive.research.tables.gap_scope import concerns
from marketarchive.research.tables.gaps import current
from marketarchive.research.tables.partitions import files
from marketarchive.research.tables.simultaneous import simultaneous
from marketarchive.times import SECOND
from marketarchive.venues.polymarket.rules import spot
from marketarchive.venues.polymarket.venue import VENUE

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

LATE_S = 600
"""Greatest delay of a price's receipt, s: a gap so long after a round may still hide prices of the round."""

Tokens = Mapping[str, Mapping[str, str]]
"""Slug -> outcome -> token."""

_RANK = {"Up": 1, "Down": 0}


def span(labels: Sequence[Label], carry_s: int) -> tuple[int, int]:
    """Return the (first, last) time of receipt in ns of the data that the rows of `labels` need.

    carry_s: seconds for which a value may be carried forward.
    """
    return _span(labels, carry_s).received


def _span(labels: Sequence[Label], carry_s: int) -> reading.ReadingSpan:
    first = min(each.start_ns for each in labels) - carry_s * SECOND
    return reading.ReadingSpan(first, max(each.end_ns for each in labels))


def read(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    labels: Sequence[Label],
    tokens: Tokens,
    carry_s: int,
    clock: Clock,
) -> Inputs:
    """Return all inputs of the rows of `labels`.

    tokens: slug -> outcome -> token; carry_s: seconds for which a value may be carried forward; clock:
    observation or received. Raises ArchiveError, duckdb.Error.
    """
    made = register_rounds(connection, labels, tokens)
    prices = register_prices(connection, root, labels, carry_s)
    tops = reading.tops(root, _span(labels, carry_s), _numbers(labels, tokens), clock)
    create_gaps(connection, root, *span(labels, carry_s))
    concern = connection.sql("SELECT market_no, stream, from_us, to_us FROM market_gaps").to_arrow_table()
    proven = covered(connection, root, *span(labels, 0)) if clock == "observation" else nothing_covered()
    spans: dict[str, tuple[int, int]] = {}
    for each in labels:
        start, end = each.start_ns // SECOND, each.end_ns // SECOND
        first, last = spans.get(each.asset, (start, end))
        spans[each.asset] = min(start, first), max(end, last)
    found = references(connection, root, spans, clock)
    return Inputs(made, *seen(connection, prices, tops, clock), concern, proven, found)


def register_rounds(
    connection: duckdb.DuckDBPyConnection, labels: Sequence[Label], tokens: Tokens
) -> pa.Table:
    """Register the relations `rounds` and `tokens` in the connection; return `rounds`."""
    import pyarrow as pa

    made = rounds(labels, tokens)
    mine = _mine(labels, tokens)
    columns = {
        "number": pa.array(range(len(mine)), pa.int64()),
        "token": pa.array([token for token, _ in mine], pa.string()),
        "slug": pa.array([slug for _, slug in mine], pa.string()),
    }
    connection.register("rounds", made)
    connection.register("tokens", pa.table(columns))
    return made


def _mine(labels: Sequence[Label], tokens: Tokens) -> list[tuple[str, str]]:
    """Return (token, slug) of the rounds' tokens; the index in the list is the number of a token."""
    slugs = sorted({each.market_id for each in labels})
    return [(token, slug) for slug in slugs for _, token in sorted(tokens.get(slug, {}).items())]


def _numbers(labels: Sequence[Label], tokens: Tokens) -> dict[str, int]:
    return {token: number for number, (token, _) in enumerate(_mine(labels, tokens))}


def _instruments(labels: Sequence[Label]) -> dict[str, int]:
    mine = {spot(each.asset) for each in labels} | {_twap(each) for each in labels}
    return {name: number for number, name in enumerate(sorted(name for name in mine if name is not None))}


def _twap(label: Label) -> str | None:
    return label.instrument if label.instrument and "-twap-" in label.instrument else None


def rounds(labels: Sequence[Label], tokens: Tokens) -> pa.Table:
    """Return the relation `rounds` as a table, a row per label in the order of `labels`."""
    import pyarrow as pa

    numbers, instruments = _numbers(labels, tokens), _instruments(labels)
    number, label, amount = pa.int64(), pa.string(), pa.float64()
    received = [each.strike_received_at_ns if each.strike is not None else None for each in labels]
    mine = [tokens.get(each.market_id, {}) for each in labels]
    twaps = [_twap(each) for each in labels]
    columns: dict[str, tuple[pa.DataType, Iterable[Any]]] = {
        "market_no": (number, range(len(labels))),
        "market_id": (label, [each.market_id for each in labels]),
        "condition_id": (label, [each.condition_id for each in labels]),
        "asset": (label, [each.asset for each in labels]),
        "start_s": (number, [each.start_ns // SECOND for each in labels]),
        "duration": (number, [(each.end_ns - each.start_ns) // SECOND for each in labels]),
        "strike": (amount, [None if each.strike is None else float(each.strike) for each in labels]),
        "settlement": (
            amount,
            [None if each.settlement is None else float(each.settlement) for each in labels],
        ),
        "outcome": (pa.int8(), [_RANK.get(each.resolved_outcome or "") for each in labels]),
        "strike_received_us": (number, [None if each is None else -(-each // 1000) for each in received]),
        "spot": (label, [spot(each.asset) for each in labels]),
        "twap": (label, twaps),
        "spot_no": (number, [instruments[spot(each.asset)] for each in labels]),
        "twap_no": (number, [instruments.get(each or "") for each in twaps]),
        "up": (number, [numbers.get(each.get("Up", "")) for each in mine]),
        "down": (number, [numbers.get(each.get("Down", "")) for each in mine]),
    }
    return pa.table({name: pa.array(values, kind) for name, (kind, values) in columns.items()})


def register_prices(
    connection: duckdb.DuckDBPyConnection, root: Path, labels: Sequence[Label], carry_s: int
) -> ReceivedColumns:
    """Register the relation `prices` of the rounds' instruments in the connection, and return it.

    Raises ArchiveError.
    """
    found = reading.prices(root, _span(labels, carry_s), _instruments(labels))
    connection.register("prices", _table(found))
    return found


_BOOK_FEEDS = [(VENUE.name, feed) for feed, declared in VENUE.feeds.items() if "books" in declared.tables]
_PRICE_FEEDS = [("polymarket", "reference"), ("chainlink", "pages")]
_NAMED = """
    SELECT * EXCLUDE (topics),
           topics || [asset] || [topic || ':' || lower(asset) || '/usd' FOR topic IN topics]
               AS price_names
    FROM (SELECT rounds.*,
                 [market_id, condition_id] || coalesce(mine.tokens, []) AS book_names,
                 ['crypto_prices_chainlink', CASE WHEN twap LIKE '%-30s' THEN 'crypto_prices_twap_thirty'
                     WHEN twap IS NOT NULL THEN 'crypto_prices_twap_sixty' END] AS topics
          FROM rounds LEFT JOIN (SELECT slug, list(token) AS tokens FROM tokens GROUP BY slug) AS mine
              ON mine.slug = rounds.market_id)"""
"""SQL of `rounds` with the names by which the scope of a gap can refer to their books and their prices."""


def _about(feeds: Iterable[tuple[str, str]], names: str) -> str:
    """Return the SQL condition that a row of `gaps` concerns a round's data of any of `feeds`.

    names: SQL of the list of the round's names.
    """
    concerned = " OR ".join(concerns(text(venue), text(feed), names, "NULL") for venue, feed in feeds)
    return f"(({concerned}) AND {stands(names)})"


_PRICE_FEEDS_SQL = ", ".join(f"({text(venue)}, {text(feed)})" for venue, feed in _PRICE_FEEDS)
_ABOUT_BOOKS = _about(_BOOK_FEEDS, "named.book_names")
_ABOUT_PRICE = _about(_PRICE_FEEDS, "named.price_names")


def create_gaps(connection: duckdb.DuckDBPyConnection, root: Path, first: int, last: int) -> None:
    """Create `market_gaps`: gaps of the books (`pm`) or the prices (`cl`) of each of `rounds`.

    first, last: receipt in ns. A gap is recorded in times of receipt; as prices arrive late, the gap of
    prices begins with the last observation received before it.
    """
    paths = files(root, "gaps", first, last)
    if not paths:
        run(
            connection,
            "CREATE OR REPLACE TEMP TABLE market_gaps (market_no BIGINT, stream VARCHAR, reason VARCHAR, "
            "from_us BIGINT, to_us BIGINT)",
        )
        return
    run(
        connection,
        f"""CREATE OR REPLACE TEMP TABLE market_gaps AS
            WITH gaps AS (
                SELECT *, epoch_us("from") AS from_us,
                       coalesce(epoch_us("to"), epoch_us(noticed_at)) AS to_us
                FROM ({_open(root, paths, first, last)})
            ), seen AS (
                SELECT instrument, received_us,
                       max(max(event_us)) OVER (PARTITION BY instrument ORDER BY received_us) AS event_us
                FROM prices WHERE EXISTS (FROM gaps WHERE (venue, feed) IN ({_PRICE_FEEDS_SQL}))
                GROUP BY instrument, received_us
            ), named AS ({_NAMED}
            ), found AS (
                SELECT market_no, start_s, duration, spot_no, twap_no, reason, from_us, to_us,
                       CASE WHEN {_ABOUT_BOOKS} THEN 'pm' ELSE 'cl' END AS stream
                FROM gaps JOIN named ON to_us > (start_s - 1) * 1000000
                    AND from_us <= (start_s + duration + {LATE_S}) * 1000000
                    AND ({_ABOUT_BOOKS} OR {_ABOUT_PRICE})
            ), observed AS (
                SELECT found.* EXCLUDE (from_us),
                       CASE WHEN stream = 'pm' THEN from_us
                            ELSE least(from_us, {_newest("spots")}, {_newest("twaps")}) END AS from_us
                FROM found
                ASOF LEFT JOIN seen AS spots
                    ON spots.instrument = found.spot_no AND found.from_us >= spots.received_us
                ASOF LEFT JOIN seen AS twaps
                    ON twaps.instrument = found.twap_no AND found.from_us >= twaps.received_us
            )
            SELECT market_no, stream, reason, greatest(from_us, start_s * 1000000) AS from_us,
                   least(to_us, (start_s + duration) * 1000000) AS to_us
            FROM observed WHERE from_us <= (start_s + duration) * 1000000""",
    )


def _open(root: Path, paths: Sequence[Path], first: int, last: int) -> str:
    """Return SQL of the gaps in the table's files that still hold, except those other runs prove closed."""
    stated = current(stored(*paths, hive=True))
    proven = files(root, "coverage", first, last)
    shared = simultaneous(root, first, last)
    if not shared or not proven:
        return untouched(stated)
    return still_open(stated, stored(*proven, hive=True), "tokens", shared)


def nothing_covered() -> pa.Table:
    """Return an empty table with the columns of `covered`."""
    import pyarrow as pa

    return pa.schema([(name, pa.int64()) for name in ("market_no", "from_s", "to_s")]).empty_table()


def covered(connection: duckdb.DuckDBPyConnection, root: Path, first: int, last: int) -> pa.Table:
    """Return the spans in which both books of a round were observed or quiet, by the table `coverage`.

    first, last: receipt in ns. Columns: `market_no`, `from_s`, `to_s` (Unix seconds, both included, at whose
    instant any run knew both books). Raises duckdb.Error.
    """
    found = files(root, "coverage", first, last)
    paths = [path for path in found if path.parents[2].name == f"venue={VENUE.name}"]
    if not paths:
        return nothing_covered()
    return connection.sql(f"""
        SELECT market_no, from_s, to_s FROM (
            SELECT slug, market, epoch(span.start)::BIGINT + 1 AS from_s,
                   epoch(span.start)::BIGINT + span.seconds AS to_s
            FROM (SELECT slug, market, unnest(spans) AS span FROM {stored(*paths)})
            WHERE span.state IN ('observed', 'quiet'))
        JOIN rounds ON coalesce(slug = rounds.market_id, market = rounds.condition_id)
        WHERE to_s >= start_s AND from_s <= start_s + duration""").to_arrow_table()


def _newest(seen: str) -> str:
    """Return the SQL of the newest observation in the relation `seen` before a gap, null if it is old."""
    return f"CASE WHEN {seen}.event_us > found.from_us - {LATE_S} * 1000000 THEN {seen}.event_us END"


def seen(
    connection: duckdb.DuckDBPyConnection, prices: ReceivedColumns, tops: ReceivedColumns, clock: Clock
) -> tuple[ReceivedColumns, ReceivedColumns]:
    """Return the (prices, best prices) that count on a clock.

    On the received clock a value older than one received before it is left out. Raises duckdb.Error.
    """
    if clock == "observation":
        return prices, tops
    return _received(connection, prices, _PRICES), _received(connection, tops, _TOPS)


def _received(
    connection: duckdb.DuckDBPyConnection, reported: ReceivedColumns, query: str
) -> ReceivedColumns:
    import numpy as np

    connection.register("reported_tops", _table(reported))
    found = connection.sql(query).to_arrow_table()
    connection.unregister("reported_tops")
    nothing = {name: reported.columns[name][-1:] for name in reported.columns} | {
        "is_first": np.zeros(1, "?")
    }
    columns = {name: np.concatenate([found[name].to_numpy(), nothing[name]]) for name in found.column_names}
    return ReceivedColumns(columns, reported.sources)


def _table(reported: ReceivedColumns) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: values[:-1] for name, values in reported.columns.items()})


# an observation counts from its first receipt on, and only if it is newer than all received before it; its
# bid and ask may be received later
_PRICES = """
    SELECT *, row_number() OVER (
        PARTITION BY instrument, event_us ORDER BY received_us, value, source, bid, ask) = 1 AS is_first
    FROM reported_tops
    QUALIFY event_us >= coalesce(max(event_us) OVER (
        PARTITION BY instrument ORDER BY received_us, event_us DESC, value, source
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), -1)"""
# a proof that came later was not known then
_TOPS = """
    SELECT * REPLACE (false AS is_proof) FROM reported_tops
    QUALIFY event_us >= coalesce(max(event_us) OVER (
        PARTITION BY token ORDER BY received_us, run, seq, index, position
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), -1)"""
