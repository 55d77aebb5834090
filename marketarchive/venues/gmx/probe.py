"""Requests that a probe sends to GMX."""

from __future__ import annotations

from marketarchive.venues.gmx import queries
from marketarchive.venues.perp_probe import perp_probe
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.symbols import symbols

_HOUR_MS = 3_600_000
_KNOWN = 1_759_276_800_000
"""An hour for which there are snapshots: 2025-10-01T00:00Z, ms since the Unix epoch."""
_BITCOIN = Series("BTC", symbols("gmx")["BTC"], "funding", 3600, _KNOWN)
_RANGE = Range(_KNOWN - _HOUR_MS, _KNOWN)

PROBE = perp_probe(
    (queries.markets(), queries.tickers()),
    queries.live([_BITCOIN]),
    (),
    "https://arbitrum.gmxapi.io/swagger.json",
    past=(
        queries.rates(_BITCOIN, _RANGE),
        queries.candles(_BITCOIN, _RANGE),
        queries.interest(_BITCOIN, _RANGE),
    ),
)
