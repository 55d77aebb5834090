"""Outcomes of the rounds: verdicts counted, and the rounds that differ or prove nothing. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from marketarchive.research.labels.label import VERDICTS, Label
from marketarchive.times import iso
from marketarchive.venues.polymarket.updown import DURATIONS

LISTED = 300
"""Rounds that are named, at most; all stand in the labels' files."""


def counted(labels: Sequence[Label]) -> list[dict[str, Any]]:
    """Count the verdicts, a row for each asset and duration."""
    groups: dict[tuple[str, str], Counter[str]] = {}
    for each in labels:
        groups.setdefault((each.asset, each.duration), Counter())[each.verdict] += 1
    order = sorted(groups, key=lambda key: (key[0], DURATIONS.index(key[1])))
    return [
        {"asset": key[0], "duration": key[1], "rounds": groups[key].total()}
        | {verdict: groups[key][verdict] for verdict in VERDICTS}
        for key in order
    ]


def without_proof(labels: Sequence[Label]) -> list[dict[str, str]]:
    """Return the rounds without proof and their reasons.

    Those that differ come first, then those not provable, restated, estimated.
    """
    order = ("differs", "not_provable", "restated", "estimated")
    found = sorted(
        (each for each in labels if each.verdict in order),
        key=lambda each: (order.index(each.verdict), each.start_ns, each.market_id),
    )
    return [
        {
            "market": each.market_id,
            "start": f"{iso(each.start_ns)[:16].replace('T', ' ')}",
            "verdict": each.verdict.replace("_", " "),
            "computed": each.computed_outcome or "–",
            "official": each.resolved_outcome or "–",
            "reason": each.reason or f"K {each.strike}, settlement {each.settlement}, rule {each.rule}",
        }
        for each in found
    ]
