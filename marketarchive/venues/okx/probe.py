"""Requests that a probe sends to OKX."""

from __future__ import annotations

from marketarchive.venues.okx import queries
from marketarchive.venues.perp_probe import perp_probe
from marketarchive.venues.perps import Series
from marketarchive.venues.symbols import symbols

PROBE = perp_probe(
    (queries.instruments(),),
    queries.live([Series("BTC", symbols("okx")["BTC"], "funding")]),
    (queries.loans(),),
    "https://www.okx.com/docs-v5/en/#overview-rate-limits",
)
