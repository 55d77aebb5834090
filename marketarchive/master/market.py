"""Merging observations into one market of the master, in any order. Pure: no database.

`markets` has the latest statement of each field, `market_changes` the timelines of the journaled fields. A
market remembers the keys of its last `REMEMBERED` observations, and of the last statement of each field, to
distinguish late observations from new ones. The stated fields of a row of `markets` never depend on the order
of arrival. Neither do the outcome, the journal (as `as_of` reads it) and the kept price snapshots, with one
exception: an observation arrives after more than `REMEMBERED` newer ones and contradicts a value that those
only confirmed. Then the value is restored at the oldest confirmation that is still remembered. Merging all
observations again in order of time (`scrapy rebuild-master`) corrects this too.
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
    """A journal entry: from `key` on, `field` has the value `new`.

    `old` is the value before, as it was known when the entry was written.
    """

    field: str
    key: Key
    old: str | None
    new: str | None


class MergeState:
    """State of one market while observations are merged; a base class.

    Call `merge` for each observation, then `settle`, then store `changed()`, `created_at`, `updated_at`,
    `recent`, `changes` and `prices.rows`.
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
        """Merge one observation into the market's state."""
        raise NotImplementedError

    def settle(self) -> None:
        """Compute the outcome after all merges, journal its changes, and drop keys not needed any more."""
        raise NotImplementedError

    def changed(self) -> dict[str, str | None]:
        """Return column -> canonical text for all columns that may differ from the stored row."""
        raise NotImplementedError

    def _note(self, observation: MarketObservation) -> None:
        """Merge an observation's prices, and remember its key with the fields that it states."""
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
    """State of one market while observations are merged in any order."""

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
        """Start from the market's row.

        row: of table `markets`, None for a new market; recent: key -> bits of remembered observations;
        journal: (field, key, new value) in order of writing, None where no observation is late; prices: the
        price snapshots around those to be merged; keep: which snapshots to keep.
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
        """Return timelines with the present values only, which suffices unless an observation is late."""
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
    """Return the sha256 of a market's content: of its canonical texts by field, without None values."""
    content = {name: text for name in (*CONTENT, "resolution") if (text := texts.get(name)) is not None}
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def recent_of(row: Mapping[str, Any] | None) -> dict[Key, int]:
    """Decode a market's remembered observations, ascending: key -> bits (fields.BITS) of the fields stated.

    row: of table `markets`, None for a new market.
    """
    if row is None:
        return {}
    return {Key.of(at, capture): mask for at, capture, mask in msgspec.json.decode(row["recent"])}


def recent_text(recent: Mapping[Key, int]) -> str:
    """Encode a market's remembered observations for the column `recent`; `recent_of` decodes them.

    recent: key -> bits of the fields stated.
    """
    return msgspec.json.encode(
        [(key.observed_at, key.capture, mask) for key, mask in recent.items()]
    ).decode()


def is_late(recent: Mapping[Key, int], key: Key) -> bool:
    """Return whether an observation at `key` is late: not newer than one that stated a journaled field.

    recent: key -> bits (fields.BITS) of the market's remembered observations.
    """
    return any(mask & JOURNALED_BITS and known >= key for known, mask in recent.items())


def remember(recent: Mapping[Key, int]) -> dict[Key, int]:
    """Return those remembered observations to keep, ascending: the newest, and the last to state each field.

    recent: key -> bits of the fields stated, as is the result.
    """
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
