"""Check that computed strikes are those that the venue published; pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from statistics import median

from marketarchive.research.checks.check import OFFENDERS, CheckResult, share
from marketarchive.research.labels.label import Label

DOLLARS = Decimal(1)
BASIS_POINTS = Decimal(1)

RULE = (
    "For every round whose strike is a tick, and for which the venue published the price to beat, the two "
    "differ by at most $1 and by at most 1 bp of the published price. Strikes that were taken from the "
    "published price itself, or estimated, cannot be compared; they are counted separately."
)


def check(labels: Sequence[Label]) -> CheckResult:
    compared, apart = [], {"no published strike": 0, "no strike": 0, "taken from the published one": 0}
    apart["estimated"] = 0
    for each in labels:
        if each.stated_strike is None or each.stated_strike <= 0:
            apart["no published strike"] += 1
        elif each.strike is None:
            apart["no strike"] += 1
        elif each.strike_kind == "stated":
            apart["taken from the published one"] += 1
        elif each.strike_kind == "estimated":
            apart["estimated"] += 1
        else:
            dollars = abs(each.strike - each.stated_strike)
            compared.append((dollars, 10_000 * dollars / each.stated_strike, each))
    bad = [one for one in compared if one[0] > DOLLARS or one[1] > BASIS_POINTS]
    bad.sort(key=lambda one: (-max(one[0] / DOLLARS, one[1] / BASIS_POINTS), one[2].market_id))
    figures: dict[str, int | float | None] = {
        "compared": len(compared),
        "beyond": len(bad),
        "largest difference, $": max((float(one[0]) for one in compared), default=None),
        "largest difference, bp": max((float(one[1]) for one in compared), default=None),
        "median difference, $": median(float(one[0]) for one in compared) if compared else None,
    }
    return CheckResult(
        "strikes",
        "Strikes agree with the published ones",
        RULE,
        "nothing to check" if not compared else "fail" if bad else "pass",
        f"{len(compared) - len(bad):,} of {len(compared):,} within both bounds "
        f"({share(len(compared) - len(bad), len(compared))}); {len(labels) - len(compared):,} not compared",
        figures | apart,
        [],
        [
            {
                "market_id": each.market_id,
                "strike": str(each.strike),
                "published": str(each.stated_strike),
                "dollars": float(dollars),
                "bp": float(bp),
                "strike_source": each.strike_source,
            }
            for dollars, bp, each in bad[:OFFENDERS]
        ],
    )
