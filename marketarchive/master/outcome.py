"""Outcome of a market, merged from the statements of its two sources. Pure: no database.

A venue states an outcome in its list of markets (`Market` items) and in its resolutions (`Resolution` items).
Each statement is kept whole, in `listed_outcome` and `reported_outcome`: their forms differ (labels or
payouts), and one may lag behind the other. The outcome columns of `markets` follow the source whose statement
last changed in substance (`revise`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple, Self

from marketarchive.items import Market, Resolution
from marketarchive.master.fields import FIELDS, OUTCOME, encode, iso_us, resolution

REOPENED = "reopened"
"""Resolution state of a market whose result was withdrawn, until a source states another."""
ROUNDING = Decimal("0.000001")
"""Dollars by which payouts of an equal split may differ: venues state thirds of a dollar in millionths."""

_PROGRESS = (None, "unopened", "active", "closed", "resolved")
_STATES = (None, "proposed", "disputed", "final")


class Outcome(NamedTuple):
    """One source's statement of a market's outcome, as canonical texts.

    A field is None where it is not stated.
    """

    status: str | None = None
    stated_resolution: str | None = None
    payouts: str | None = None
    resolution_source: str | None = None
    resolved_at: str | None = None
    result_kind: str | None = None
    resolution_state: str | None = None

    @classmethod
    def of(cls, item: Market | Resolution) -> Outcome:
        """Return the outcome that an item states."""
        stated = {
            "status": item.status,
            "stated_resolution": item.resolution,
            "payouts": item.payouts,
            "resolution_source": item.resolution_source,
            "resolved_at": item.resolved_at,
            "result_kind": item.result_kind,
            "resolution_state": item.resolution_state,
        }
        return cls(
            **{name: encode(FIELDS[name], value) for name, value in stated.items() if value is not None}
        )

    @staticmethod
    @lru_cache(4096)  # most of thousands of open markets state the same
    def from_text(text: str | None) -> Outcome:
        """Decode an outcome from the JSON of its property `text`; None means no statement."""
        stated = {} if text is None else json.loads(text)
        if "payouts" in stated:
            stated["payouts"] = encode("json", stated["payouts"])
        return Outcome(**stated)

    @property
    def text(self) -> str:
        """Return the canonical text of the statement: a JSON object of its fields that are not None."""
        stated = {name: value for name, value in self._asdict().items() if value is not None}
        if self.payouts is not None:
            stated["payouts"] = json.loads(self.payouts)
        return json.dumps(stated, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @property
    def is_decided(self) -> bool:
        """Return whether the statement has a result: a winner, payouts, or that the market is void."""
        return self.stated_resolution is not None or self.payouts is not None or self.result_kind == "void"

    def label(self, outcomes: str | None) -> str | None:
        """Return the label of the winning outcome; None on a split, or while it is not known.

        outcomes: JSON list of the market's labels, None if not known. A scalar result has no winner, even if
        one outcome is paid a whole dollar.
        """
        if self.result_kind in ("scalar", "void"):
            return self.stated_resolution
        return resolution(self.stated_resolution, outcomes, self.payouts)

    def kind(self, outcomes: str | None) -> str | None:
        """Return the kind of the result: yes, no, label, split, scalar or void.

        outcomes: JSON list of the market's labels, None if not known. `label` is a winner that is named
        neither yes nor no. None while there is no result, or only payouts of unknown labels.
        """
        if not self.is_decided:
            return None
        if self.result_kind in ("scalar", "void"):
            return self.result_kind
        if (winner := self.label(outcomes)) is not None:
            return winner.lower() if winner.lower() in ("yes", "no") else "label"
        try:
            paid = [Decimal(text) for text in json.loads(self.payouts or "[]")]
        except InvalidOperation:
            return None
        if not any(paid):
            return "void"
        if max(paid) - min(paid) <= ROUNDING:
            return "split"
        return None if max(paid) == 1 else "scalar"


NOTHING = Outcome()


class Standing(NamedTuple):
    """The outcome in force for a market, and when a result was last overturned (ISO time, or None)."""

    outcome: Outcome = NOTHING
    reopened_at: str | None = None

    @classmethod
    def of(cls, columns: Mapping[str, str | None]) -> Self:
        """Decode the outcome in force from the columns of `markets` that the method `columns` made."""
        outcome = Outcome(*(columns[name] for name in OUTCOME))
        if outcome.resolution_state == REOPENED:  # written by `columns`, stated by no source
            outcome = outcome._replace(resolution_state=None)
        return cls(outcome, columns["reopened_at"])

    def revised(self, before: str | None, after: str | None, outcomes: str | None, at: int) -> Standing:
        """Return the outcome in force after one source changes its statement from `before` to `after`.

        before, after: canonical texts of outcomes, None for no statement; outcomes: JSON list of the market's
        labels, None if not known; at: receipt of the change, microseconds since the Unix epoch.
        """
        outcome = revise(self.outcome, Outcome.from_text(before), Outcome.from_text(after), outcomes)
        is_overturned = _overturns(self.outcome, outcome, outcomes)
        return Standing(outcome, iso_us(at) if is_overturned else self.reopened_at)

    def columns(self, outcomes: str | None) -> dict[str, str | None]:
        """Return column -> canonical text for the columns fields.DERIVED and `resolution`.

        outcomes: JSON list of the market's labels, None if not known.
        """
        found = self.outcome._asdict()
        if self.reopened_at is not None and not self.outcome.is_decided:
            found["resolution_state"] = self.outcome.resolution_state or REOPENED
        return found | {
            "resolution_kind": self.outcome.kind(outcomes),
            "reopened_at": self.reopened_at,
            "resolution": self.outcome.label(outcomes),
        }


def revise(present: Outcome, before: Outcome, after: Outcome, outcomes: str | None) -> Outcome:
    """Return a market's outcome after one source changes its statement from `before` to `after`.

    present: the market's outcome so far; outcomes: JSON list of the market's labels, None if not known. A
    source that repeats the present result in another form, or lags behind, changes nothing. A source that
    states another result, states it as more final, or withdraws it (reopened) changes the outcome.
    """
    if present == before:  # the present outcome is this source's
        return after
    if after.is_decided:
        is_same = _agree(present, after, outcomes)
        is_firmer = _STATES.index(after.resolution_state) > _STATES.index(present.resolution_state)
        is_new = is_firmer if is_same else not _agree(before, after, outcomes)
    elif present.is_decided:
        is_new = _agree(present, before, outcomes)  # withdrawn
    else:
        is_new = _progress(after) > _progress(present)
    return after if is_new else present


def _overturns(present: Outcome, after: Outcome, outcomes: str | None) -> bool:
    """Return whether the statement `after` withdraws the present result, or certainly states another one."""
    if not (present.is_decided and after.is_decided):
        return present.is_decided
    labels = present.label(outcomes), after.label(outcomes)
    one, other = labels if None not in labels else (present.payouts, after.payouts)
    return None not in (one, other) and one != other


def _agree(one: Outcome, other: Outcome, outcomes: str | None) -> bool:
    """Return whether two statements have the same result: by labels where both have one, else by payouts."""
    if not (one.is_decided and other.is_decided):
        return False
    labels = one.label(outcomes), other.label(outcomes)
    return labels[0] == labels[1] if None not in labels else one.payouts == other.payouts


def _progress(outcome: Outcome) -> tuple[int, int]:
    """Return a sort key of how far a market without a result has come: (status, resolution state)."""
    return _PROGRESS.index(outcome.status), _STATES.index(outcome.resolution_state)
