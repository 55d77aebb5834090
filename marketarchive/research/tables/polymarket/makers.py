"""Which tables of Polymarket's feeds are made by which module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from marketarchive.research.tables.coverage_inputs import Reading, Watched
from marketarchive.research.tables.making import Maker
from marketarchive.research.tables.polymarket import (
    book_changes,
    books,
    quotes,
    reference_prices,
    stream_coverage,
    trades,
)

MAKERS: Mapping[tuple[str, str], Maker] = {
    ("orderbook", "books"): books.make,
    ("stream", "books"): books.make,
    ("stream", "book_changes"): book_changes.make,
    ("stream", "trades"): trades.make,
    ("stream", "quotes"): quotes.make,
    ("trades", "trades"): trades.make,
    ("reference", "reference_prices"): reference_prices.make,
}
"""(feed, table) -> what makes it."""

WATCHED: Mapping[str, Callable[[Reading], Iterator[Watched]]] = {"stream": stream_coverage.watched}
"""Feed -> what tells its coverage."""
