"""One market of the master while observations are merged into it. Pure: no database.

`markets` holds the latest statement of each field, `market_changes` the timelines of the journaled ones. A
market remembers the keys of its last `REMEMBERED` observations and of the last statement of each field: what
is needed to distinguish late from new. What a row of `markets` holds as stated never depends on the order of
arrival. Its outcome, what the journal says (read by `as_of`) and which price snapshots stand do not either,
unless an observation arrives behind more than `REMEMBERED` newer ones *and* contradicts a value that those
only confirmed: then the value is restored at the oldest confirmation still remembered. Taking the
observations in again in order of time (`scrapy rebuild-master`) makes that exact too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

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
)
from marketarchive.master.observation import Key, MarketObservation, Prices
from marketarchive.master.outcome import Standing
from marketarchive.master.timeline import Keep, PriceLine, Timeline

REMEMBERED = 16
BEGINNING = Key(-(2**63), "", 0)


class Change(NamedTuple):
    """A journal entry: from `key` on `field` is `new`; `old` is the value before, as known then."""

    field: str
    key: Key
    old: str | None
    new: str | None


class MergeState:
    """State of a market while observations are merged.

    Give observations to `merge`, then `settle`, then store `changed()`, `created_at`, `updated_at`, `recent`,
    `changes` and `prices.rows`.
    """

    def __init__(
        self,
        platform: str,
        market_id: str,
        row: Mapping[str, Any] | None,
        recent: dict[Key, int],
        prices: Mapping[Key, Prices],
        keep: Keep,
    ) -> None:
        self.platform = platform
        self.market_id = market_id
        self.created_at: int | None = None if row is None else row["created_at"]
        self.updated_at: int | None = None if row is None else row["updated_at"]
        self.recent = recent
        self.prices = PriceLine(keep, prices)
        self.changes: list[Change] = []

    def merge(self, observation: MarketObservation) -> None:
        """Take in an observation."""
        raise NotImplementedError

    def settle(self) -> None:
        """Journal what the merged observations mean for the outcome; drop keys no longer needed."""
        raise NotImplementedError

    def changed(self) -> dict[str, str | None]:
        """Return name -> canonical text of fields, resolution and hash that differ from the row; or all."""
        raise NotImplementedError

    def _note(self, observation: MarketObservation) -> None:
        """Take in an observation's prices and its place in time."""
        key = observation.key
        at = key.observed_at
        self.created_at = at if self.created_at is None else min(at, self.created_at)
        self.updated_at = at if self.updated_at is None else max(at, self.updated_at)
        if observation.prices is not None:
            self.prices.insert(key, observation.prices, self._stated(PRICES_BIT))
        self.recent[key] = self.recent.get(key, 0) | observation.mask

    def _stated(self, bit: int) -> list[Key]:
        return sorted(key for key, mask in self.recent.items() if mask & bit)


class MarketState(MergeState):
    """State of a market while observations are merged in any order."""

    def __init__(
        self,
        platform: str,
        market_id: str,
        row: Mapping[str, Any] | None,
        recent: dict[Key, int],
        journal: Iterable[tuple[str, Key, str | None]] | None,
        prices: Mapping[Key, Prices],
        keep: Keep,
    ) -> None:
        """Start from `row` of `markets` (None when new), its remembered keys and `journal`.

        `journal` is (field, key, new) as written; it is needed only for late observations.
        """
        super().__init__(platform, market_id, row, recent, prices, keep)
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
        for name, value in observation.values.items():
            if self._timelines[name].at(key) == value:
                continue  # most observations repeat the one before
            steps = self._timelines[name].insert(key, value, self._stated(BITS[name]))
            if name not in UNJOURNALED:
                self.changes += [Change(name, *step) for step in steps]
        self._note(observation)

    def settle(self) -> None:
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
        self.changes.sort(key=lambda change: change.key)
        self.recent = remember(self.recent)

    def _put_outcome(self, key: Key, columns: Mapping[str, str | None]) -> None:
        for name, value in columns.items():
            if value != self._timelines[name].at(key):
                self.changes.append(Change(name, *self._timelines[name].put(key, value)))

    def changed(self) -> dict[str, str | None]:
        texts = {name: self._timelines[name].last for name in (*FIELDS, "resolution")}
        return {**texts, "content_hash": content_hash(texts)}


def content_hash(texts: Mapping[str, str | None]) -> str:
    """Return the digest of what a market is said to be: of canonical texts by name, nulls left out."""
    content = {name: text for name in (*CONTENT, "resolution") if (text := texts.get(name)) is not None}
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def recent_of(row: Mapping[str, Any] | None) -> dict[Key, int]:
    """Return a row's remembered observations, ascending: key -> bits of the fields it stated."""
    if row is None:
        return {}
    return {Key.of(at, capture): mask for at, capture, mask in msgspec.json.decode(row["recent"])}


def recent_text(recent: Mapping[Key, int]) -> str:
    """Encode the keys of the newest observations, with the masks of their fields.

    `recent_of` decodes the text.
    """
    return msgspec.json.encode(
        [(key.observed_at, key.capture, mask) for key, mask in recent.items()]
    ).decode()


def is_late(recent: Mapping[Key, int], key: Key) -> bool:
    """Return whether an observation at `key` is no newer than one that already stated a journaled field."""
    return any(mask & JOURNALED_BITS and known >= key for known, mask in recent.items())


def remember(recent: Mapping[Key, int]) -> dict[Key, int]:
    """Return the keys to keep, ascending: the newest, and any that was the last to state some field."""
    newest = sorted(recent, reverse=True)
    kept = {key: recent[key] for key in newest[:REMEMBERED]}
    covered = 0
    for mask in kept.values():
        covered |= mask
    for key in newest[REMEMBERED:]:
        if recent[key] & ~covered:
            kept[key] = recent[key]
        covered |= recent[key]
    return dict(reversed(kept.items()))
