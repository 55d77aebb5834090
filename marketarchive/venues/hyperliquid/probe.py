"""Requests that a probe sends to Hyperliquid."""

from __future__ import annotations

from marketarchive.venues.hyperliquid import queries
from marketarchive.venues.perp_probe import perp_probe

PROBE = perp_probe(
    (queries.instruments(),),
    queries.live(()),
    (),
    "https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/rate-limits-and-user-limits",
)
