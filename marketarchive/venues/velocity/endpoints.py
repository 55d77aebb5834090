"""Public endpoints of Velocity, which need no key.

Routes: its documents (2026-07-09), its client (velocity-common, 2026-08-17) and recorded answers of
2026-09-13. It publishes no limits; this project sends one request a second.
"""

from __future__ import annotations

from marketarchive.venues.endpoint import Endpoint, Limit

BASE = "https://data.velocity.exchange"
REQUESTS = Limit("velocity/requests", 10, window_s=10.0)

MARKETS = Endpoint("velocity_markets", f"{BASE}/stats/markets", REQUESTS)
FUNDINGS = Endpoint("velocity_fundings", f"{BASE}/market/{{symbol}}/fundingRates", REQUESTS)
FUNDING_DAY = Endpoint(
    "velocity_funding_day", f"{BASE}/market/{{symbol}}/fundingRates/{{year}}/{{month}}/{{day}}", REQUESTS
)
CANDLES = Endpoint("velocity_candles", f"{BASE}/market/{{symbol}}/candles/{{resolution}}", REQUESTS)
