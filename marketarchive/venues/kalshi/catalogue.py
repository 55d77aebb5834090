"""Requests that list all of Kalshi's markets, except combinations of markets."""

from __future__ import annotations

from marketarchive.venues.catalogue import Catalogue
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.endpoints import TICKERS_PER_LIST

CATALOGUE = Catalogue(
    newest=queries.new_lists,
    active=queries.active_lists,
    ended=queries.ended_lists,
    named=queries.named_markets,
    named_at_once=TICKERS_PER_LIST,
    older=queries.old_named_markets,
)
