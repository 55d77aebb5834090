"""A connection of the market channel with the books that its frames make."""

from __future__ import annotations

from collections.abc import Iterable

from marketarchive.collecting.streams.link import Link, Listening
from marketarchive.venues.polymarket.live_books import ChannelBooks


class MarketLink(Link):
    """A connection with the books that its frames make."""

    def __init__(self, spider: Listening, name: str, keys: Iterable[str]) -> None:
        super().__init__(spider, name, keys)
        self.books = ChannelBooks()
        self.proven: dict[str, int] = {}  # token -> wall ns up to which nothing of it is missing here
        self.first: dict[str, tuple[int, int]] = {}
        """By token: its first book's time, 0 where a loss is known that the book ends; wall ns of receipt."""
        self.before: dict[str, tuple[int, int]] = {}
        """By token, when `told` began: its book's time, 0 where it had none; proven."""
        self.told: dict[str, set[int]] | None = None
        """By token, times of its changes while one takes over; None also if messages were passed over."""
