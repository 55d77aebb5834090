"""What the canonical dataset is made from, out of tables and labels, for some rounds at a time.

Relations of a DuckDB connection, times in us since the epoch:
`rounds`  market_no, market_id, condition_id, asset, start_s, duration, strike, settlement, outcome (1 Up, 0
          Down), strike_received_us, spot, twap (instruments), up, down (numbers of tokens)
`prices`  instrument, event_us, received_us, value, bid, ask, source
`tops`    token (number), event_us, received_us, run, seq, index, position, bid, ask, source, is_proof (a
          whole book that the venue was asked for)
`holes`   market_no, stream, reason, from_us, to_us: recorded gaps that concern a market
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from marketarchive.clock import SECOND
from marketarchive.research.canonical.columns import Clock
from marketarchive.research.canonical.grid import Inputs
from marketarchive.research.engine import pattern, run
from marketarchive.research.labels.boundary_prices import INSTRUMENT
from marketarchive.research.labels.labels import Label
from marketarchive.research.tables.gaps import LASTING
from marketarchive.research.tables.partitions import DAY, files
from marketarchive.venues.polymarket.rules import spot

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

LATE_S = 600
"""A price is told at most so long after its second, as far as gaps are concerned."""

_RANK = {"Up": 1, "Down": 0}
_LATE_NS = 3_600 * SECOND
"""What is received so much before its round, or is stamped so much after it, plays no part in it."""


def span(labels: Sequence[Label], carry_s: int) -> tuple[int, int]:
    """In ns, when what the rounds need can have been received: a book long before, a price a day late."""
    first = min(each.start_ns for each in labels)
    return first - DAY - carry_s * SECOND, max(each.end_ns for each in labels) + DAY + 1


def register(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    labels: Sequence[Label],
    names: Mapping[str, tuple[str, str]],
    carry_s: int,
) -> None:
    """Makes `rounds`, `prices`, `tops` and `holes` of a connection. Raises duckdb.Error."""
    register_rounds(connection, labels, names)
    first, last = span(labels, carry_s)
    prices(connection, root, labels, carry_s)
    _tops(connection, root, (first, last), _times(labels, carry_s))
    holes(connection, root, first, last)


def register_rounds(
    connection: duckdb.DuckDBPyConnection, labels: Sequence[Label], names: Mapping[str, tuple[str, str]]
) -> None:
    """Makes `rounds`, and `tokens` (number, token, slug)."""
    tokens = _tokens(labels, names)
    connection.register("rounds_given", rounds(labels, tokens))
    run(connection, "CREATE OR REPLACE TEMP TABLE rounds AS SELECT * FROM rounds_given")
    connection.register("tokens", _token_table(tokens))


def rounds(labels: Sequence[Label], tokens: Mapping[tuple[str, str], tuple[int, str]]) -> pa.Table:
    """By the places in `labels`."""
    import pyarrow as pa

    found = [
        {
            "market_no": number,
            "market_id": each.market_id,
            "condition_id": each.condition_id,
            "asset": each.asset,
            "start_s": each.start_ns // SECOND,
            "duration": (each.end_ns - each.start_ns) // SECOND,
            "strike": None if each.strike is None else float(each.strike),
            "settlement": None if each.settlement is None else float(each.settlement),
            "outcome": None if each.resolved_outcome is None else _RANK.get(each.resolved_outcome),
            "strike_received_us": None
            if each.strike is None or each.strike_received_at_ns is None
            else -(-each.strike_received_at_ns // 1000),
            "spot": spot(each.asset),
            "twap": each.instrument if each.instrument and "-twap-" in each.instrument else None,
            "up": tokens.get((each.market_id, "Up"), (None, ""))[0],
            "down": tokens.get((each.market_id, "Down"), (None, ""))[0],
        }
        for number, each in enumerate(labels)
    ]
    number, label, amount = pa.int64(), pa.string(), pa.float64()
    return pa.Table.from_pylist(
        found,
        pa.schema(
            [
                ("market_no", number),
                ("market_id", label),
                ("condition_id", label),
                ("asset", label),
                ("start_s", number),
                ("duration", number),
                ("strike", amount),
                ("settlement", amount),
                ("outcome", pa.int8()),
                ("strike_received_us", number),
                ("spot", label),
                ("twap", label),
                ("up", number),
                ("down", number),
            ]
        ),
    )


def _tokens(
    labels: Sequence[Label], names: Mapping[str, tuple[str, str]]
) -> dict[tuple[str, str], tuple[int, str]]:
    """(slug, outcome) -> (number, token) of the rounds' tokens."""
    mine = {each.market_id for each in labels}
    found = sorted((name, token) for token, name in names.items() if name[0] in mine)
    return {name: (number, token) for number, (name, token) in enumerate(found)}


def _token_table(tokens: Mapping[tuple[str, str], tuple[int, str]]) -> pa.Table:
    import pyarrow as pa

    rows = [{"number": number, "token": token, "slug": slug} for (slug, _), (number, token) in tokens.items()]
    return pa.Table.from_pylist(
        rows, pa.schema([("number", pa.int64()), ("token", pa.string()), ("slug", pa.string())])
    )


def _read(paths: Sequence[Path]) -> str:
    listed = ", ".join(map(pattern, paths))
    return f"read_parquet([{listed}], hive_partitioning = true, union_by_name = true)"


def _times(labels: Sequence[Label], carry_s: int) -> str:
    """Which rows of a table can matter: said so that DuckDB leaves out what it need not read."""
    first = min(each.start_ns for each in labels) - carry_s * SECOND - _LATE_NS
    last = max(each.end_ns for each in labels)
    return (
        f"received_at >= {_moment(first)} AND received_at <= {_moment(last + DAY)} "
        f"AND event_time <= {_moment(last + _LATE_NS)}"
    )


def _moment(ns: int) -> str:
    return f"make_timestamptz({ns // 1000})"


def prices(connection: duckdb.DuckDBPyConnection, root: Path, labels: Sequence[Label], carry_s: int) -> None:
    """`prices` of the instruments of `rounds`. Raises duckdb.Error."""
    paths = files(root, "reference_prices", *span(labels, carry_s))
    if not paths:
        run(
            connection,
            """CREATE OR REPLACE TEMP TABLE prices (instrument VARCHAR, event_us BIGINT, received_us BIGINT,
               value DOUBLE, bid DOUBLE, ask DOUBLE, source VARCHAR)""",
        )
        return
    columns = set(connection.sql(f"SELECT * FROM {_read(paths)} LIMIT 0").columns)
    instrument = f"coalesce(instrument, {INSTRUMENT})" if "instrument" in columns else INSTRUMENT
    bid, ask = (name if name in columns else "NULL" for name in ("bid", "ask"))
    run(
        connection,
        f"""CREATE OR REPLACE TEMP TABLE prices AS
            SELECT {instrument} AS instrument, epoch_us(event_time) AS event_us,
                   epoch_us(received_at) AS received_us, value::VARCHAR::DOUBLE AS value,
                   {bid}::DOUBLE AS bid, {ask}::DOUBLE AS ask, venue || '/' || feed AS source
            FROM {_read(paths)}
            WHERE value IS NOT NULL AND {_times(labels, carry_s)}
              AND {instrument} IN (SELECT spot FROM rounds UNION SELECT twap FROM rounds)""",
    )


def _tops(connection: duckdb.DuckDBPyConnection, root: Path, days: tuple[int, int], times: str) -> None:
    parts = []
    columns = "token, event_time, received_at, run, seq, index, position, best_bid AS bid, best_ask AS ask"
    for table, source, proof, where in (
        ("books", "route", "route IN ('book', 'books')", "route <> 'state'"),
        ("book_changes", "'price_change'", "false", "true"),
        ("quotes", "source", "false", "source = 'best_bid_ask'"),
    ):
        if paths := files(root, table, *days):
            parts.append(
                f"""SELECT {columns}, {proof} AS is_proof,
                           venue || '/' || feed || ' ' || {source} AS source
                    FROM {_read(paths)} WHERE {where} AND {times}"""
            )
    empty = """SELECT ''::VARCHAR AS token, NULL::TIMESTAMPTZ AS event_time, NULL::TIMESTAMPTZ AS received_at,
               ''::VARCHAR AS run, 0 AS seq, 0 AS index, 0 AS position, NULL::DOUBLE AS bid,
               NULL::DOUBLE AS ask, false AS is_proof, ''::VARCHAR AS source WHERE false"""
    run(
        connection,
        f"""CREATE OR REPLACE TEMP VIEW tops AS
            SELECT tokens.number AS token, epoch_us(event_time) AS event_us,
                   epoch_us(received_at) AS received_us, run, seq, index, position, bid::DOUBLE AS bid,
                   ask::DOUBLE AS ask, is_proof, source
            FROM ({" UNION ALL ".join(parts) or empty}) AS told
            JOIN tokens ON tokens.token = told.token""",
    )


ABOUT_BOOKS = """gaps.feed IN ('stream', 'orderbook') AND NOT contains(gaps.scope, '"asked_for"')
    AND (gaps.markets IS NULL OR list_has_any(gaps.markets, [rounds.market_id, rounds.condition_id]))
    AND (gaps.token IS NULL OR gaps.token IN (SELECT token FROM tokens WHERE slug = rounds.market_id))"""
ABOUT_PRICE = """gaps.feed IN ('reference', 'pages')
    AND (gaps.topics IS NULL OR list_has_any(gaps.topics, ['crypto_prices_chainlink',
         CASE WHEN rounds.twap LIKE '%-30s' THEN 'crypto_prices_twap_thirty'
              WHEN rounds.twap IS NOT NULL THEN 'crypto_prices_twap_sixty' END]))
    AND (gaps.symbol IS NULL OR starts_with(lower(gaps.symbol), lower(rounds.asset)))
    AND coalesce(CASE WHEN json_valid(gaps.scope) THEN gaps.scope->>'asset' END, rounds.asset)
        = rounds.asset"""


def holes(connection: duckdb.DuckDBPyConnection, root: Path, first: int, last: int) -> None:
    """`holes` of `rounds` and `tokens`: gaps of a market's books (`pm`), or of its asset's prices (`cl`).

    A gap is told by times of receipt. What is missing of `prices`, which come late, begins with what was
    observed last before it.
    """
    paths = files(root, "gaps", first, last)
    if not paths:
        run(
            connection,
            "CREATE OR REPLACE TEMP TABLE holes (market_no BIGINT, stream VARCHAR, reason VARCHAR, "
            "from_us BIGINT, to_us BIGINT)",
        )
        return
    run(
        connection,
        f"""CREATE OR REPLACE TEMP TABLE holes AS
            WITH gaps AS (
                SELECT *, epoch_us("from") AS from_us,
                       coalesce(epoch_us("to"), epoch_us(noticed_at)) AS to_us
                FROM {_read(paths)} QUALIFY {LASTING}
            ), seen AS (
                SELECT instrument, received_us,
                       max(max(event_us)) OVER (PARTITION BY instrument ORDER BY received_us) AS event_us
                FROM prices WHERE EXISTS (FROM gaps WHERE feed IN ('reference', 'pages'))
                GROUP BY instrument, received_us
            ), found AS (
                SELECT market_no, start_s, duration, spot, twap, reason, from_us, to_us,
                       CASE WHEN {ABOUT_BOOKS} THEN 'pm' ELSE 'cl' END AS stream
                FROM gaps JOIN rounds ON to_us > (start_s - 1) * 1000000
                    AND from_us <= (start_s + duration + {LATE_S}) * 1000000
                    AND (({ABOUT_BOOKS}) OR ({ABOUT_PRICE}))
            ), observed AS (
                SELECT found.* EXCLUDE (from_us),
                       CASE WHEN stream = 'pm' THEN from_us
                            ELSE least(from_us, {_newest("spots")}, {_newest("twaps")}) END AS from_us
                FROM found
                ASOF LEFT JOIN seen AS spots
                    ON spots.instrument = found.spot AND found.from_us >= spots.received_us
                ASOF LEFT JOIN seen AS twaps
                    ON twaps.instrument = found.twap AND found.from_us >= twaps.received_us
            )
            SELECT market_no, stream, reason, greatest(from_us, start_s * 1000000) AS from_us,
                   least(to_us, (start_s + duration) * 1000000) AS to_us
            FROM observed WHERE from_us <= (start_s + duration) * 1000000""",
    )


def _newest(seen: str) -> str:
    """Null where nothing of late was seen."""
    return f"CASE WHEN {seen}.event_us > found.from_us - {LATE_S} * 1000000 THEN {seen}.event_us END"


def inputs(connection: duckdb.DuckDBPyConnection, clock: Clock) -> Inputs:
    """What is in a connection's relations, as a clock sees it. Raises duckdb.Error."""
    number = "SELECT instrument, (row_number() OVER (ORDER BY instrument) - 1)::INTEGER AS number FROM ("
    instruments = f"{number} SELECT spot AS instrument FROM rounds UNION SELECT twap FROM rounds)"
    queries = (
        f"""WITH instruments AS ({instruments})
            SELECT rounds.* REPLACE (spots.number AS spot, twaps.number AS twap)
            FROM rounds LEFT JOIN instruments AS spots ON spots.instrument = spot
            LEFT JOIN instruments AS twaps ON twaps.instrument = twap ORDER BY market_no""",
        f"""WITH instruments AS ({instruments})
            SELECT given.* REPLACE (instruments.number AS instrument)
            FROM ({_PRICES[clock]}) AS given JOIN instruments USING (instrument)""",
        _TOPS[clock],
        "SELECT market_no, from_us, to_us FROM holes",
    )
    return Inputs(*(connection.sql(query).to_arrow_table() for query in queries))


_PRICES: dict[Clock, str] = {
    "observation": "SELECT *, event_us AS at_us, true AS is_first FROM prices",
    # an observation counts from its first receipt, and only if it is newer than all that was known; parts of
    # it (bid, ask) can be told later
    "received": """
        SELECT *, received_us AS at_us FROM (
            SELECT *, row_number() OVER (
                PARTITION BY instrument, event_us ORDER BY received_us, value, source, bid, ask) = 1
                AS is_first
            FROM prices)
        QUALIFY event_us >= coalesce(max(event_us) OVER (
            PARTITION BY instrument ORDER BY received_us, event_us DESC, value, source
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), -1)""",
}
_TOPS: dict[Clock, str] = {
    "observation": "SELECT *, event_us AS at_us FROM tops",
    # what was proven later was not known
    "received": """
        SELECT * REPLACE (false AS is_proof), received_us AS at_us FROM tops
        QUALIFY event_us >= coalesce(max(event_us) OVER (
            PARTITION BY token ORDER BY received_us, run, seq, index, position
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), -1)""",
}
