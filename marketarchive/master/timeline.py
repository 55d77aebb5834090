"""Putting observations where they belong in time, whatever order they arrive in. Pure: no database.

The value of a field at a moment is that of the last observation up to it that stated the field. A late
observation is put in at its own key; where a newer one had only confirmed the value that the late one
interrupts, that value is put in again at the newer key. Only changes are kept, so the keys of the newest
observations are remembered apart (`markets.recent`) and given here as `stated`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from marketarchive.master.observation import Key, Prices

Keep = Literal["changes", "all"]

DAY_US = 86_400_000_000


class ValueChange(NamedTuple):
    """Change of a value: from `key` on it is `new`; `old` is the value before, as known now."""

    key: Key
    old: str | None
    new: str | None


class Timeline:
    """One field over time: a value and the key from which it holds, ascending; None before the first."""

    def __init__(self, entries: Iterable[tuple[Key, str | None]] = ()) -> None:
        known = dict(sorted(entries, key=lambda entry: entry[0]))  # of entries with one key the last stands
        self.keys = list(known)
        self.values = list(known.values())

    def at(self, key: Key) -> str | None:
        """Return the value at `key`, inclusive."""
        place = bisect_right(self.keys, key)
        return self.values[place - 1] if place else None

    def before(self, key: Key) -> str | None:
        """Return the value just before `key`."""
        place = bisect_left(self.keys, key)
        return self.values[place - 1] if place else None

    @property
    def last(self) -> str | None:
        return self.values[-1] if self.values else None

    def put(self, key: Key, value: str | None) -> ValueChange:
        """Let `value` hold from `key` on, until the next key."""
        step = ValueChange(key, self.at(key), value)
        place = bisect_left(self.keys, key)
        if self.keys[place : place + 1] == [key]:
            self.values[place] = value
        else:
            self.keys.insert(place, key)
            self.values.insert(place, value)
        return step

    def insert(self, key: Key, value: str | None, stated: Sequence[Key]) -> list[ValueChange]:
        """Insert a statement of a field; `stated`: remembered keys that stated this field, ascending.

        Return the changes that follow: none, its own, or its own and the one that restores the newer value.
        Where one message states two values the greater text is kept: the order of arrival must not matter.
        """
        present = self.at(key)
        if present == value or ((key in self.keys or key in stated) and _rank(present) > _rank(value)):
            return []
        steps = [self.put(key, value)]
        following = bisect_right(self.keys, key)
        confirmed = stated[bisect_right(stated, key) :]
        if confirmed and (following == len(self.keys) or confirmed[0] < self.keys[following]):
            steps.append(self.put(confirmed[0], present))
        return steps


class PriceLine:
    """The price snapshots of one market around the moments being written: which rows stand in the table.

    `all` keeps every one; `changes` keeps those that differ from the one before and the first of a UTC day.
    """

    def __init__(self, keep: Keep, rows: Mapping[Key, Prices]) -> None:
        """Start with `rows` of the table.

        They reach from the last one before what will be inserted to the first one after it.
        """
        self.keep = keep
        self.rows = dict(rows)

    def insert(self, key: Key, prices: Prices, stated: Sequence[Key]) -> None:
        """Take in a snapshot; `stated` are the remembered keys of this market's snapshots, ascending."""
        present = self._at(key) if key in self.rows or key in stated else None
        if present is not None and _ranks(present) >= _ranks(prices):
            return
        if self.keep == "all":
            self.rows[key] = prices
            return
        following = min((k for k in (*self.rows, *stated) if k > key), default=None)
        interrupted = None if following is None else self._at(following)
        self._stand(key, prices, max((k for k in self.rows if k < key), default=None))
        if following is not None and interrupted is not None:
            self._stand(following, interrupted, key, prices)

    def _at(self, key: Key) -> Prices | None:
        newest = max((k for k in self.rows if k <= key), default=None)
        return None if newest is None else self.rows[newest]

    def _stand(
        self, key: Key, prices: Prices, before: Key | None, before_prices: Prices | None = None
    ) -> None:
        """Keep the row of an observation, or leave it out as a repetition of the one before."""
        repeated = (
            before is not None
            and (before_prices or self.rows[before]) == prices
            and before.observed_at // DAY_US == key.observed_at // DAY_US
        )
        if repeated:
            self.rows.pop(key, None)
        else:
            self.rows[key] = prices


def _rank(value: str | None) -> tuple[bool, str]:
    return (value is not None, value or "")


def _ranks(prices: Prices) -> list[tuple[bool, str]]:
    return [_rank(price) for price in prices]
