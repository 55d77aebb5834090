"""Polymarket's sockets as endpoints. How often one may connect is not documented; the figure is ours."""

from __future__ import annotations

from marketarchive.venues.endpoint import Endpoint, Limit
from marketarchive.venues.polymarket import endpoints

CONNECTIONS_PER_10S = 20


def _limit(name: str) -> Limit:
    return Limit(f"polymarket/{name}", CONNECTIONS_PER_10S, unit="connections")


MARKET_CHANNEL = Endpoint("market_channel", endpoints.MARKET_CHANNEL, _limit("market_channel"))
RTDS = Endpoint("rtds", endpoints.RTDS, _limit("rtds"))
