"""Asks the simulated Kalshi directly, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import msgspec

from marketarchive.simulator.kalshi import Kalshi
from marketarchive.simulator.messages import Reply, SimRequest
from marketarchive.times import SECOND
from marketarchive.venues.endpoint import Query
from marketarchive.venues.kalshi.parse import parse
from marketarchive.venues.kalshi.queries import next_page
from marketarchive.venues.messages import Parsed, Received

AT = 1_795_255_300  # 2026-11-21T10:01:40Z, a Saturday
MAINTENANCE = 1_795_075_500  # 2026-11-19T08:05:00Z, a Thursday, 03:05 US Eastern time


@cache
def venue(seed: int = 1) -> Kalshi:
    return Kalshi(seed)


def request_of(query: Query, **faults: dict[str, Any]) -> SimRequest:
    pairs = [
        (key, each)
        for key, value in query.params.items()
        for each in ([value] if isinstance(value, str) else value)
    ]
    parts = urlsplit(query.url)
    return SimRequest("GET", parts.netloc, parts.path, tuple(pairs), faults=faults)


def fetch(query: Query, at: int = AT, **faults: dict[str, Any]) -> Reply:
    return venue().answer(request_of(query, **faults), at * SECOND)


def json_of(query: Query, at: int = AT, **faults: dict[str, Any]) -> Any:
    reply = fetch(query, at, **faults)
    assert reply.status == 200, reply.body[:300]
    return msgspec.json.decode(reply.body)


def read(query: Query, at: int = AT, **faults: dict[str, Any]) -> Parsed:
    reply = fetch(query, at, **faults)
    assert reply.status == 200, reply.body[:300]
    return parse(Received.answer("kalshi", "markets", query, 200, reply.body, at * SECOND, 1))


def pages(query: Query | None, at: int = AT) -> Iterator[Parsed]:
    """Every page of a list."""
    while query is not None:
        parsed = read(query, at)
        yield parsed
        query = next_page(query, parsed)
