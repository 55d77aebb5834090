"""Order book of a venue: one sorted side, to which snapshots and deltas of decimal strings are applied."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from marketarchive.items import MAX_EXPONENT, Verdict, is_bounded

LevelText = Callable[[str, str], bytes]
"""Writes a level (price, size) as the venue's hash or checksum wants it."""


@lru_cache(maxsize=65536)
def price_of(text: str) -> Decimal:
    """Return a price exactly; the same few hundred strings come again and again.

    Raises InvalidOperation, also for one that cannot be written out.
    """
    found = Decimal(text)
    if found.is_finite() and not is_bounded(found):
        raise InvalidOperation(f"{text} is beyond 10 to the power of {MAX_EXPONENT}, or its inverse")
    return found


@lru_cache(maxsize=65536)
def _negated(text: str) -> Decimal:
    return price_of(text).copy_negate()  # copy: no rounding to the context's precision


class BookSide:
    """The levels of one side, best price last."""

    __slots__ = ("_joined", "_key", "_separator", "_text", "keys", "levels")

    def __init__(
        self,
        levels: Iterable[tuple[str, str]],
        *,
        is_bid: bool,
        text: LevelText,
        separator: bytes = b"",
    ) -> None:
        """Create a side. levels: (price, size) in any order; text: of one level; separator: in `text()`."""
        self._key = price_of if is_bid else _negated
        self._text = text
        self._separator = separator
        texts = {self._key(price): text(price, size) for price, size in levels}
        self.keys = sorted(texts)
        self.levels = [texts[key] for key in self.keys]
        self._joined: bytes | None = None

    @property
    def best(self) -> Decimal | None:
        """Return the best price; None of an empty side."""
        return abs(self.keys[-1]) if self.keys else None

    def set(self, price: str, size: str) -> None:
        """Apply a delta: `size` at `price` from now on; zero removes the level."""
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
        """Return the text of the level at `price`; None where there is none."""
        key = self._key(price)
        place = bisect_left(self.keys, key)
        return self.levels[place] if place < len(self.keys) and self.keys[place] == key else None

    def cut(self, depth: int) -> None:
        """Drop the levels that are worse than the best `depth`."""
        if len(self.keys) > depth:
            del self.keys[:-depth], self.levels[:-depth]
            self._joined = None

    def is_best(self, price: str) -> bool:
        """Return whether `price` is the best one."""
        return bool(self.keys) and self.keys[-1] == self._key(price)

    def copy(self) -> BookSide:
        """Return a side that changes by itself."""
        made = BookSide((), is_bid=self._key is price_of, text=self._text, separator=self._separator)
        made.keys, made.levels = self.keys.copy(), self.levels.copy()
        return made

    def text(self) -> bytes:
        """Return the texts of all levels, worst price first."""
        if self._joined is None:
            self._joined = self._separator.join(self.levels)
        return self._joined


class KeptBook(NamedTuple):
    """A market's book as it stands after the messages of one connection."""

    market: str
    asset: str | None
    connection: str
    bids: BookSide
    asks: BookSide
    verified: Verdict  # of its last change
    received_at: int  # ns: when the newest message came that said anything of the market
