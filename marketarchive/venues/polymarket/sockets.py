"""Polymarket's sockets as endpoints and channels.

No limit of new connections is documented (docs.polymarket.com, November 2026); the figure is ours.
"""

from __future__ import annotations

from marketarchive.venues.channel import Channel
from marketarchive.venues.endpoint import Endpoint, Limit
from marketarchive.venues.polymarket import endpoints, market_channel, rtds

CONNECTIONS_PER_10S = 20


def _limit(name: str) -> Limit:
    return Limit(f"polymarket/{name}", CONNECTIONS_PER_10S, unit="connections")


MARKET_CHANNEL = Endpoint("market_channel", endpoints.MARKET_CHANNEL, _limit("market_channel"))
RTDS = Endpoint("rtds", endpoints.RTDS, _limit("rtds"))

MARKETS = Channel(
    MARKET_CHANNEL,
    proof="hash",
    key_kind="token",
    keys_per_connection=market_channel.TOKENS_PER_CONNECTION,
    heartbeat=market_channel.PING,
    heartbeat_s=market_channel.PING_EVERY_S,
    has_statements=True,
    renew_s=1800.0,
)
TOPIC_CHANNEL = Channel(
    RTDS,
    proof="cadence",
    key_kind="topic",
    keys_per_connection=1000,
    heartbeat=rtds.PING,
    heartbeat_s=rtds.PING_EVERY_S,
    expects_pong=False,
)
