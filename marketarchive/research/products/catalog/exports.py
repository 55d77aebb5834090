"""The table `catalog` for `scrapy export`."""

from __future__ import annotations

from collections.abc import Collection

from marketarchive.research.exports.table import ExportedTable, TableOption
from marketarchive.research.products.catalog.training import WHAT, training_rows

OPTIONS = (
    TableOption("--as-of", "time", "what was known then (ISO 8601, or 1d: a day ago)", "TIME"),
    TableOption("--no-prices", "switch", "leave out the columns of prices"),
    TableOption("--min-volume", "number", "only markets with so much, in their volume_unit", "NUMBER"),
    TableOption("--category", "list", "only markets of these categories", "NAME,..."),
)


def _has_results(recorded: Collection[tuple[str, str]]) -> bool:
    return any(feed in ("resolutions", "prices", "backfill") for _, feed in recorded)


EXPORTS = (ExportedTable("catalog", WHAT, training_rows, _has_results, OPTIONS),)
