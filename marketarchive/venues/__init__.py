"""Venues: endpoints, wire models, parse functions, identity and integrity of messages.

A package here whose module `venue` has a `VENUE` is a venue: it is found by discovery.
"""

from __future__ import annotations

import pkgutil
import warnings
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marketarchive.venues.venue import Feed, Venue


@cache
def venues() -> Mapping[str, Venue]:
    """Return every venue by name; a venue that cannot be loaded is left out with a warning."""
    found: dict[str, Venue] = {}
    for name in declared(__name__, __path__, "venue"):
        try:
            venue: Venue = import_module(f"{__name__}.{name}.venue").VENUE
        except Exception as error:
            warnings.warn(f"venue {name} is left out: {type(error).__name__}: {error}", stacklevel=2)
        else:
            found[venue.name] = venue
    return found


def declared(package: str, path: Iterable[str], module: str) -> list[str]:
    """Return the names of the sub-packages of `package` that have a module `module`.

    package: dotted name of the parent package; path: its folders. A sub-package without the module is still
    being written, and is left out.
    """
    return [
        found.name
        for found in pkgutil.iter_modules(path)
        if found.ispkg and find_spec(f"{package}.{found.name}.{module}") is not None
    ]


def feed_of(venue: str, feed: str) -> Feed | None:
    """Return the declaration of a venue's feed; None when this version declares no such venue or feed.

    An archive may hold feeds of a version that did.
    """
    found = venues().get(venue)
    return None if found is None else found.feeds.get(feed)
