"""Helpers that the declarations of spot exchanges share."""

from __future__ import annotations

from collections.abc import Mapping

from marketarchive.exceptions import ParseError
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.symbols import symbols
from marketarchive.venues.venue import MarketFacts

SPOT = "spot"
"""Name of the feed of spot markets, the same at every exchange."""


def assets_of(venue: str) -> Mapping[str, str]:
    """Return market -> asset, as the `symbols.csv` of a venue lists them."""
    return {row["symbol"]: asset for asset, row in symbols(venue).items()}


def spot_facts(assets: Mapping[str, str], name: str) -> MarketFacts:
    """Return the facts of the spot market `name`: its asset; it has no opening or closing time.

    assets: market -> asset, as returned by `assets_of`.
    """
    return MarketFacts(assets.get(name))


def no_answers(received: Received) -> Parsed:
    """Raise ParseError: this venue is read over its socket only, no HTTP answer is expected."""
    raise ParseError("Answer", f"nothing is requested at {received.canonical_url}")
