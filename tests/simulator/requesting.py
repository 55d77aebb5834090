"""Asks a simulated venue directly, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from marketarchive.simulator.messages import Reply, SimRequest
from marketarchive.simulator.polymarket import CLOB_HOST as CLOB
from marketarchive.simulator.polymarket import DATA_HOST as DATA
from marketarchive.simulator.polymarket import GAMMA_HOST as GAMMA
from marketarchive.simulator.polymarket import Polymarket
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.times import SECOND

__all__ = ["CLOB", "DATA", "GAMMA", "NOW", "closed_rounds", "fetch", "json_of", "live_tokens", "venue"]

SECONDS = 1_795_255_300  # 2026-11-21T10:01:40Z
NOW = SECONDS * SECOND


@cache
def venue(seed: int = 1) -> Polymarket:
    return Polymarket(seed)


def fetch(
    host: str,
    path: str,
    query: Mapping[str, str | list[str]] | None = None,
    body: bytes | None = None,
    at: int = SECONDS,
) -> Reply:
    pairs = [
        (key, each)
        for key, value in (query or {}).items()
        for each in ([value] if isinstance(value, str) else value)
    ]
    method = "GET" if body is None else "POST"
    return venue().answer(SimRequest(method, host, path, tuple(pairs), body or b""), at * SECOND)


def json_of(reply: Reply, status: int = 200) -> Any:
    assert reply.status == status, reply.body[:200]
    return msgspec.json.decode(reply.body)


def live_tokens(count: int, at: int = SECONDS) -> list[str]:
    """Tokens of rounds whose window is open."""
    world = venue().world
    live = [
        each
        for each in world.listed(at)
        if each.kind == "round" and each.start and each.start <= at < each.end
    ]
    return [token for each in live for token in each.tokens][:count]


def closed_rounds(count: int, at: int = SECONDS) -> list[SimMarket]:
    """Rounds that closed long enough ago to be resolved everywhere."""
    found = [each for each in venue().world.listed(at) if each.kind == "round" and each.is_closed(at - 300)]
    return found[:count]
