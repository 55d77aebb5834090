"""Pairs of rounds, and what each venue states about its round; pure functions.

A pair is two rounds of one asset that are open from the same second until the same second; titles do not
count. They are never the same contract: each has a strike and a settlement of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marketarchive.field_docs import FieldDoc
from marketarchive.research.labels.label import Label
from marketarchive.times import SECOND

FIRST, SECOND_VENUE = "polymarket", "kalshi"
RELATION = "overlap"
"""Relation of the two rounds: one can be won and the other lost, as they settle on different instruments."""
POLARITY = "same"
"""Polarity of the two rounds: `Up` and `yes` both win when the price rises."""
SIDES = {FIRST: "Up", SECOND_VENUE: "yes"}
RISEN = frozenset(SIDES.values())

_ROUND = {
    "market": FieldDoc("the round", "slug; ticker", type="string"),
    "side": FieldDoc("the outcome that wins when the price rises", type="string"),
    "rule": FieldDoc("the rule in force", type="string"),
    "instrument": FieldDoc("what the rule takes prices of", "", "not stated", type="string"),
    "strike": FieldDoc("price at the start", "dollars", "not known", type="decimal128(38, 18)"),
    "settlement": FieldDoc("price at the end", "dollars", "not known", type="decimal128(38, 18)"),
    "outcome": FieldDoc("the official outcome, in the venue's words", "", "there is none yet", type="string"),
    "verdict": FieldDoc("how far it is proven", type="string"),
}
"""Columns of either round, without the venue: values of its label."""

FIELDS: Mapping[str, FieldDoc] = {
    "asset": FieldDoc("the asset", "`BTC`", type="string"),
    "duration": FieldDoc("length of the window", "`15m`", type="string"),
    "start_timestamp": FieldDoc("start of the window", "Unix seconds", type="int64"),
    "end_timestamp": FieldDoc("its end", "Unix seconds", type="int64"),
    "relation": FieldDoc(
        "`overlap`, always: either can be won and the other lost, since they settle on means of different "
        "instruments. It is never an identity",
        type="string",
    ),
    "polarity": FieldDoc("`same`: Up and yes both win when the price rises", type="string"),
    **{f"{venue}_{name}": each for venue in SIDES for name, each in _ROUND.items()},
    "kalshi_flag": FieldDoc(
        "a peculiarity of Kalshi's round, in one word", "", "there is none", type="string"
    ),
    "strike_difference": FieldDoc(
        "Kalshi's strike minus Polymarket's", "dollars", "either is not known", type="decimal128(38, 18)"
    ),
    "settlement_difference": FieldDoc(
        "Kalshi's settlement minus Polymarket's", "dollars", "either is not known", type="decimal128(38, 18)"
    ),
    "agree": FieldDoc(
        "true: both have the same outcome", "", "either has no outcome, or is split or scalar", type="bool"
    ),
}
"""Columns of a window; docs/KALSHI_COLLECTOR.md lists them."""
COLUMNS = tuple(FIELDS)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rounds of the same asset and window at two venues, with their labels."""

    first: Label
    second: Label

    @property
    def agree(self) -> bool | None:
        """Return whether both rounds have the same outcome; None unless each has one of its two outcomes."""
        ends = self.first.resolved_outcome, self.second.resolved_outcome
        if not all(each in ("Up", "Down", "yes", "no") for each in ends):
            return None
        return (ends[0] in RISEN) == (ends[1] in RISEN)

    def row(self) -> dict[str, Any]:
        """Return the row of the pair, column -> value; times are Unix seconds, prices exact dollars."""
        one, other = self.first, self.second
        return {
            "asset": one.asset,
            "duration": one.duration,
            "start_timestamp": one.start_ns // SECOND,
            "end_timestamp": one.end_ns // SECOND,
            "relation": RELATION,
            "polarity": POLARITY,
            **_of_venue(one),
            **_of_venue(other),
            "kalshi_flag": other.flag,
            "strike_difference": _difference(one.strike, other.strike),
            "settlement_difference": _difference(one.settlement, other.settlement),
            "agree": self.agree,
        }


def pairs(labels: Iterable[Label]) -> list[Pair]:
    """Return the pairs among labelled rounds, sorted by start and asset."""
    by_window: dict[str, dict[tuple[str, int, int], Label]] = {venue: {} for venue in SIDES}
    for each in labels:
        if each.platform in by_window:
            by_window[each.platform][each.asset, each.start_ns, each.end_ns] = each
    first, second = by_window[FIRST], by_window[SECOND_VENUE]
    shared = sorted(first.keys() & second.keys(), key=lambda key: (key[1], key[0]))
    return [Pair(first[key], second[key]) for key in shared]


def rows(found: Sequence[Pair]) -> list[dict[str, Any]]:
    """Return the row of each pair as column -> value, in the order of COLUMNS."""
    made = (pair.row() for pair in found)
    return [{name: row[name] for name in COLUMNS} for row in made]


def _of_venue(each: Label) -> dict[str, Any]:
    return {
        f"{each.platform}_market": each.market_id,
        f"{each.platform}_side": SIDES[each.platform],
        f"{each.platform}_rule": each.rule,
        f"{each.platform}_instrument": each.instrument,
        f"{each.platform}_strike": each.strike,
        f"{each.platform}_settlement": each.settlement,
        f"{each.platform}_outcome": each.resolved_outcome,
        f"{each.platform}_verdict": each.verdict,
    }


def _difference(one: Any, other: Any) -> Any:
    return None if one is None or other is None else other - one
