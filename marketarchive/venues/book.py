"""One sorted side of an order book, to which snapshots and deltas of decimal strings are applied."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from marketarchive.items import MAX_EXPONENT, Verdict, is_bounded

LevelText = Callable[[str, str], bytes]
"""Formats a level (price, size) as bytes, in the form that the venue's hash or checksum is computed over."""


@lru_cache(maxsize=1 << 14)
def price_of(text: str) -> Decimal:
    """Return the exact price that a text states. Results are cached: prices repeat.

    Raises InvalidOperation for a text that is no number, or has an exponent beyond `MAX_EXPONENT`.
    """
    found = Decimal(text)
    if found.is_finite() and not is_bounded(found):
        raise InvalidOperation(f"{text} is beyond 10 to the power of {MAX_EXPONENT}, or its inverse")
    return found


@lru_cache(maxsize=1 << 14)
def _negated(text: str) -> Decimal:
    return price_of(text).copy_negate()  # copy: no rounding to the context's precision


class BookSide:
    """The bids or the asks of one book; levels are sorted from the worst price to the best."""

    __slots__ = ("_joined", "_key", "_separator", "_text", "keys", "levels")

    def __init__(
        self,
        levels: Iterable[tuple[str, str]],
        *,
        is_bid: bool,
        text: LevelText,
        separator: bytes = b"",
    ) -> None:
        """Create a side of a book from its levels.

        levels: (price, size) in any order; text: formats one level as bytes; separator: bytes between two
        levels in the result of `text()`.
        """
        self._key = price_of if is_bid else _negated
        self._text = text
        self._separator = separator
        texts = {self._key(price): text(price, size) for price, size in levels}
        self.keys = sorted(texts)
        self.levels = [texts[key] for key in self.keys]
        self._joined: bytes | None = None

    @property
    def best(self) -> Decimal | None:
        """Return the best price of the side; None when the side is empty."""
        if not self.keys:
            return None
        best = self.keys[-1]
        return best if self._key is price_of else best.copy_negate()

    def set(self, price: str, size: str) -> None:
        """Set the size at `price`; a size of zero removes the level."""
        key, keys = self._key(price), self.keys
        place = bisect_left(keys, key)
        is_there = place < len(keys) and keys[place] == key
        self._joined = None
        if not size.strip("0."):
            if is_there:
                del keys[place], self.levels[place]
        elif is_there:
            self.levels[place] = self._text(price, size)
        else:
            keys.insert(place, key)
            self.levels.insert(place, self._text(price, size))

    def level(self, price: str) -> bytes | None:
        """Return the level at `price` as formatted bytes; None when the side has no such level."""
        key = self._key(price)
        place = bisect_left(self.keys, key)
        return self.levels[place] if place < len(self.keys) and self.keys[place] == key else None

    def cut(self, depth: int) -> list[bytes]:
        """Keep only the `depth` best levels; return the others as formatted bytes."""
        if len(self.keys) <= depth:
            return []
        gone = self.levels[:-depth]
        del self.keys[:-depth], self.levels[:-depth]
        self._joined = None
        return gone

    def is_best(self, price: str) -> bool:
        """Return whether `price` is the best price of the side."""
        return bool(self.keys) and self.keys[-1] == self._key(price)

    def copy(self) -> BookSide:
        """Return an independent copy of the side."""
        made = BookSide((), is_bid=self._key is price_of, text=self._text, separator=self._separator)
        made.keys, made.levels = self.keys.copy(), self.levels.copy()
        return made

    def text(self) -> bytes:
        """Return all formatted levels joined by the separator, from the worst price to the best."""
        if self._joined is None:
            self._joined = self._separator.join(self.levels)
        return self._joined


class KeptBook(NamedTuple):
    """The book of a market as the messages of one connection have built it so far."""

    market: str
    asset: str | None
    connection: str
    bids: BookSide
    asks: BookSide
    verified: Verdict  # verification of the book after the last message that changed it
    received_at: int  # receipt of the newest message about the market, ns since the Unix epoch
