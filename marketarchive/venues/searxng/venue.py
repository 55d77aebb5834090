"""Declaration of SearXNG as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from marketarchive.venues.probing import Check, Probe
from marketarchive.venues.searxng.answers import judge, parse
from marketarchive.venues.searxng.queries import ADDRESS, endpoint, search
from marketarchive.venues.venue import Feed, Venue

PROBED_PER_MINUTE = 30.0

VENUE = Venue(
    name="searxng",
    feeds={"news": Feed(is_polled=True, has_markets=True)},
    parse=parse,
    judge=judge,
    addresses=(ADDRESS,),
    probe=Probe(
        checks=(
            Check("search", "news", search(endpoint(PROBED_PER_MINUTE), "election", "probe", "election")),
        ),
        topics={"news": "Which headlines are there about a market?"},
        limits_source="https://docs.searxng.org/admin/searx.limiter",
    ),
)
