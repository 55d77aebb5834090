"""Reference price at each second: the median of the mids of spot exchanges whose best prices are fresh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from marketarchive.research.engine import stored, text
from marketarchive.research.products.updown.canonical.columns import Clock
from marketarchive.research.tables.partitions import files
from marketarchive.research.tables.soundness import SOUND
from marketarchive.times import SECOND
from marketarchive.venues.exchange import SPOT

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

FRESH_S = 10
"""Greatest age of best prices that count, s; the indices on which Kalshi settles have the same limit."""
_AT: Mapping[Clock, str] = {"observation": "coalesce(event_time, received_at)", "received": "received_at"}


def nothing() -> pa.Table:
    """Return an empty table with the columns of `references`."""
    import pyarrow as pa

    kinds = {"asset": pa.string(), "sec": pa.int64(), "mid": pa.float64(), "source": pa.string()}
    return pa.schema(list(kinds.items())).empty_table()


def references(
    connection: duckdb.DuckDBPyConnection, root: Path, spans: Mapping[str, Sequence[int]], clock: Clock
) -> pa.Table:
    """Return a row (asset, sec, mid, source) per second in which any exchange has a fresh mid.

    spans: asset -> first and last Unix second; clock: observation or received. `source` names the exchanges
    (`coinbase, kraken`). Best prices count if their book did not fail its verification and is not crossed.
    Raises duckdb.Error.
    """
    first = min(start for start, _ in spans.values()) - FRESH_S if spans else 0
    last = max(end for _, end in spans.values()) if spans else 0
    found = files(root, "quotes", first * SECOND, (last + 1) * SECOND)
    paths = [path for path in found if path.parents[1].name == f"feed={SPOT}"]
    if not paths:
        return nothing()
    wanted = ", ".join(f"({text(asset)}, {start}, {end})" for asset, (start, end) in spans.items())
    return connection.sql(f"""
        WITH wanted AS (
            SELECT asset, unnest(range(first, last + 1)) AS sec
            FROM (VALUES {wanted}) AS spans(asset, first, last)
        ), mids AS (
            SELECT venue, asset, epoch_us({_AT[clock]}) AS us,
                   (best_bid::DOUBLE + best_ask::DOUBLE) / 2 AS mid
            FROM {stored(*paths, hive=True)}
            WHERE source = 'book' AND {SOUND} AND best_bid IS NOT NULL AND best_ask IS NOT NULL
              AND epoch_us({_AT[clock]}) BETWEEN {first * 1_000_000} AND {last * 1_000_000}
            QUALIFY row_number() OVER (
                PARTITION BY venue, asset, us ORDER BY run DESC, seq DESC, index DESC, position DESC) = 1
        ), venues AS (SELECT DISTINCT venue FROM mids
        ), newest AS (
            SELECT wanted.asset, wanted.sec, mids.venue, mids.mid
            FROM (SELECT asset, sec, venue, sec * 1000000 AS us FROM wanted CROSS JOIN venues) AS wanted
            ASOF JOIN mids ON mids.venue = wanted.venue AND mids.asset = wanted.asset AND wanted.us >= mids.us
            WHERE mids.us > wanted.us - {FRESH_S * 1_000_000}
        )
        SELECT asset, sec, median(mid) AS mid, string_agg(venue, ', ' ORDER BY venue) AS source
        FROM newest GROUP BY asset, sec""").to_arrow_table()
