"""Lists of all markets of a venue, as data: what the phases of `scrapy catalog` request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marketarchive.venues.endpoint import Query


@dataclass(frozen=True)
class Catalogue:
    """Requests that list a venue's markets: whole lists, paged by `Venue.next_page`, and markets by id."""

    newest: Callable[[], Sequence[Query]]
    """Returns the lists in which new markets appear, newest market first."""
    active: Callable[[], Sequence[Query]]
    """Returns the lists of all markets that have not ended, with their prices."""
    ended: Callable[[int], Sequence[Query]]
    """Returns the lists of the markets that ended or were closed since a wall-clock time in ns."""
    named: Callable[[Sequence[str]], Query]
    """Returns the request for the markets with the given ids; it serves ended markets at least."""
    named_at_once: int
    """Most ids in one request of `named`, `older` or `reports`."""
    older: Callable[[Sequence[str]], Query] | None = None
    """Returns the request for markets by id that `named` no longer serves; None: `named` serves all."""
    reports: Callable[[Sequence[str]], Query] | None = None
    """Returns the request for statements of outcomes by market id, when the lists lack them; None: they do
    not."""
    reports_at_once: int = 1
