"""What `scrapy export` can write of pairs."""

from __future__ import annotations

from marketarchive.research.exports import ExportedTable
from marketarchive.research.products.pairs.pairs import pair_seconds, pair_windows

EXPORTS = (
    ExportedTable("pairs", "a second of two venues' rounds of the same asset and window", pair_seconds),
    ExportedTable("pair_windows", "such a window: rules, strikes, outcomes", pair_windows),
)
