"""Lists of all markets of a venue, as data: what the phases of `scrapy catalog` request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marketarchive.venues.endpoint import Query


@dataclass(frozen=True)
class Catalogue:
    """Requests for a venue's markets: lists, each paginated by `Venue.next_page`, and markets by id."""

    newest: Callable[[], Sequence[Query]]
    """Lists in which new markets stand, the newest first."""
    active: Callable[[], Sequence[Query]]
    """Lists of all markets that are not over, with their prices."""
    ended: Callable[[int], Sequence[Query]]
    """Lists of those that ended or were closed since a wall time in ns."""
    named: Callable[[Sequence[str]], Query]
    """Markets by id, those that are over at least."""
    named_at_once: int
    """Ids in one request of `named`, and of `older`."""
    older: Callable[[Sequence[str]], Query] | None = None
    """Markets by id that `named` does not give any more."""
    reports: Callable[[Sequence[str]], Query] | None = None
    """Statements of outcomes beside those in the lists, by id."""
    reports_at_once: int = 1
