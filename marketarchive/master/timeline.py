"""Timelines: the values of a field over time, from observations in any order. Pure: no database.

The value of a field at a moment is that of the last observation up to it that stated the field. A late
observation is inserted at its own key. If a newer observation had only confirmed the value that the late one
interrupts, that value is inserted again at the newer key. Timelines keep changes only, so the keys of the
newest observations are remembered elsewhere (`markets.recent`) and passed to `insert` as `stated`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from marketarchive.master.observation import Key, Prices

Keep = Literal["changes", "all"]

DAY_US = 86_400_000_000


class ValueChange(NamedTuple):
    """A change of a field: from `key` on its value is `new`; `old` is the value before, as known now."""

    key: Key
    old: str | None
    new: str | None


class Timeline:
    """Values of one field over time: `values[i]` is in force from `keys[i]` on; None before the first key."""

    def __init__(self, entries: Iterable[tuple[Key, str | None]] = ()) -> None:
        known = dict(sorted(entries, key=lambda entry: entry[0]))  # of entries with one key the last stands
        self.keys = list(known)
        self.values = list(known.values())

    def at(self, key: Key) -> str | None:
        """Return the value in force at `key`, a change at `key` included."""
        place = bisect_right(self.keys, key)
        return self.values[place - 1] if place else None

    def before(self, key: Key) -> str | None:
        """Return the value in force just before `key`."""
        place = bisect_left(self.keys, key)
        return self.values[place - 1] if place else None

    @property
    def last(self) -> str | None:
        return self.values[-1] if self.values else None

    def put(self, key: Key, value: str | None) -> ValueChange:
        """Set the value from `key` on, up to the next key of the timeline; return the change."""
        step = ValueChange(key, self.at(key), value)
        place = bisect_left(self.keys, key)
        if self.keys[place : place + 1] == [key]:
            self.values[place] = value
        else:
            self.keys.insert(place, key)
            self.values.insert(place, value)
        return step

    def insert(self, key: Key, value: str | None, stated: Sequence[Key]) -> list[ValueChange]:
        """Insert an observation of the field, late or not; return the changes that follow.

        stated: remembered keys of observations that stated this field, ascending. The changes are none, this
        one, or this one and another that restores the value which newer observations confirmed. If one
        message states two values, the greater text is kept, so that the order of arrival does not matter.
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
    """The kept price snapshots (`rows`) of one market around the moments that are written.

    keep: `all` keeps every snapshot; `changes` keeps those that differ from the one before, and the first of
    each UTC day.
    """

    def __init__(self, keep: Keep, rows: Mapping[Key, Prices]) -> None:
        """Start with the stored snapshots in `rows`.

        They must reach from the last one before the snapshots to be inserted to the first one after them.
        """
        self.keep = keep
        self.rows = dict(rows)

    def insert(self, key: Key, prices: Prices, stated: Sequence[Key]) -> None:
        """Insert a snapshot, late or not; stated: remembered keys of this market's snapshots, ascending."""
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
        """Keep a snapshot's row, or drop it if it repeats the one before on the same UTC day.

        before: key of the row before, None without any; before_prices: its prices if it is not in `rows`.
        """
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
