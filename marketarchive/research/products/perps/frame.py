"""`Archive.perps()`: the unified data of perpetuals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.exceptions import ArchiveError
from marketarchive.invocation import command
from marketarchive.research.engine import require
from marketarchive.research.products.perps.unified import FOLDER, UNIFIED
from marketarchive.research.views import Moment, ns

if TYPE_CHECKING:
    import pyarrow as pa


def table(
    root: Path,
    master_url: str | None,  # noqa: ARG001  (a product's interface)
    asset: str | Sequence[str] | None = None,
    start: Moment = None,
    end: Moment = None,
    *,
    venue: str | Sequence[str] | None = None,
    symbol: str | Sequence[str] | None = None,
) -> pa.Table:
    """Return a row per period and contract, by timestamp, venue and symbol, as `scrapy perps` made them.

    Rows with `start` <= timestamp <= `end`: a row stands at the end of its period. Nothing is brought up to
    date, so that the period and range chosen there stay. Raises ArchiveError where there is no file yet.
    """
    require()
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = root / FOLDER / UNIFIED
    if not path.exists():
        raise ArchiveError(f"there is no {path}: run `{command('perps', root=root)}` first")
    chosen: Any = pc.scalar(True)
    for name, wanted in (("asset", asset), ("venue", venue), ("symbol", symbol)):
        if wanted is not None:
            chosen &= pc.field(name).isin([wanted] if isinstance(wanted, str) else list(wanted))
    first, last = ns(start), ns(end)
    kind = pq.read_schema(path).field("timestamp").type
    if first is not None:
        chosen &= pc.field("timestamp") >= pa.scalar(-(-first // 1000), pa.int64()).cast(kind)
    if last is not None:
        chosen &= pc.field("timestamp") <= pa.scalar(last // 1000, pa.int64()).cast(kind)
    return pq.read_table(path, filters=chosen).replace_schema_metadata()
