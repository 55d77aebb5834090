"""Public endpoint of Hyperliquid's perpetuals, which needs no key, and its limit.

One route for everything: POST /info, and `type` in the body names the request. Weights: its documents,
page of 2026-04-28; shapes: recordings of the official SDK (2023-07) and live answers of 2026-09.
"""

from __future__ import annotations

from marketarchive.venues.endpoint import Endpoint, Limit

INFO = "https://api.hyperliquid.xyz/info"

WEIGHT = Limit("hyperliquid/weight", 1200, window_s=60.0, unit="weights")
"""Weights per address and minute, for all REST requests together (documents, 2026-04-28)."""


def _endpoint(name: str) -> Endpoint:
    return Endpoint(f"hyperliquid_{name}", INFO, WEIGHT, method="POST")


INSTRUMENTS = _endpoint("instruments")
FUNDING_RATES = _endpoint("funding_rates")
CANDLES = _endpoint("candles")
PRESENT = _endpoint("present")
