"""Public endpoints of Binance's perpetuals, which need no key, and their limits.

Routes, weights and bounds: docstrings of the official SDK (binance-connector-python, 2026-08-21), and live
answers of 2026-09-15. All of them are GET.
"""

from __future__ import annotations

from marketarchive.venues.endpoint import Endpoint, Limit

BASE = "https://fapi.binance.com"

WEIGHT = Limit("binance/weight", 2400, window_s=60.0, unit="weights")
"""Per address; `rateLimits` of exchangeInfo. The header X-MBX-USED-WEIGHT-1M says what is used of it."""
FUNDING = Limit("binance/funding", 500, window_s=300.0)
"""Requests to fundingRate and fundingInfo together; they have no weight."""
STATISTICS = Limit("binance/statistics", 1000, window_s=300.0)
"""Requests to /futures/data; they have no weight."""


def _endpoint(name: str, path: str, limit: Limit = WEIGHT) -> Endpoint:
    return Endpoint(f"binance_{name}", f"{BASE}{path}", limit)


INSTRUMENTS = _endpoint("instruments", "/fapi/v1/exchangeInfo")
FUNDING_INFO = _endpoint("funding_info", "/fapi/v1/fundingInfo", FUNDING)
FUNDING_RATES = _endpoint("funding_rates", "/fapi/v1/fundingRate", FUNDING)
CANDLES = _endpoint("candles", "/fapi/v1/klines")
MARK_CANDLES = _endpoint("mark_candles", "/fapi/v1/markPriceKlines")
INDEX_CANDLES = _endpoint("index_candles", "/fapi/v1/indexPriceKlines")
OPEN_INTEREST_HISTORY = _endpoint("open_interest_history", "/futures/data/openInterestHist", STATISTICS)
PREMIUM = _endpoint("premium", "/fapi/v1/premiumIndex")
OPEN_INTEREST = _endpoint("open_interest", "/fapi/v1/openInterest")
