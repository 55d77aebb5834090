"""Simulated Coinbase: Advanced Trade, whose frames are numbered, and the Exchange feed."""

from __future__ import annotations

from typing import Any

from marketarchive.simulator.coinbase.advanced import AdvancedSession
from marketarchive.simulator.coinbase.exchange_feed import ExchangeFeedSession
from marketarchive.simulator.messages import Reply, SimRequest, json_reply
from marketarchive.simulator.sockets import SimSession
from marketarchive.simulator.spot_world import SpotWorld
from marketarchive.venues.exchange import assets_of

HOST = "advanced-trade-ws.coinbase.com"
EXCHANGE_HOST = "ws-feed.exchange.coinbase.com"
DEPTH = 100
"""Levels per side of the simulated book; all of them are sent."""


class Coinbase:
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = frozenset({HOST, EXCHANGE_HOST})

    def __init__(self, seed: int) -> None:
        self.world = SpotWorld(seed, "coinbase", assets_of("coinbase"), DEPTH)

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        del request, now_ns
        return json_reply({"message": "NotFound"}, 404)

    def limit(self, request: SimRequest) -> tuple[str, int]:
        return request.host, 1000

    def connect(self, request: SimRequest, number: int, now_ns: int) -> SimSession | None:
        del number
        if request.path.strip("/"):
            return None
        session = AdvancedSession if request.host == HOST else ExchangeFeedSession
        return session(self.world, now_ns)

    def truth(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        del start_ns, end_ns
        return []


def simulated(seed: int) -> Coinbase:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Coinbase(seed)
