"""Public endpoints of GMX v2, which need no key.

Hosts and routes: GMX's own front end and SDK (gmx-interface, 2026-08-20) and the copy of its OpenAPI of
2026-06. GMX publishes no limits; this project sends one request a second to the API and one to Subsquid.
"""

from __future__ import annotations

from marketarchive.venues.endpoint import Endpoint, Limit

KEEPER = "https://arbitrum-api.gmxinfra.io"
API = "https://arbitrum.gmxapi.io/v1"
SQUID = "https://gmx.squids.live/gmx-synthetics-arbitrum:prod/api/graphql"
"""Address that always leads to the present deployment; addresses that contain a version expire."""

OF_KEEPER = Limit("gmx/keeper", 10, window_s=10.0)
OF_API = Limit("gmx/api", 10, window_s=10.0)
OF_SQUID = Limit("gmx/squid", 60, window_s=60.0)

MARKETS = Endpoint("gmx_markets", f"{KEEPER}/markets", OF_KEEPER)
TICKERS = Endpoint("gmx_tickers", f"{KEEPER}/prices/tickers", OF_KEEPER)
CANDLES = Endpoint("gmx_candles", f"{KEEPER}/prices/candles", OF_KEEPER)
MARKETS_NOW = Endpoint("gmx_markets_now", f"{KEEPER}/markets/info", OF_KEEPER)
RATES = Endpoint("gmx_rates", f"{API}/rates", OF_API)
INTEREST_NOW = Endpoint("gmx_interest_now", f"{API}/markets/tickers", OF_API)
INTEREST = Endpoint("gmx_interest", SQUID, OF_SQUID, method="POST")
