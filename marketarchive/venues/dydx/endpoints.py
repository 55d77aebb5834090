"""Public endpoints of dYdX's indexer, and their limits.

Routes, pages and limits: the server's source (v4-chain, indexer/services/comlink, 2026-03) and its documents
(2026-04). All of them are GET and need no key. The candles' limit is ten times as high in the source; the
documents know one of 100, which is kept to.
"""

from __future__ import annotations

from marketarchive.venues.endpoint import Endpoint, Limit

BASE = "https://indexer.dydx.trade/v4"

REQUESTS = Limit("dydx/requests", 100, window_s=10.0)
"""Per address (comlink's source, 2026-03)."""

MARKETS = Endpoint("dydx_markets", f"{BASE}/perpetualMarkets", REQUESTS)
FUNDING_RATES = Endpoint("dydx_funding_rates", f"{BASE}/historicalFunding/{{ticker}}", REQUESTS)
CANDLES = Endpoint("dydx_candles", f"{BASE}/candles/perpetualMarkets/{{ticker}}", REQUESTS)
