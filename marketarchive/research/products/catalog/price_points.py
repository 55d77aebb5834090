"""Price snapshots of markets as they were received over time, and their summary before a cut.

Times are microseconds UTC of our receipt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, Text, cast, func, select

from marketarchive.master.queries import by_platform
from marketarchive.master.tables import price_snapshots
from marketarchive.research.engine import connect
from marketarchive.research.products.catalog.frame import KEY, arrow_schema
from marketarchive.research.products.catalog.observed import Identity

if TYPE_CHECKING:
    import pyarrow as pa

FIGURES = ("yes_price", "volume", "liquidity")
FETCHED = 50_000
"""Number of rows that are fetched and converted at a time."""
MOST = 500_000
"""Number of price points held in memory at a time, unless one market alone has more."""
_POINT = {
    "platform": "string",
    "market_id": "string",
    "observed_at": "int64",
    "capture": "string",
    **dict.fromkeys(FIGURES, "string"),
}
_CUT = {"place": "int64", "platform": "string", "market_id": "string", "cut": "int64", "start_at": "int64"}
# the text of a history is made in one go: a year has millions of points
_SEEN = f"""WITH points AS (
        SELECT platform, market_id, observed_at AS us, yes_price::DOUBLE AS price,
            volume::DOUBLE AS volume, liquidity::DOUBLE AS liquidity,
            '{{"at":"' || strftime(make_timestamp(us), '%Y-%m-%dT%H:%M:%S.%fZ')
                || '","price":' || price || '}}' AS point
        FROM snapshots
        QUALIFY row_number() OVER (PARTITION BY platform, market_id, us ORDER BY ({KEY}) DESC) = 1
    )
    SELECT '[' || coalesce(string_agg(point, ',' ORDER BY us), '') || ']',
        arg_max(price, us) FILTER (price IS NOT NULL),
        min(us) FILTER (price IS NOT NULL AND us >= start_at),
        arg_min(price, us) FILTER (price IS NOT NULL AND us >= start_at),
        arg_max(volume, us) FILTER (volume IS NOT NULL),
        arg_max(liquidity, us) FILTER (liquidity IS NOT NULL)
    FROM cuts LEFT JOIN points
        ON points.platform = cuts.platform AND points.market_id = cuts.market_id AND us < cut
    GROUP BY place ORDER BY place"""


class Cut(NamedTuple):
    """A moment (us) of a market: data received at or after it are left out."""

    platform: str
    market_id: str
    cut: int
    start_at: int | None = None  # when the market opens, us


@dataclass(frozen=True, slots=True)
class SeenPrices:
    """Summary of a market's price snapshots before a cut; prices are mids of the first outcome, dollars."""

    history: str  # JSON array of {at, price}
    last_price: float | None
    first_at: int | None  # us: time of the first price at or after the market's opening
    first_price: float | None  # that price
    volume: float | None
    liquidity: float | None


class PricePoints:
    """All price snapshots of some markets."""

    def __init__(self, snapshots: pa.Table) -> None:
        self._snapshots = snapshots

    @classmethod
    def read(cls, master: Connection, identities: Iterable[Identity]) -> PricePoints:
        """Read all price snapshots of some hundred markets from the master."""
        import pyarrow as pa

        schema = arrow_schema(_POINT)
        rows = _rows(master, identities)
        batches = [pa.record_batch(list(zip(*each, strict=True)), schema=schema) for each in rows]
        return cls(pa.Table.from_batches(batches, schema=schema))

    def before(self, cuts: Sequence[Cut]) -> list[SeenPrices]:
        """Return the summary of the snapshots before each cut.

        Of snapshots with the same time the one captured last counts.
        """
        import pyarrow as pa

        rows = [dict(zip(_CUT, (place, *cut), strict=True)) for place, cut in enumerate(cuts)]
        database = connect()
        try:
            database.register("snapshots", self._snapshots)
            database.register("cuts", pa.Table.from_pylist(rows, schema=arrow_schema(_CUT)))
            return [SeenPrices(*row) for row in database.execute(_SEEN).fetchall()]
        finally:
            database.close()


def portions(master: Connection, identities: Sequence[Identity]) -> Iterator[list[Identity]]:
    """Yield lists of markets in the given order, each list with at most MOST price points or one market."""
    table = price_snapshots.c
    counts: dict[Identity, int] = {}
    for platform, market_ids in by_platform(identities):
        query = select(table.market_id, func.count()).group_by(table.market_id)
        of = query.where(table.platform == platform, table.market_id.in_(market_ids))
        counts |= {(platform, market_id): count for market_id, count in master.execute(of)}
    portion: list[Identity] = []
    held = 0
    for identity in identities:
        count = counts.get(identity, 0)
        if portion and held + count > MOST:
            yield portion
            portion, held = [], 0
        portion.append(identity)
        held += count
    if portion:
        yield portion


def _rows(master: Connection, identities: Iterable[Identity]) -> Iterator[Collection[Sequence[object]]]:
    table = price_snapshots.c
    figures = [cast(table[name], Text) for name in FIGURES]  # as they are: Arrow reads them faster
    columns = (table.platform, table.market_id, table.snapshot_at, table.capture)
    for platform, market_ids in by_platform(identities):
        query = select(*columns, *figures).where(table.platform == platform, table.market_id.in_(market_ids))
        yield from master.execute(query.execution_options(yield_per=FETCHED)).partitions()
