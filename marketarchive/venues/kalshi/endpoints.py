"""Public endpoints of Kalshi, which need no key, and their limits.

Routes: OpenAPI 3.28 (2026-08-22) and the changelog up to 2026-10-09, https://docs.kalshi.com. The host named
"elections" serves all markets; a path with a slash at its end is redirected.
"""

from __future__ import annotations

from marketarchive.venues.endpoint import Endpoint, Limit

BASE = "https://api.elections.kalshi.com/trade-api/v2"
DEMO_BASE = "https://external-api.demo.kalshi.co/trade-api/v2"
"""Base URL of the venue's demo exchange: the same routes, with markets and keys of its own."""

REQUEST_TOKENS = 10.0
"""Tokens that a read costs (rate_limits, 2026-08-22); GET /account/endpoint_costs lists routes that cost
more."""
PUBLIC = Limit("kalshi/public", 1000, window_s=10.0, unit="tokens")
"""Budget of requests without a key, tokens. The documented 200 tokens a second are for a key; without one
nothing is documented. Measured from one address in August 2026: 6 requests a second with no refusal in
550, 11 a second with 0.8 % refused. So 10 a second are used."""

MARKETS_PAGE = 1000  # rows; 1001 is refused with 400
EVENTS_PAGE = 200
TRADES_PAGE = 1000
CANDLES_PER_REQUEST = 5000
"""Most candlestick periods that the range of a request may cover, whether candlesticks exist in them or
not (August 2026)."""
TICKERS_PER_CANDLES = 100  # with 10,000 candles together
TICKERS_PER_BOOKS = 100
TICKERS_PER_LIST = 100
"""Most tickers in `tickers=` of /markets. The figure is ours: no limit is documented, but a URL cannot
grow forever."""


def _endpoint(name: str, path: str, *final: int) -> Endpoint:
    return Endpoint(f"kalshi_{name}", f"{BASE}{path}", PUBLIC, final=frozenset(final))


STATUS = _endpoint("status", "/exchange/status", 500, 503, 504)  # these statuses carry the same body as a 200
SERIES = _endpoint("series", "/series")
ONE_SERIES = _endpoint("one_series", "/series/{series}", 404)
EVENTS = _endpoint("events", "/events")
ONE_EVENT = _endpoint("one_event", "/events/{event}", 404)
MARKETS = _endpoint("markets", "/markets")
ONE_MARKET = _endpoint("one_market", "/markets/{ticker}", 404)
BOOK = _endpoint("orderbook", "/markets/{ticker}/orderbook", 404)
# signed by the specification, without a key by one report: after a refusal books are requested one by one
BOOKS = _endpoint("orderbooks", "/markets/orderbooks", 401, 404)
TRADES = _endpoint("trades", "/markets/trades")
# 404: the market is unknown, or in the other tier only
CANDLES = _endpoint("candlesticks", "/series/{series}/markets/{ticker}/candlesticks", 404)
MANY_CANDLES = _endpoint("many_candlesticks", "/markets/candlesticks")
OLD_CANDLES = _endpoint("historical_candlesticks", "/historical/markets/{ticker}/candlesticks", 404)
CUTOFF = _endpoint("historical_cutoff", "/historical/cutoff")
OLD_MARKETS = _endpoint("historical_markets", "/historical/markets")
ONE_OLD_MARKET = _endpoint("one_historical_market", "/historical/markets/{ticker}", 404)
OLD_TRADES = _endpoint("historical_trades", "/historical/trades")
