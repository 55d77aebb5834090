"""Checks of Kalshi's rounds for `scrapy validate`: whether the venue's own statements agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from marketarchive.research.checks.check import OFFENDERS, CheckResult, ProductChecks, share
from marketarchive.research.labels.label import Label, plain
from marketarchive.venues.kalshi.venue import VENUE

CHAIN_RULE = (
    "The strike of each round equals the final value of the preceding round of its series, since both are "
    "the published mean of the same 60 seconds (floor_strike[N] = expiration_value[N-1], exactly). If the "
    "strike is flagged as implausible, a difference is a warning. Rounds without a preceding round, or "
    "without one of the two values, are not compared."
)
RESULT_RULE = (
    "The result that the venue states agrees with its own values (YES if expiration_value is at least "
    "floor_strike) and with its own payout. If it does not, this is a warning: the label keeps the stated "
    "result beside the computed one. (One of 25,065 published results was such a case.) Where archived "
    "values of the index prove the stated result wrong, the check of outcomes fails."
)


def chain(labels: Sequence[Label]) -> CheckResult:
    """Check that each round's strike is the final value of the round before it, of the same asset."""
    finals = {(each.asset, each.end_ns): each for each in labels if each.stated_settlement is not None}
    pairs = [
        (before, each)
        for each in labels
        if each.stated_strike is not None and (before := finals.get((each.asset, each.start_ns))) is not None
    ]
    broken = [(before, each) for before, each in pairs if before.stated_settlement != each.stated_strike]
    broken.sort(key=lambda pair: (-_off(*pair), pair[1].market_id))
    equal = len(pairs) - len(broken)
    known = sum(each.flag == "implausible_strike" for _, each in broken)
    return CheckResult(
        "kalshi_chain",
        "Strikes are the final values before them",
        CHAIN_RULE,
        "nothing to check" if not pairs else "fail" if len(broken) > known else "warn" if broken else "pass",
        f"{equal:,} of {len(pairs):,} equal ({share(equal, len(pairs))}); "
        f"{len(labels) - len(pairs):,} rounds not compared",
        {
            "compared": len(pairs),
            "broken": len(broken),
            "of them implausible strikes": known,
            "largest difference, $": float(_off(*broken[0])) if broken else None,
        },
        [],
        [
            {
                "market_id": each.market_id,
                "floor_strike": plain(each.stated_strike),
                "before": before.market_id,
                "expiration_value": plain(before.stated_settlement),
                "flag": each.flag,
            }
            for before, each in broken[:OFFENDERS]
        ],
    )


def results(labels: Sequence[Label]) -> CheckResult:
    """Check that each result follows from the venue's own values; other flags of rounds are counted."""
    graded = [
        each for each in labels if each.resolved_outcome is not None and each.computed_outcome is not None
    ]
    bad = [each for each in labels if each.flag == "contradicted"]
    flags = Counter(each.flag for each in labels if each.flag is not None)
    count = max(len(graded), len(bad))
    return CheckResult(
        "kalshi_results",
        "Results agree with the values stated beside them",
        RESULT_RULE,
        "nothing to check" if not count else "warn" if bad else "pass",
        f"{count - len(bad):,} of {count:,} agree ({share(count - len(bad), count)}); "
        f"{len(labels) - count:,} of {len(labels):,} rounds are not graded",
        {"compared": count, **{name: flags[name] for name in sorted(flags)}},
        [f"{each.market_id}: {each.reason}" for each in labels if each.flag not in (None, "contradicted")][
            :OFFENDERS
        ],
        [_contradicted(each) for each in bad[:OFFENDERS]],
    )


def _contradicted(each: Label) -> dict[str, Any]:
    return {
        "market_id": each.market_id,
        "floor_strike": plain(each.stated_strike),
        "expiration_value": plain(each.stated_settlement),
        "computed": each.computed_outcome,
        "official": each.resolved_outcome,
        "verdict": each.verdict,
        "reason": each.reason,
    }


def _off(before: Label, each: Label) -> Decimal:
    assert before.stated_settlement is not None
    assert each.stated_strike is not None
    return abs(before.stated_settlement - each.stated_strike)


def _check(root: Path, labels: Sequence[Label]) -> list[CheckResult]:
    del root
    mine = [each for each in labels if each.platform == VENUE.name]
    return [chain(mine), results(mine)] if mine else []


CHECKS = ProductChecks(venues=frozenset({VENUE.name}), check=_check)
