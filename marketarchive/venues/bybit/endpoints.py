"""Public endpoints of Bybit's perpetuals, which need no key, and their limits.

Routes and bounds: the official documents (bybit-exchange/docs, 2026-07-24). All of them are GET, with
`category=linear`; an answer with status 200 may be an error, which its `retCode` says.
"""

from __future__ import annotations

from marketarchive.venues.endpoint import Endpoint, Limit

BASE = "https://api.bybit.com"

HTTP = Limit("bybit/http", 600, window_s=5.0)
"""Requests per address to all routes together (documents, 2026-07-24).

An address above it is refused for ten minutes (403).
"""


def _endpoint(name: str, path: str) -> Endpoint:
    return Endpoint(f"bybit_{name}", f"{BASE}{path}", HTTP)


INSTRUMENTS = _endpoint("instruments", "/v5/market/instruments-info")
FUNDING_RATES = _endpoint("funding_rates", "/v5/market/funding/history")
CANDLES = _endpoint("candles", "/v5/market/kline")
MARK_CANDLES = _endpoint("mark_candles", "/v5/market/mark-price-kline")
INDEX_CANDLES = _endpoint("index_candles", "/v5/market/index-price-kline")
OPEN_INTEREST = _endpoint("open_interest", "/v5/market/open-interest")
TICKERS = _endpoint("tickers", "/v5/market/tickers")
BORROW_RATES = _endpoint("borrow_rates", "/v5/spot-margin-trade/data")
