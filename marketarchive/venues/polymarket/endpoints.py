"""Endpoints of Polymarket, and their rate limits.

Limits are Cloudflare's, per address, over a sliding window of 10 s:
https://docs.polymarket.com/api-reference/rate-limits (November 2026).
"""

from __future__ import annotations

from urllib.parse import urlsplit

GAMMA = "https://gamma-api.polymarket.com"
CLOB = "https://clob.polymarket.com"
DATA = "https://data-api.polymarket.com"

MARKET_CHANNEL = "wss://ws-subscriptions-clob.polymarket.com/ws/market"
RTDS = "wss://ws-live-data.polymarket.com"

MARKETS_KEYSET = f"{GAMMA}/markets/keyset"
EVENTS_KEYSET = f"{GAMMA}/events/keyset"
MARKETS = f"{GAMMA}/markets"
EVENTS = f"{GAMMA}/events"
SERIES = f"{GAMMA}/series"
BOOK = f"{CLOB}/book"
BOOKS = f"{CLOB}/books"
PRICE_HISTORY = f"{CLOB}/prices-history"
PRICE_HISTORIES = f"{CLOB}/batch-prices-history"
RESOLUTIONS = f"{DATA}/v2/resolutions"
TRADES = f"{DATA}/v2/trades"
TRADES_V1 = f"{DATA}/trades"

MARKETS_PAGE = 100  # rows; most that /markets/keyset returns since 2026-05-14 (docs, changelog)
EVENTS_PAGE = 100  # rows; /events/keyset documents 500 (November 2026), but one reader was given 100 (2026)
SERIES_PAGE = 50
TOKENS_PER_BOOKS = (
    250  # most tokens; POST /books refuses bodies of more than about 500 (a client's probe, 2026-08-14)
)
TOKENS_PER_HISTORIES = 20
HISTORY_S = 15 * 86_400  # longest range of a price history, s (2026-08-11)
CONDITIONS_PER_MARKETS = 50  # the route allows 100, but a URL with so many has some 4 kB
SLUGS_PER_MARKETS = 50  # see above
# ours, the same as for trades: no limit of its own is documented (November 2026)
CONDITIONS_PER_RESOLUTIONS = 20
CONDITIONS_PER_TRADES = 20  # most that the route allows (OpenAPI 3.1 of the Data API v2, 2026-09-17)
TRADES_PAGE = 1000  # rows; more is refused by /v2/trades
TRADES_V1_OFFSET_MAX = 10_000


def market_by_slug(slug: str) -> str:
    return f"{MARKETS}/slug/{slug}"


def event_by_slug(slug: str) -> str:
    return f"{EVENTS}/slug/{slug}"


# documented requests per 10 s
LIMITS: dict[str, int] = {
    "gamma_markets": 300,
    "gamma_events": 500,
    "gamma": 4000,
    "clob_book": 1500,
    "clob_books": 500,
    "clob_history": 1000,
    "clob": 9000,
    "data_trades": 200,
    "data": 1000,
}

_FIRST_SEGMENT = {
    "markets": "gamma_markets",
    "events": "gamma_events",
    "book": "clob_book",
    "books": "clob_books",
    "prices-history": "clob_history",
    "batch-prices-history": "clob_history",
    "trades": "data_trades",
}


def endpoint_class(url: str) -> str:
    """Return the key of LIMITS whose limit applies to a URL. Raises ValueError for an unknown host."""
    parts = urlsplit(url)
    host = f"{parts.scheme}://{parts.netloc}"
    group = {GAMMA: "gamma", CLOB: "clob", DATA: "data"}.get(host)
    if group is None:
        raise ValueError(f"{url} is not a Polymarket endpoint that this project asks")
    segments = parts.path.removeprefix("/v2").split("/")
    named = _FIRST_SEGMENT.get(segments[1] if len(segments) > 1 else "", "")
    return named if named.startswith(f"{group}_") else group
