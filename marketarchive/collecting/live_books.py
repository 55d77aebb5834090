"""Live books and states, for who joins them while they are collected.

A spider hands a source to the listeners of its process once; who wants what stands at a moment asks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from marketarchive.venues.book import BookSide


class LiveBook(NamedTuple):
    """Live view of a market's book: the next message changes it, so read it at once."""

    asset: str
    bids: BookSide
    asks: BookSide
    received_at: int  # wall ns: when the venue last said anything of the market


@dataclass(frozen=True, slots=True)
class BookSource:
    """Source of a venue's books: those that are proven at the moment of the call."""

    venue: str
    feed: str
    books: Callable[[], Iterable[LiveBook]]


@dataclass(frozen=True, slots=True)
class StateSource:
    """Gives what a stream proves of a key."""

    venue: str
    feed: str
    state: Callable[[str, int], Any]
    """(key, moment in ns) -> the value of its session, None where nothing is proven of that moment (yet)."""
