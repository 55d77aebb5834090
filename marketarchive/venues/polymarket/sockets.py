"""Polymarket's sockets as endpoints. How often one may connect is not documented; the figure is ours."""

from __future__ import annotations

from marketarchive.venues.endpoint import Endpoint
from marketarchive.venues.polymarket import endpoints

CONNECTIONS_PER_10S = 20

MARKET_CHANNEL = Endpoint(
    "market_channel", endpoints.MARKET_CHANNEL, "polymarket/market_channel", CONNECTIONS_PER_10S
)
RTDS = Endpoint("rtds", endpoints.RTDS, "polymarket/rtds", CONNECTIONS_PER_10S)
