"""Check that the outcomes which the archive proves are the official ones; pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from marketarchive.research.checks.check import OFFENDERS, CheckResult, share
from marketarchive.research.labels.label import VERDICTS, Label

RULE = (
    "For every round that has an official outcome, and both boundary prices of the exact instrument that "
    "its rule names, the computed outcome equals the official one (100 %). Rounds that are restated, "
    "estimated or not provable are not checked; they are counted separately."
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+Z")
_INSTRUMENT = re.compile(r"chainlink:[a-z0-9]+-usd")


def check(labels: Sequence[Label]) -> CheckResult:
    verdicts = Counter(each.verdict for each in labels)
    proven = verdicts["reproduced"] + verdicts["differs"]
    figure = (
        f"{verdicts['reproduced']:,} of {proven:,} reproduced ({share(verdicts['reproduced'], proven)}); "
        f"provable {proven:,} of {len(labels):,} ({share(proven, len(labels))})"
    )
    differing = [each for each in labels if each.verdict == "differs"]
    return CheckResult(
        "outcomes",
        "Outcomes are reproduced",
        RULE,
        "nothing to check" if not proven else "fail" if differing else "pass",
        figure,
        {"rounds": len(labels), "provable": proven, **{name: verdicts[name] for name in VERDICTS}},
        [
            f"{count:,} {verdict}: {reason}"
            for (verdict, reason), count in _reasons(labels).most_common(OFFENDERS)
        ],
        [
            {
                "market_id": each.market_id,
                "computed": each.computed_outcome,
                "official": each.resolved_outcome,
                "strike": _text(each.strike),
                "settlement": _text(each.settlement),
                "rule": each.rule,
                "official_by": each.resolution_source,
            }
            for each in differing[:OFFENDERS]
        ],
    )


def _reasons(labels: Sequence[Label]) -> Counter[tuple[str, str]]:
    """Return (verdict, reason) -> number of rounds, for rounds that are neither reproduced nor differ.

    Times and assets are removed from the reasons, so that equal reasons of several rounds are counted
    together.
    """
    return Counter(
        (each.verdict, _INSTRUMENT.sub("chainlink:*-usd", _TIME.sub("...", each.reason)))
        for each in labels
        if each.verdict not in ("reproduced", "differs")
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
