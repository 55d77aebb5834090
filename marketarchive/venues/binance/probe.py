"""Requests that a probe sends to Binance."""

from __future__ import annotations

from marketarchive.venues.binance import queries
from marketarchive.venues.perp_probe import perp_probe
from marketarchive.venues.perps import Series
from marketarchive.venues.symbols import symbols

PROBE = perp_probe(
    (queries.instruments(), queries.funding_info()),
    queries.live([Series("BTC", symbols("binance")["BTC"], "funding")]),
    (),
    "https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info",
)
