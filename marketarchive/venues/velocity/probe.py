"""Requests that a probe sends to Velocity."""

from __future__ import annotations

from marketarchive.venues.perp_probe import perp_probe
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.symbols import symbols
from marketarchive.venues.velocity import queries

_KNOWN = 1_788_220_800_000
"""A day that the server had: 2026-09-01, ms since the Unix epoch."""
_BITCOIN = Series("BTC", symbols("velocity")["BTC"], "funding", 3600, _KNOWN)
_RANGE = Range(_KNOWN - 3_600_000, _KNOWN)

PROBE = perp_probe(
    (queries.markets(),),
    (),
    (),
    "https://data.velocity.exchange/openapi.json",
    past=(
        queries.fundings(_BITCOIN, _RANGE),
        queries.funding_day(_BITCOIN, _RANGE),
        queries.candles(_BITCOIN, _RANGE),
    ),
)
