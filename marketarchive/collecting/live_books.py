"""Live books of exchanges, for who joins them while they are collected.

A spider hands a `BookSource` to the listeners of its process once; who wants the books of a moment asks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from marketarchive.venues.book import BookSide


class LiveBook(NamedTuple):
    """A market's book as it stands: it changes with the next message, so use it at once."""

    asset: str
    bids: BookSide
    asks: BookSide
    received_at: int  # wall ns: when the venue last said anything of the market


@dataclass(frozen=True, slots=True)
class BookSource:
    """Gives the books of a venue that are proven at the moment it is asked."""

    venue: str
    feed: str
    books: Callable[[], Iterable[LiveBook]]
