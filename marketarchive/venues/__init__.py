"""What is true of each venue: endpoints, wire models, parse functions, identity and integrity of messages.

A package here whose module `venue` has a `VENUE` is a venue: nothing else has to be told of it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marketarchive.venues.venue import Feed, Venue


@cache
def venues() -> Mapping[str, Venue]:
    """Return every venue by its name."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if module.ispkg:
            venue: Venue = import_module(f"{__name__}.{module.name}.venue").VENUE
            found[venue.name] = venue
    return found


def feed_of(venue: str, feed: str) -> Feed | None:
    """Return what is declared of a feed; None where an archive holds one that nobody declares any more."""
    found = venues().get(venue)
    return None if found is None else found.feeds.get(feed)
