"""Outcome of a market, merged from the statements of each of its sources. Pure: no database.

A venue states an outcome in two places: its list of markets (`Market` items) and its resolutions
(`Resolution` items). Each is kept whole and apart, in `listed_outcome` and `reported_outcome`: their forms
differ (labels here, payouts there), and one may lag behind the other. The outcome columns of `markets` follow
whichever source last had something new to say (`revise`).
"""

from __future__ import annotations

import json
from typing import NamedTuple

from marketarchive.items import Market, Resolution
from marketarchive.master.fields import FIELDS, encode, resolution

_PROGRESS = (None, "unopened", "active", "closed", "resolved")
_FIRMNESS = (None, "proposed", "disputed", "final")


class Outcome(NamedTuple):
    """One statement of an outcome: canonical texts, None where it has none."""

    status: str | None = None
    stated_resolution: str | None = None
    payouts: str | None = None
    resolution_source: str | None = None
    resolved_at: str | None = None
    result_kind: str | None = None
    resolution_state: str | None = None

    @classmethod
    def of(cls, item: Market | Resolution) -> Outcome:
        """Return what `item` states."""
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

    @classmethod
    def from_text(cls, text: str | None) -> Outcome:
        """Return what `text` wrote; None means no statement."""
        stated = {} if text is None else json.loads(text)
        if "payouts" in stated:
            stated["payouts"] = encode("json", stated["payouts"])
        return cls(**stated)

    @property
    def text(self) -> str:
        """Return the canonical text: a JSON object of what is stated."""
        stated = {name: value for name, value in self._asdict().items() if value is not None}
        if self.payouts is not None:
            stated["payouts"] = json.loads(self.payouts)
        return json.dumps(stated, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @property
    def is_decided(self) -> bool:
        """Return whether a winner or payouts are stated."""
        return self.stated_resolution is not None or self.payouts is not None

    def label(self, outcomes: str | None) -> str | None:
        """Return the winner's label, None on a split; `outcomes` are the market's labels.

        A scalar result names none, though its value be that of a whole share.
        """
        if self.result_kind == "scalar":
            return self.stated_resolution
        return resolution(self.stated_resolution, outcomes, self.payouts)


NOTHING = Outcome()


def revise(present: Outcome, before: Outcome, after: Outcome, outcomes: str | None) -> Outcome:
    """Return the market's outcome when one source changes its statement from `before` to `after`.

    present: the market's outcome so far; outcomes: the market's labels, as far as they are known. A source
    that repeats the present result in its own form, or that merely lags behind, changes nothing; one that
    states another result, states it more finally, or withdraws it (reopened), does.
    """
    if present == before:  # it rests on this source
        return after
    if after.is_decided:
        is_same = _agree(present, after, outcomes)
        is_firmer = _FIRMNESS.index(after.resolution_state) > _FIRMNESS.index(present.resolution_state)
        is_new = is_firmer if is_same else not _agree(before, after, outcomes)
    elif present.is_decided:
        is_new = _agree(present, before, outcomes)  # withdrawn
    else:
        is_new = _PROGRESS.index(after.status) > _PROGRESS.index(present.status)
    return after if is_new else present


def _agree(one: Outcome, other: Outcome, outcomes: str | None) -> bool:
    """Return whether both state the same result, by labels where both have one, else by payouts."""
    if not (one.is_decided and other.is_decided):
        return False
    labels = one.label(outcomes), other.label(outcomes)
    return labels[0] == labels[1] if None not in labels else one.payouts == other.payouts
