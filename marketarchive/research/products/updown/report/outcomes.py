"""Outcomes of rounds: counts of verdicts, and the rounds that differ or are not proven; pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from marketarchive.research.labels.label import VERDICTS, Label
from marketarchive.times import iso
from marketarchive.venues.polymarket.updown import DURATIONS

LISTED = 300
"""Most rounds that the report lists; the labels' files have all."""
PENDING = "pending"
SHOWN = (*VERDICTS, PENDING)
"""Verdicts in the order in which a report shows them: the best first, PENDING last."""


def shown_verdict(label: Label, until_ns: int) -> str:
    """Return the verdict of a round as a report shows it; until_ns: end of the report's time.

    A round that lacks only its end or the official outcome, which are still to come, is pending.
    """
    is_to_come = label.computed_outcome is not None or label.end_ns >= until_ns
    is_open = label.verdict == "not_provable" and label.resolved_outcome is None
    return PENDING if is_open and is_to_come and label.strike is not None else label.verdict


def counted(labels: Sequence[Label], until_ns: int) -> list[dict[str, Any]]:
    """Return a row per asset and duration with the number of rounds of each verdict.

    until_ns: end of the report's time.
    """
    groups: dict[tuple[str, str], Counter[str]] = {}
    for each in labels:
        groups.setdefault((each.asset, each.duration), Counter())[shown_verdict(each, until_ns)] += 1
    order = sorted(groups, key=lambda key: (key[0], DURATIONS.index(key[1])))
    return [
        {"asset": key[0], "duration": key[1], "rounds": groups[key].total()}
        | {verdict: groups[key][verdict] for verdict in SHOWN}
        for key in order
    ]


def without_proof(labels: Sequence[Label], until_ns: int) -> list[dict[str, str]]:
    """Return the rounds that are not reproduced as rows of text, with the reasons.

    until_ns: end of the report's time. The order is: differing, not provable, restated, estimated, pending.
    """
    order = ("differs", "not_provable", "restated", "estimated", PENDING)
    verdicts = [(shown_verdict(each, until_ns), each) for each in labels]
    found = sorted(
        ((verdict, each) for verdict, each in verdicts if verdict in order),
        key=lambda pair: (order.index(pair[0]), pair[1].start_ns, pair[1].market_id),
    )
    return [
        {
            "market": each.market_id,
            "start": f"{iso(each.start_ns)[:16].replace('T', ' ')}",
            "verdict": verdict.replace("_", " "),
            "computed": each.computed_outcome or "–",
            "official": each.resolved_outcome or "–",
            "reason": each.reason or f"K {each.strike}, settlement {each.settlement}, rule {each.rule}",
        }
        for verdict, each in found
    ]
