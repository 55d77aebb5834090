"""Parts that the declarations of exchanges share."""

from __future__ import annotations

from collections.abc import Mapping

from marketarchive.exceptions import ParseError
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.symbols import symbols
from marketarchive.venues.venue import MarketFacts

SPOT = "spot"
"""The feed of an exchange's spot markets has this name at every venue."""


def assets_of(venue: str) -> Mapping[str, str]:
    """Return the asset of each market in a venue's `symbols.csv`."""
    return {row["symbol"]: asset for asset, row in symbols(venue).items()}


def spot_facts(assets: Mapping[str, str], name: str) -> MarketFacts:
    """Return the asset of a market; a spot market is always open."""
    return MarketFacts(assets.get(name))


def no_answers(received: Received) -> Parsed:
    """Raise ParseError: the venue is listened to only."""
    raise ParseError("Answer", f"nothing is requested at {received.canonical_url}")
