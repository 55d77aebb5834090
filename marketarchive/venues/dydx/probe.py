"""Requests that a probe sends to dYdX's indexer."""

from __future__ import annotations

from marketarchive.venues.dydx import queries
from marketarchive.venues.perp_probe import perp_probe

PROBE = perp_probe(
    (queries.markets(),),
    (),
    (),
    "https://docs.dydx.xyz/concepts/trading/limits/rate-limits",
)
