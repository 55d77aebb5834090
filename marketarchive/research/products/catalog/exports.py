"""The table `catalog` for `scrapy export`."""

from __future__ import annotations

from collections.abc import Collection

from marketarchive.research.exports.table import ExportedTable, TableFormat, TableOption
from marketarchive.research.products.catalog.prompts import prompt_rows
from marketarchive.research.products.catalog.training import WHAT, training_rows

OPTIONS = (
    TableOption("--as-of", "time", "what was known then (ISO 8601, or 1d: a day ago)", "TIME"),
    TableOption("--no-prices", "switch", "leave out the columns of prices"),
    TableOption("--min-volume", "number", "only markets with so much, in their volume_unit", "NUMBER"),
    TableOption("--cuts", "spans", "prompts as of so long before a market's end, each", "7d,1d,..."),
    TableOption("--split", "text", "add train, validation, test by event and time, in percent", "80,10,10"),
    TableOption("--dedupe", "switch", "leave out markets that ask an earlier one's question"),
    TableOption("--category", "list", "only markets of these categories", "NAME,..."),
)
PROMPTS = TableFormat("prompts", "a question, what was known before its cut, and the answer", prompt_rows)


def _has_results(recorded: Collection[tuple[str, str]]) -> bool:
    return any(feed in ("resolutions", "prices", "backfill") for _, feed in recorded)


EXPORTS = (ExportedTable("catalog", WHAT, training_rows, _has_results, OPTIONS, (PROMPTS,)),)
