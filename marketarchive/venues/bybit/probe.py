"""Requests that a probe sends to Bybit."""

from __future__ import annotations

from marketarchive.venues.bybit import queries
from marketarchive.venues.perp_probe import perp_probe
from marketarchive.venues.perps import Series
from marketarchive.venues.symbols import symbols

PROBE = perp_probe(
    (queries.instruments(),),
    queries.live([Series("BTC", symbols("bybit")["BTC"], "funding")]),
    (queries.borrow_rates(),),
    "https://bybit-exchange.github.io/docs/v5/rate-limit",
)
