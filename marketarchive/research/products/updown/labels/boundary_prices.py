"""Prices dated with the very second at which a round starts or ends, from the table `reference_prices`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.research.engine import connect, pattern
from marketarchive.research.products.updown.labels.labels import Tick
from marketarchive.research.tables.extract import table
from marketarchive.research.tables.partitions import files
from marketarchive.times import DAY
from marketarchive.venues.exact import e18

if TYPE_CHECKING:
    import pyarrow as pa

Ticks = dict[tuple[str, int], list[Tick]]

INSTRUMENT = """CASE
    WHEN topic = 'crypto_prices_chainlink' THEN 'chainlink:' || lower(asset) || '-usd'
    WHEN topic IN ('crypto_prices_twap_thirty', 'crypto_prices_twap_sixty') AND window_s IS NOT NULL
        THEN 'chainlink:' || lower(asset) || '-usd-twap-' || window_s || 's'
    WHEN topic = 'crypto_prices' THEN 'binance:' || lower(symbol) END"""


def paths(root: Path, wanted: Collection[tuple[str, int]]) -> list[Path]:
    """Return the table files that may hold a tick of `wanted` (instrument, ns), even received a day late."""
    if not wanted:
        return []
    seconds = [at for _, at in wanted]
    return files(root, "reference_prices", min(seconds), max(seconds) + DAY + 1)


def ticks(root: Path, wanted: Collection[tuple[str, int]]) -> Ticks:
    """Return (instrument, ns) -> every distinct value received for that second, per source.

    Each value is given at its first receipt. A value repeated on subscription is dated with the second in
    which it was valid, so it counts; its receipt is later. Raises duckdb.Error.
    """
    found: Ticks = {}
    for (instrument, at), reported in near(root, wanted, 0, 0).items():
        found[instrument, at] = [tick for _, tick in reported]
    return found


def near(
    root: Path, wanted: Collection[tuple[str, int]], before_s: int, after_s: int
) -> dict[tuple[str, int], list[tuple[int, Tick]]]:
    """Return (instrument, ns) -> ticks around that second, each (its second in ns, tick), by second.

    wanted: the (instrument, ns); before_s, after_s: seconds before and after to include. Raises duckdb.Error.
    """
    found: dict[tuple[str, int], list[tuple[int, Tick]]] = {}
    if not (stored := paths(root, wanted)):
        return found
    listed = ", ".join(map(pattern, stored))
    connection = connect(root / "tables" / ".spill")
    try:
        relation = f"read_parquet([{listed}], hive_partitioning = true, union_by_name = true)"
        has_instrument = "instrument" in connection.sql(f"SELECT * FROM {relation} LIMIT 0").columns
        instrument = f"coalesce(instrument, {INSTRUMENT})" if has_instrument else INSTRUMENT
        connection.register("wanted", _around(wanted, before_s, after_s))
        rows = connection.sql(
            f"""WITH prices AS (SELECT {instrument} AS instrument, epoch_us(event_time) AS at_us, value,
                    received_at, venue || '/' || feed || ' ' || topic || ' ' || symbol AS source
                FROM {relation} WHERE value IS NOT NULL)
            SELECT instrument, for_us, at_us, value, source, epoch_us(min(received_at)) AS received_us
            FROM prices JOIN wanted USING (instrument, at_us)
            GROUP BY ALL ORDER BY instrument, for_us, at_us, received_us, source, value"""
        ).to_arrow_table()
    finally:
        connection.close()
    for row in rows.to_pylist():
        tick = Tick(e18(row["value"]), row["received_us"] * 1000, row["source"])
        key = (row["instrument"], row["for_us"] * 1000)
        found.setdefault(key, []).append((row["at_us"] * 1000, tick))
    return found


def _around(wanted: Collection[tuple[str, int]], before_s: int, after_s: int) -> pa.Table:
    every = [
        (instrument, at // 1000, at // 1000 + second * 1_000_000)
        for instrument, at in sorted(wanted)
        for second in range(-before_s, after_s + 1)
    ]
    columns: dict[str, list[Any]] = {
        name: [row[n] for row in every] for n, name in enumerate(("instrument", "for_us", "at_us"))
    }
    return table(columns, {"for_us": "i8", "at_us": "i8"})
