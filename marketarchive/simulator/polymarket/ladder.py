"""One market's book while it changes, with the levels of both tokens as the texts that are sent and hashed.

The second token mirrors the first: its bids are the first token's asks at one dollar minus the price, in the
same order. So each level is stored once as a number and twice as text.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from functools import lru_cache

from marketarchive.simulator.polymarket.levels import SimTop, TargetBook
from marketarchive.simulator.polymarket.markets import SimMarket

MIN_ORDER_SIZE = "5"


class Ladder:
    """A book that changes level by level. Levels are prices in ticks, sizes hundredths of a share."""

    def __init__(self, market: SimMarket, target: TargetBook, last: str) -> None:
        self._market = market
        self.last = last
        self.reset(target)

    def reset(self, target: TargetBook) -> None:
        """Replace all levels, and the tick size, by those of `target`."""
        self.ticks = target.ticks
        self._bids = _LadderSide(target.bids, target.ticks, is_bid=True)
        self._asks = _LadderSide(target.asks, target.ticks, is_bid=False)

    def copy(self) -> Ladder:
        other = object.__new__(Ladder)
        other._market, other.last, other.ticks = self._market, self.last, self.ticks
        other._bids, other._asks = self._bids.copy(), self._asks.copy()
        return other

    @property
    def top(self) -> SimTop:
        return SimTop(self.ticks, self._bids.best, self._asks.best)

    def size(self, level: int, *, is_bid: bool) -> int:
        return (self._bids if is_bid else self._asks).sizes.get(level, 0)

    def put(self, level: int, size: int, *, is_bid: bool) -> None:
        """Set the size at `level` (ticks) in hundredths of a share; 0 removes the level."""
        (self._bids if is_bid else self._asks).put(level, size)

    def differences(self, target: TargetBook) -> list[tuple[bool, int, int]]:
        """Return (is_bid, level, size) of each level that differs from `target`.

        Removals come first, best prices first.
        """
        gone, kept = [], []
        for is_bid, side, wanted in ((True, self._bids, target.bids), (False, self._asks, target.asks)):
            gone += [(is_bid, level, 0) for level in side.levels_best_first() if level not in wanted]
            kept += [(is_bid, level, size) for level, size in wanted.items() if side.sizes.get(level) != size]
        return gone + kept

    # --- texts -------------------------------------------------------------------------------------------

    def sides(self, token: int) -> tuple[bytes, bytes]:
        """Return (bids, asks) of a token as JSON text without brackets. token: 0 or 1."""
        if token == 0:
            return self._bids.text(0), self._asks.text(0)
        return self._asks.text(1), self._bids.text(1)

    def _head(self, token: int, stamp: int) -> bytes:
        market = self._market
        return (
            f'{{"market":"{market.condition_id}","asset_id":"{market.tokens[token]}",'
            f'"timestamp":"{stamp}","hash":"'
        ).encode()

    def _tail(self) -> bytes:
        return (
            f'],"min_order_size":"{MIN_ORDER_SIZE}","tick_size":"{tick_text(self.ticks)}",'
            f'"neg_risk":{"true" if self._market.neg_risk else "false"},"last_trade_price":"{self.last}"}}'
        ).encode()

    def hash(self, token: int, stamp: int) -> str:
        """Return the sha1 of the book in the JSON of /book with the hash left empty.

        token: 0 or 1; stamp: time of the book, Unix ms.
        """
        bids, asks = self.sides(token)
        text = b"".join((self._head(token, stamp), b'","bids":[', bids, b'],"asks":[', asks, self._tail()))
        return hashlib.sha1(text, usedforsecurity=False).hexdigest()

    def body(self, token: int, stamp: int) -> bytes:
        """Return the book of a token in the JSON of /book. token: 0 or 1; stamp: its time, Unix ms."""
        bids, asks = self.sides(token)
        head, rest = (
            self._head(token, stamp),
            b"".join((b'","bids":[', bids, b'],"asks":[', asks, self._tail())),
        )
        found = hashlib.sha1(head + rest, usedforsecurity=False).hexdigest().encode()
        return head + found + rest


class _LadderSide:
    """One side of a book, best price last, with the text of each level for the token and for its mirror."""

    def __init__(self, sizes: dict[int, int], ticks: int, *, is_bid: bool) -> None:
        self._ticks = ticks
        self._sign = 1 if is_bid else -1
        self.sizes = dict(sizes)
        self._keys = sorted(self._sign * level for level in sizes)
        levels = [self._sign * key for key in self._keys]
        names, texts = price_names(ticks), [size_text(sizes[level]) for level in levels]
        self._texts = (
            [_level(names[level], text) for level, text in zip(levels, texts, strict=True)],
            [_level(names[ticks - level], text) for level, text in zip(levels, texts, strict=True)],
        )
        self._joined: list[bytes | None] = [None, None]

    def copy(self) -> _LadderSide:
        other = object.__new__(_LadderSide)
        other._ticks, other._sign = self._ticks, self._sign
        other.sizes, other._keys = dict(self.sizes), list(self._keys)
        other._texts = (list(self._texts[0]), list(self._texts[1]))
        other._joined = list(self._joined)
        return other

    @property
    def best(self) -> int | None:
        return self._sign * self._keys[-1] if self._keys else None

    def levels_best_first(self) -> list[int]:
        return [self._sign * key for key in reversed(self._keys)]

    def put(self, level: int, size: int) -> None:
        key = self._sign * level
        place = bisect_left(self._keys, key)
        is_there = place < len(self._keys) and self._keys[place] == key
        self._joined = [None, None]
        if not size:
            if is_there:
                del self.sizes[level], self._keys[place], self._texts[0][place], self._texts[1][place]
            return
        self.sizes[level] = size
        names, text = price_names(self._ticks), size_text(size)
        made = _level(names[level], text), _level(names[self._ticks - level], text)
        if is_there:
            self._texts[0][place], self._texts[1][place] = made
            return
        self._keys.insert(place, key)
        self._texts[0].insert(place, made[0])
        self._texts[1].insert(place, made[1])

    def text(self, mirrored: int) -> bytes:
        """Return the JSON text of the side's levels, without brackets.

        mirrored: 0 = as the first token's, 1 = as the second token's side that mirrors it.
        """
        joined = self._joined[mirrored]
        if joined is None:
            joined = self._joined[mirrored] = b",".join(self._texts[mirrored])
        return joined


def _level(price: str, size: str) -> bytes:
    return b'{"price":"%b","size":"%b"}' % (price.encode(), size.encode())


def size_text(hundredths: int) -> str:
    """Return a size (hundredths of a share) in the venue's format: "374.34", "110.5", "60"; "0" for none."""
    whole, rest = divmod(hundredths, 100)
    return f"{whole}.{rest:02d}".rstrip("0") if rest else str(whole)


def tick_text(ticks: int) -> str:
    """Return a tick size in the venue's format: "0.01" for 100 ticks per dollar."""
    return f"{1 / ticks:g}"


@lru_cache(maxsize=8)
def price_names(ticks: int) -> list[str]:
    """Return the text of each price for a number of ticks per dollar: "0.1", "0.49", "0.999"."""
    return [f"{level / ticks:.3f}".rstrip("0") for level in range(ticks)]
