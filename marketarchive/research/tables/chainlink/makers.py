"""Which tables of Chainlink's feeds are made by which module."""

from __future__ import annotations

from collections.abc import Mapping

from marketarchive.research.tables.chainlink import page_prices
from marketarchive.research.tables.making import Maker

MAKERS: Mapping[tuple[str, str], Maker] = {("pages", "reference_prices"): page_prices.make}
"""(feed, table) -> what makes it."""
