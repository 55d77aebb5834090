"""`Archive.perps()`: the unified data of perpetuals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.exceptions import ArchiveError
from marketarchive.invocation import command
from marketarchive.research.engine import require
from marketarchive.research.products.perps.unified import FOLDER, UNIFIED
from marketarchive.research.selection import OneOrMany, check, span, wanted
from marketarchive.research.views import Moment

if TYPE_CHECKING:
    import pyarrow as pa


def table(
    root: Path,
    master_url: str | None,  # noqa: ARG001  (a product's interface)
    asset: OneOrMany = None,
    start: Moment = None,
    end: Moment = None,
    *,
    venue: OneOrMany = None,
    symbol: OneOrMany = None,
) -> pa.Table:
    """Return the rows that `scrapy perps` made, one per period and contract, by time, venue and symbol.

    asset, venue, symbol: choose rows. Rows have `start` <= time <= `end`: `time` is the end of a row's
    period. Nothing is brought up to date, so the period and range chosen for `scrapy perps` stay. Raises
    ArgumentError, and ArchiveError where there is no file yet.
    """
    require()
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = root / FOLDER / UNIFIED
    if not path.exists():
        raise ArchiveError(f"there is no {path}: run `{command('perps', root=root)}` first")
    chosen: Any = pc.scalar(True)
    given = wanted(asset=asset, venue=venue, symbol=symbol)
    there = pq.read_table(path, columns=list(given))
    for name, names in given.items():
        check(name, names, there[name].unique().to_pylist())
        chosen &= pc.field(name).isin(names)
    first, last = span(start, end)
    kind = pq.read_schema(path).field("timestamp").type
    if first is not None:
        chosen &= pc.field("timestamp") >= pa.scalar(-(-first // 1000), pa.int64()).cast(kind)
    if last is not None:
        chosen &= pc.field("timestamp") <= pa.scalar(last // 1000, pa.int64()).cast(kind)
    found = pq.read_table(path, filters=chosen).replace_schema_metadata()
    return found.rename_columns({"timestamp": "time"})
