"""Merging observations that are newer than all earlier ones, as nearly all are, into one market. Pure.

The result is the same as that of `market.MarketState`, which merges observations in any order. Here the
newest statement of a field is always the last, so that no timelines are needed, and unstated fields are not
even read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marketarchive.master.fields import CONTENT, DERIVED, FIELDS, STATEMENTS, UNJOURNALED, from_column
from marketarchive.master.market import Change, MergeState, content_hash, remember
from marketarchive.master.observation import Key, MarketObservation, Prices
from marketarchive.master.outcome import Standing
from marketarchive.master.timeline import Keep

_OF_OUTCOME = frozenset({"outcomes", *STATEMENTS})
_IN_HASH = frozenset({*CONTENT, "resolution"})


def is_in_order(recent: Mapping[Key, int], observations: Sequence[MarketObservation]) -> bool:
    """Return whether observations of a market can be merged by `InOrderState`.

    True if all are newer than those in `recent`, and no two of them state fields at the same key. recent: key
    -> bits of the market's remembered observations; observations: ascending by key.
    """
    if recent and observations[0].key <= max(recent):
        return False
    stating = [observation.key for observation in observations if observation.values]
    return len(stating) == len(set(stating))


class InOrderState(MergeState):
    """State of a market while observations for which `is_in_order` is True are merged, in order."""

    def __init__(
        self,
        platform: str,
        market_id: str,
        row: Mapping[str, Any] | None,
        recent: dict[Key, int],
        prices: Mapping[Key, Prices],
        keep: Keep,
    ) -> None:
        """Start from the market's row.

        row: of table `markets`, None for a new market; recent: key -> bits of remembered observations;
        prices: the price snapshots around those to be merged; keep: which snapshots to keep.
        """
        super().__init__(platform, market_id, row, recent, prices, keep)
        self._row = row
        self._texts: dict[str, str | None] = {}  # fields that differ from the row

    def merge(self, observation: MarketObservation) -> None:
        key = observation.key
        before: dict[str, str | None] = {}
        present = self._present
        for name, value in observation.values.items():
            old = present(name)
            if old == value:
                continue  # most observations repeat the one before
            self._put(name, old, value, key)
            if name in _OF_OUTCOME:
                before[name] = old
        if before:
            self._revise(key, before)
        self._note(observation)

    def settle(self) -> None:
        self.recent = remember(self.recent)

    def changed(self) -> dict[str, str | None]:
        if self._row is not None and not _IN_HASH & self._texts.keys():
            return self._texts
        content = self._texts
        if self._row is not None:
            content = {name: self._present(name) for name in _IN_HASH}
        return {**self._texts, "content_hash": content_hash(content)}

    def _present(self, name: str) -> str | None:
        if name in self._texts:
            return self._texts[name]
        return None if self._row is None else from_column(FIELDS.get(name, "text"), self._row[name])

    def _put(self, name: str, old: str | None, value: str | None, key: Key) -> None:
        self._texts[name] = value
        if name not in UNJOURNALED:
            self.changes.append(Change(name, key, old, value))

    def _revise(self, key: Key, before: Mapping[str, str | None]) -> None:
        """Compute the market's outcome again after a change at `key`.

        before: previous texts of the changed fields among outcome statements and labels.
        """
        labels = self._present("outcomes")
        standing = Standing.of({name: self._present(name) for name in DERIVED})
        for name in STATEMENTS:
            if name in before:
                standing = standing.revised(before[name], self._present(name), labels, key.observed_at)
        for name, value in standing.columns(labels).items():
            if (old := self._present(name)) != value:
                self._put(name, old, value, key)
