"""Plan `spot`: the spot markets of every exchange that the project has."""

from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, Arguments
from marketarchive.collecting.together.plan import Plan, PlannedFeed
from marketarchive.venues import venues
from marketarchive.venues.exchange import SPOT


def feeds(arguments: Arguments) -> list[PlannedFeed]:
    """Return a feed for each venue that has a feed `spot`; the spider's name is `<venue>_spot`."""
    chosen = {} if arguments.assets is None else {"assets": ",".join(arguments.assets)}
    found = sorted(venue.name for venue in venues().values() if SPOT in venue.feeds)
    return [PlannedFeed(f"{name}_{SPOT}", chosen) for name in found]


PLAN = Plan(
    name="spot",
    what="order books, trades and best prices of spot exchanges",
    feeds=feeds,
    takes=(ASSETS,),
)
