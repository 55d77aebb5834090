"""Requests that list all of Polymarket's markets: Gamma's rows have prices, volume and liquidity."""

from __future__ import annotations

from marketarchive.venues.catalogue import Catalogue
from marketarchive.venues.polymarket import queries
from marketarchive.venues.polymarket.endpoints import CONDITIONS_PER_MARKETS, CONDITIONS_PER_RESOLUTIONS

CATALOGUE = Catalogue(
    newest=lambda: [queries.newest_markets()],
    active=lambda: [queries.markets(closed=False)],
    ended=lambda since_ns: [queries.markets(closed=True, ended_since_ns=since_ns)],
    named=queries.closed_markets,
    named_at_once=CONDITIONS_PER_MARKETS,
    reports=queries.resolutions,
    reports_at_once=CONDITIONS_PER_RESOLUTIONS,
)
