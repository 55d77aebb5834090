"""Declaration of Polymarket as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from marketarchive.times import SECOND
from marketarchive.venues.endpoint import Address
from marketarchive.venues.polymarket import rtds, updown
from marketarchive.venues.polymarket.book_rows import PolymarketBookRows
from marketarchive.venues.polymarket.catalogue import CATALOGUE
from marketarchive.venues.polymarket.endpoints import CLOB, GAMMA
from marketarchive.venues.polymarket.parse import parse
from marketarchive.venues.polymarket.price_history import PriceHistoryRows
from marketarchive.venues.polymarket.price_rows import PriceRows
from marketarchive.venues.polymarket.probe import PROBE
from marketarchive.venues.polymarket.queries import next_page
from marketarchive.venues.polymarket.stream_rows import PolymarketStreamRows
from marketarchive.venues.polymarket.subscribed import keys
from marketarchive.venues.polymarket.trade_rows import AnsweredTrades
from marketarchive.venues.venue import Decimals, Feed, MarketFacts, Venue

DECIMALS = Decimals(price=(18, 9), size=(18, 6))
"""Prices are dollars per share with at most four decimals so far; sizes are shares with six (the token's
unit)."""


def market_facts(name: str) -> MarketFacts:
    """Return the asset of a round and, if its slug contains the start, when it opens and ends.

    For the key of a price (`topic:symbol`) return its asset only.
    """
    topic, _, symbol = name.partition(":")
    if topic in rtds.TOPICS and symbol:
        return MarketFacts(rtds.asset_of(symbol))
    known, span = updown.of_slug(name), updown.span_of_slug(name)
    asset = None if known is None else known[0]
    return MarketFacts(asset) if span is None else MarketFacts(asset, span[0] * SECOND, span[1] * SECOND)


VENUE = Venue(
    name="polymarket",
    feeds={
        "markets": Feed(is_polled=True, has_markets=True),
        "prices": Feed(is_polled=True, has_markets=True),
        "stream": Feed(
            tables=("books", "book_changes", "trades", "quotes", "coverage"),
            rows=PolymarketStreamRows,
            rows_version=2,
            decimals=DECIMALS,
            price_range=(0, 1),
            titles={"": "Order books, every change"},
            books_per_market=2,
            keys=keys,
        ),
        "orderbook": Feed(
            tables=("books", "coverage"),
            rows=PolymarketBookRows,
            decimals=DECIMALS,
            price_range=(0, 1),
            titles={"": "Order books, polled"},
            books_per_market=2,
            is_polled=True,
        ),
        "trades": Feed(tables=("trades",), rows=AnsweredTrades, is_polled=True),
        "reference": Feed(
            tables=("reference_prices", "coverage"),
            rows=PriceRows,
            titles={
                "crypto_prices_chainlink": "Chainlink spot price",
                "crypto_prices_twap_thirty": "Chainlink mean of 30 s",
                "crypto_prices_twap_sixty": "Chainlink mean of 60 s",
            },
            keys=keys,
        ),
        "resolutions": Feed(is_polled=True, has_markets=True),
        "backfill": Feed(tables=("price_history",), rows=PriceHistoryRows, is_polled=True, has_markets=True),
        "probe": Feed(is_polled=True, has_markets=True),
    },
    parse=parse,
    next_page=next_page,
    market_facts=market_facts,
    probe=PROBE,
    catalogue=CATALOGUE,
    addresses=(
        Address(
            CLOB,
            section="polymarket",
            key="base_url",
            setting="POLYMARKET_BASE_URL",
            meaning=f"a mirror or proxy of `{CLOB}`",
        ),
        Address(
            GAMMA,
            section="polymarket",
            key="gamma_url",
            setting="POLYMARKET_GAMMA_URL",
            meaning=f"a mirror or proxy of `{GAMMA}`",
        ),
    ),
)
