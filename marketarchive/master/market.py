"""One market of the master while observations are merged into it. Pure: no database.

`markets` holds the latest statement of each field, `market_changes` the timelines of the journaled ones. A
market remembers the keys of its last `REMEMBERED` observations and of the last statement of each field: what
is needed to tell late from new. What a row of `markets` holds as stated never depends on the order of
arrival. Its outcome, what the journal says (read by `as_of`) and which price snapshots stand do not either,
unless an observation arrives behind more than `REMEMBERED` newer ones *and* contradicts a value that those
only confirmed: then the value is restored at the oldest confirmation still remembered. Taking the
observations in again in order of time (`scrapy rebuild-master`) makes that exact too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from marketarchive.master.fields import (
    BITS,
    CONTENT,
    DERIVED,
    FIELDS,
    JOURNALED,
    JOURNALED_BITS,
    PRICES_BIT,
    STATEMENTS,
    UNJOURNALED,
    from_column,
    to_column,
)
from marketarchive.master.observation import Key, MarketObservation, Prices
from marketarchive.master.outcome import Standing
from marketarchive.master.timeline import Keep, PriceLine, Timeline, ValueChange

REMEMBERED = 16
BEGINNING = Key(-(2**63), "", 0)


class Change(NamedTuple):
    """A journal entry."""

    field: str
    step: ValueChange


class MarketState:
    """State of a market while observations are merged.

    Give observations to `merge`, then `settle`, then store `row()`, `changes` and `prices.rows`.
    """

    def __init__(
        self,
        platform: str,
        market_id: str,
        row: Mapping[str, Any] | None,
        journal: Iterable[tuple[str, Key, str | None]] | None,
        prices: Mapping[Key, Prices],
        keep: Keep,
    ) -> None:
        """Start from `row` of `markets` (None when new) and `journal`.

        `journal` is (field, key, new) as written; it is needed only for late observations.
        """
        self.platform = platform
        self.market_id = market_id
        self.created_at: int | None = None if row is None else row["created_at"]
        self.updated_at: int | None = None if row is None else row["updated_at"]
        self.recent = recent_of(row)
        self.prices = PriceLine(keep, prices)
        self.changes: list[Change] = []
        self._first: Key | None = None  # the oldest key merged
        self._timelines = self._from_row(row)
        if journal is not None:
            entries: dict[str, list[tuple[Key, str | None]]] = {}
            for name, key, new in journal:
                entries.setdefault(name, []).append((key, new))
            self._timelines |= {name: Timeline(entries.get(name, ())) for name in (*JOURNALED, "resolution")}

    def _from_row(self, row: Mapping[str, Any] | None) -> dict[str, Timeline]:
        """Return timelines that know the present only: enough for observations that are not late."""
        timelines = {name: Timeline() for name in (*FIELDS, "resolution")}
        if row is not None:
            timelines["resolution"].put(BEGINNING, row["resolution"])
            for name in DERIVED:
                timelines[name].put(BEGINNING, from_column(FIELDS[name], row[name]))
            for name, kind in FIELDS.items():
                if name in DERIVED:
                    continue
                newest = max((key for key, mask in self.recent.items() if mask & BITS[name]), default=None)
                if newest is not None:
                    timelines[name].put(newest, from_column(kind, row[name]))
        return timelines

    def merge(self, observation: MarketObservation) -> None:
        key = observation.key
        self._first = key if self._first is None else min(key, self._first)
        self.created_at = min(at for at in (key.observed_at, self.created_at) if at is not None)
        self.updated_at = max(at for at in (key.observed_at, self.updated_at) if at is not None)
        for name, value in observation.values.items():
            if self._timelines[name].at(key) == value:
                continue  # most observations repeat the one before
            steps = self._timelines[name].insert(key, value, self._stated(BITS[name]))
            if name not in UNJOURNALED:
                self.changes += [Change(name, step) for step in steps]
        if observation.prices is not None:
            self.prices.insert(key, observation.prices, self._stated(PRICES_BIT))
        self.recent[key] = self.recent.get(key, 0) | observation.mask

    def settle(self) -> None:
        """Journal what the merged observations mean for the outcome; drop keys no longer needed."""
        outcomes = self._timelines["outcomes"]
        statements = [self._timelines[name] for name in STATEMENTS]
        first = self._first or BEGINNING
        present = Standing.of({name: self._timelines[name].before(first) for name in DERIVED})
        for key in sorted({key for line in (outcomes, *statements) for key in line.keys if key >= first}):
            labels = outcomes.at(key)
            for line in statements:
                before, after = line.before(key), line.at(key)
                if before != after:
                    present = present.revised(before, after, labels, key.observed_at)
            self._put_outcome(key, present.columns(labels))
        self.changes.sort(key=lambda change: change.step.key)
        self.recent = _remember(self.recent)

    def _put_outcome(self, key: Key, columns: Mapping[str, str | None]) -> None:
        for name, value in columns.items():
            if value != self._timelines[name].at(key):
                self.changes.append(Change(name, self._timelines[name].put(key, value)))

    def _stated(self, bit: int) -> list[Key]:
        return sorted(key for key, mask in self.recent.items() if mask & bit)

    def row(self) -> dict[str, Any]:
        """Return the columns of `markets`, without the surrogate id."""
        texts = {name: self._timelines[name].last for name in FIELDS}
        winner = self._timelines["resolution"].last
        content = [*(texts[name] for name in CONTENT), winner]
        return {
            "platform": self.platform,
            "market_id": self.market_id,
            **{name: to_column(kind, texts[name]) for name, kind in FIELDS.items()},
            "resolution": winner,
            "content_hash": hashlib.sha256(json.dumps(content).encode()).hexdigest(),
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "recent": json.dumps(
                [[key.observed_at, key.capture, mask] for key, mask in self.recent.items()],
                separators=(",", ":"),
            ),
        }


def recent_of(row: Mapping[str, Any] | None) -> dict[Key, int]:
    """Return a row's remembered observations: key -> bits of the fields it stated."""
    return (
        {} if row is None else {Key.of(at, capture): mask for at, capture, mask in json.loads(row["recent"])}
    )


def is_late(row: Mapping[str, Any] | None, key: Key) -> bool:
    """Return whether an observation at `key` is no newer than one that already stated a journaled field."""
    return any(mask & JOURNALED_BITS and known >= key for known, mask in recent_of(row).items())


def _remember(recent: Mapping[Key, int]) -> dict[Key, int]:
    """Return the keys to keep, ascending: the newest, and any that was the last to state some field."""
    kept: dict[Key, int] = {}
    covered = 0
    for key in sorted(recent, reverse=True):
        if len(kept) < REMEMBERED or recent[key] & ~covered:
            kept[key] = recent[key]
        covered |= recent[key]
    return dict(sorted(kept.items()))
