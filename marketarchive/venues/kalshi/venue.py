"""Declaration of Kalshi as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from marketarchive.venues.endpoint import Address
from marketarchive.venues.kalshi.answers import judge
from marketarchive.venues.kalshi.candles import CandleRows
from marketarchive.venues.kalshi.catalogue import CATALOGUE
from marketarchive.venues.kalshi.endpoints import BASE
from marketarchive.venues.kalshi.lifecycle import LIFECYCLE
from marketarchive.venues.kalshi.parse import parse
from marketarchive.venues.kalshi.probe import PROBE
from marketarchive.venues.kalshi.queries import next_page
from marketarchive.venues.kalshi.quotes import AGE_MAX_S
from marketarchive.venues.kalshi.rows import BookRows, TradeRows
from marketarchive.venues.kalshi.socket import INDEX
from marketarchive.venues.kalshi.stream_rows import StreamRows
from marketarchive.venues.kalshi.tickers import market_facts
from marketarchive.venues.venue import Feed, Venue

VENUE = Venue(
    name="kalshi",
    feeds={
        "markets": Feed(is_polled=True, has_markets=True),
        "orderbook": Feed(
            tables=("books", "coverage"),
            rows=BookRows,
            rows_version=2,
            age_max_ms=round(AGE_MAX_S * 1000),
            price_range=(0, 1),
            titles={"": "Kalshi, order books, polled"},
            is_polled=True,
        ),
        "prices": Feed(is_polled=True),
        "stream": Feed(
            tables=("books", "book_changes", "trades", "quotes", "reference_prices", "coverage"),
            rows=StreamRows,
            rows_version=2,
            price_range=(0, 1),
            is_numbered=True,
            rowless=frozenset({LIFECYCLE}),
            market_mark=f'"{LIFECYCLE}"'.encode(),
            titles={"": "Kalshi, order books", INDEX: "CF Benchmarks, by Kalshi"},
        ),
        "trades": Feed(tables=("trades",), rows=TradeRows, is_polled=True),
        "resolutions": Feed(is_polled=True, has_markets=True),
        "backfill": Feed(tables=("price_history",), rows=CandleRows, is_polled=True, has_markets=True),
        "probe": Feed(is_polled=True, has_markets=True),
    },
    parse=parse,
    next_page=next_page,
    judge=judge,
    market_facts=market_facts,
    probe=PROBE,
    catalogue=CATALOGUE,
    addresses=(
        Address(
            BASE,
            section="kalshi",
            key="base_url",
            setting="KALSHI_BASE_URL",
            meaning=f"a mirror or proxy of `{BASE}`, path included",
        ),
    ),
)
