"""The simulated catalogue without a server: small venues of both platforms, and sweeps of their lists."""

from __future__ import annotations

from functools import cache
from typing import Any

from marketarchive.items import Market
from marketarchive.simulator.kalshi import Kalshi
from marketarchive.simulator.messages import CatalogVenue, SimRequest
from marketarchive.simulator.polymarket import Polymarket
from marketarchive.times import SECOND
from marketarchive.venues import venues
from marketarchive.venues.endpoint import Query
from marketarchive.venues.messages import Parsed, Received

NOW_S = 1_795_255_300  # 2026-11-21T10:01:40Z
OPEN = 150


@cache
def polymarket() -> Polymarket:
    venue = Polymarket(1)
    venue.open_catalog(OPEN)
    return venue


@cache
def kalshi() -> Kalshi:
    venue = Kalshi(1)
    venue.open_catalog(OPEN)
    return venue


def truth(venue: CatalogVenue, start_s: int = NOW_S, end_s: int = NOW_S) -> dict[str, dict[str, Any]]:
    """Return the truth of each market by its id."""
    found = venue.catalog_truth(start_s * SECOND, end_s * SECOND)
    return {each["market_id"]: each for each in found}


def fetch(venue: CatalogVenue, query: Query, at_s: int = NOW_S) -> Received:
    """Return the answer to a query at a second, as a spider would have it; its status is 200."""
    host, _, path = query.url.removeprefix("https://").partition("/")
    pairs = tuple(
        (key, each)
        for key, value in query.params.items()
        for each in ([value] if isinstance(value, str) else value)
    )
    request = SimRequest(query.endpoint.method, host, f"/{path}", pairs, query.body or b"")
    reply = venue.answer(request, at_s * SECOND)
    assert reply.status == 200, reply.body[:300]
    name = query.endpoint.limit.name.partition("/")[0]
    return Received(name, "markets", query.url, query.params, query.body, 200, reply.body, at_s * SECOND, 1)


def read(venue: CatalogVenue, query: Query, at_s: int = NOW_S) -> Parsed:
    """Return what an answer says."""
    received = fetch(venue, query, at_s)
    return venues()[received.venue].parse(received)


def sweep(venue: CatalogVenue, query: Query, at_s: int = NOW_S, step_s: int = 0) -> list[Parsed]:
    """Return all pages of a list; each is asked for `step_s` after the one before."""
    name = query.endpoint.limit.name.partition("/")[0]
    following: Query | None = query
    pages = []
    while following is not None:
        pages.append(read(venue, following, at_s))
        following = venues()[name].next_page(following, pages[-1])
        at_s += step_s
    return pages


def markets(pages: list[Parsed]) -> dict[str, Market]:
    """Return the markets of pages by their id."""
    found = [item for page in pages for item in page.items if isinstance(item, Market)]
    assert len({each.market_id for each in found}) == len(found)
    return {each.market_id: each for each in found}
