"""Public endpoints of dYdX's indexer, and their limits.

Routes, page sizes and limits: the server's source (v4-chain, indexer/services/comlink, 2026-03) and its
documents (2026-04). All of them are GET and need no key. For candles the source has a limit ten times as high
as the documents (100); this project keeps to the documents.
"""

from __future__ import annotations

from marketarchive.venues.endpoint import Endpoint, Limit

BASE = "https://indexer.dydx.trade/v4"

REQUESTS = Limit("dydx/requests", 100, window_s=10.0)
"""Requests per address (comlink's source, 2026-03)."""

MARKETS = Endpoint("dydx_markets", f"{BASE}/perpetualMarkets", REQUESTS)
FUNDING_RATES = Endpoint("dydx_funding_rates", f"{BASE}/historicalFunding/{{ticker}}", REQUESTS)
CANDLES = Endpoint("dydx_candles", f"{BASE}/candles/perpetualMarkets/{{ticker}}", REQUESTS)
