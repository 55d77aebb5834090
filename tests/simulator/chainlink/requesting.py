"""Asks the simulated stream pages directly, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from marketarchive.simulator.chainlink import HOST, Chainlink
from marketarchive.simulator.chainlink.streams import BY_SLUG
from marketarchive.simulator.messages import Reply, SimRequest
from tests.simulator.requesting import NOW, json_of, venue

LIVE = "/api/live-data-engine-stream-data"
HISTORY = "/api/historical-data-engine-stream-data"
SPOT, TWAP = "btc-usd-cexprice-streams", "btc-usd-twap-60s-streams"


@cache
def pages(seed: int = 1) -> Chainlink:
    return Chainlink(seed, venue(seed).world.prices)


def fetch(
    path: str,
    query: Mapping[str, str] | None = None,
    now_ns: int = NOW,
    faults: Mapping[str, Mapping[str, Any]] | None = None,
) -> Reply:
    return pages().answer(
        SimRequest("GET", HOST, path, tuple((query or {}).items()), faults=faults or {}), now_ns
    )


def live_query(slug: str, **more: str) -> dict[str, str]:
    return {"feedId": BY_SLUG[slug].feed_id, "abiIndex": "0", "queryWindow": "1m", **more}


def live(slug: str, now_ns: int = NOW, faults: Any = None, **more: str) -> list[dict[str, str]]:
    answer = json_of(fetch(LIVE, live_query(slug, **more), now_ns, faults))
    nodes: list[dict[str, str]] = answer["data"]["allStreamValuesGenerics"]["nodes"]
    return nodes


def newest(nodes: list[dict[str, str]]) -> str:
    return max(node["validAfterTs"] for node in nodes)
