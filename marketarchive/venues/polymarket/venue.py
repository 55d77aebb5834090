"""Polymarket as the rest of the project sees it."""

from __future__ import annotations

from marketarchive.venues.polymarket.parse import parse, verify_books
from marketarchive.venues.polymarket.probe import PROBE
from marketarchive.venues.polymarket.queries import next_page
from marketarchive.venues.venue import Feed, Venue

VENUE = Venue(
    name="polymarket",
    feeds={
        "markets": Feed(is_polled=True, has_markets=True),
        "orderbook": Feed(tables=("books", "coverage"), verify=verify_books, is_polled=True),
        "stream": Feed(tables=("books", "book_changes", "trades", "quotes", "coverage")),
        "trades": Feed(tables=("trades",), is_polled=True),
        "reference": Feed(tables=("reference_prices", "coverage")),
        "resolutions": Feed(is_polled=True, has_markets=True),
        "probe": Feed(is_polled=True, has_markets=True),
    },
    parse=parse,
    next_page=next_page,
    probe=PROBE,
)
