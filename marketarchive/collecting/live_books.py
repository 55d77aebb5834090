"""Access to live books and states of streams, for listeners that join several feeds while they are collected.

A spider passes its source to the listeners of its process once; a listener calls the source when it needs the
present state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from marketarchive.venues.book import BookSide


class LiveBook(NamedTuple):
    """Live view of a market's book; the next message changes it, so it is read at once and not kept."""

    asset: str
    bids: BookSide
    asks: BookSide
    received_at: int  # wall ns: receipt of the newest message about the market


@dataclass(frozen=True, slots=True)
class BookSource:
    """Source of a venue's live books: a call of `books` yields those that are proven at that moment."""

    venue: str
    feed: str
    books: Callable[[], Iterable[LiveBook]]


@dataclass(frozen=True, slots=True)
class StateSource:
    """Source of the states that a stream proves, for each key (market, symbol) and time."""

    venue: str
    feed: str
    state: Callable[[str, int], Any]
    """(key, time in wall ns) -> the value that the stream's session holds.

    None is returned where nothing is proven (yet).
    """
