"""Tables of pairs for `scrapy export`."""

from __future__ import annotations

from marketarchive.research.exports import ExportedTable
from marketarchive.research.products.pairs.pairs import pair_seconds, pair_windows

EXPORTS = (
    ExportedTable("pairs", "a row a second of two venues' rounds of the same asset and window", pair_seconds),
    ExportedTable("pair_windows", "a row a window of them: rules, strikes, outcomes", pair_windows),
)
