"""How old the state in an answer may be, where a cache may stand in between."""

from __future__ import annotations

from collections.abc import Mapping

from marketarchive.times import to_seconds
from marketarchive.venues.kalshi.books import Book
from marketarchive.venues.kalshi.quotes import AgeSource


class Freshness:
    """Remembers since when each book is as it is."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[Book, int]] = {}

    def age(self, book: Book, at_ns: int, headers: Mapping[str, str]) -> tuple[float, AgeSource]:
        """Return the greatest age that a book may have, in seconds, and what says so.

        at_ns: its receipt, on a clock that no step moves. A cache states the age of its copy. Without a
        statement a book that is as it was may be quiet or a copy: it is as old as its first receipt.
        """
        held = self._since.get(book.ticker)
        if held is None or held[0] != book:
            held = self._since[book.ticker] = (book, at_ns)
        stated = headers.get("age", "").strip()
        if stated.isascii() and stated.isdigit():
            return float(stated), "header"
        if held[1] == at_ns:
            return 0.0, "new"
        return to_seconds(at_ns - held[1]), "unchanged"
