"""The label of one Kalshi round: its two means, its outcome, how far both are proven; pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from marketarchive.research.labels.label import BoundaryPrice, Label, Verdict, priced, second, verdict_of
from marketarchive.research.products.brti.means import ProxyMinute
from marketarchive.research.products.kalshi_rounds.index_means import IndexMinute
from marketarchive.research.products.kalshi_rounds.terms import KalshiRound
from marketarchive.times import SECOND
from marketarchive.venues.exact import e18
from marketarchive.venues.kalshi.markets import RESOLUTION_SOURCE, SETTLEMENT_SOURCE, STRIKE_SOURCE
from marketarchive.venues.kalshi.settlement import (
    MEAN_S,
    index_named,
    index_of,
    roundings,
    rule_of_index,
    winner,
)
from marketarchive.venues.kalshi.venue import VENUE

OUTCOMES = ("yes", "no")
FINAL = ("finalized", "settled")
NOT_GRADED: Verdict = "not_provable"
OPEN = ("initialized", "active", "inactive")
AT_LEAST = "greater_or_equal"
IMPLAUSIBLE = Decimal("0.05")
"""Relative deviation beyond which a strike is implausible; 7 of 72,000 strikes were."""
ENOUGH = 54
"""Least number of seconds with a value of the proxy, of the 60 of a mean, that an estimate needs."""

Flag = Literal[
    "no_strike", "implausible_strike", "no_rounding", "other_strike", "scalar", "void", "contradicted"
]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Look-ups of the prices that may decide a round; each returns None for a price that is not known."""

    index: Callable[[str, int], IndexMinute | None]  # of (index, Unix second of the close)
    proxy: Callable[[str, int], ProxyMinute | None]  # of (asset, Unix second of the close)
    published: Callable[[str, int], Decimal | None]  # (asset, close): expiration_value of the round before
    error: Callable[[str], Decimal | None]  # largest error of an asset's proxy against published means


def label(each: KalshiRound, evidence: Evidence, newest_ns: int, *, estimate: bool) -> Label:
    """Return the label of a round.

    newest_ns: time of the archive's newest line; estimate: whether prices that are neither archived nor
    published are estimated by the proxy.
    """
    index = index_of(each.asset) or ""
    rule = each.rule or rule_of_index(index)
    is_known = index_named(rule) == index
    strike, no_strike = _boundary(each, index, "start", evidence, estimate=estimate and is_known)
    settlement, no_settlement = _boundary(each, index, "end", evidence, estimate=estimate and is_known)
    missing = [text for text in (no_strike, no_settlement) if text is not None]
    if not is_known:
        missing.insert(0, f"nothing archived here has a rule that is known: the market settles on {rule!r}")
    if each.end_ns > newest_ns:
        missing.append("the archive ends before the window does")
    flag, why_not = _not_graded(each, evidence)
    outcome = each.result if each.result in OUTCOMES and each.status in FINAL else None
    if why_not is not None:
        verdict, reasons, computed = NOT_GRADED, [why_not], None
    else:
        computed = winner(strike.value_e18, settlement.value_e18) if strike and settlement else None
        verdict, reasons = verdict_of(outcome, strike, settlement, winner, missing)
        if outcome is None and verdict in ("restated", "not_provable"):
            reasons.append(_no_outcome(each))
        if (reported := _contradiction(each, computed if verdict != "estimated" else None)) is not None:
            flag = "contradicted"
            reasons += [reported] if verdict != "differs" else []
    return Label(
        market_id=each.ticker,
        condition_id=each.ticker,
        asset=each.asset,
        duration="15m",
        start_ns=each.start_ns,
        end_ns=each.end_ns,
        resolved_outcome=outcome,
        computed_outcome=computed,
        outcome_match={"reproduced": True, "differs": False}.get(verdict),
        rule=rule,
        verdict=verdict,
        reason="; ".join(dict.fromkeys(reasons)),
        rule_by="market" if each.rule else "series",
        instrument=f"cfbenchmarks:{index.lower()}" if is_known else None,
        resolution_source=None if outcome is None else RESOLUTION_SOURCE,
        stated_strike=each.strike,
        stated_settlement=each.settlement,
        platform=VENUE.name,
        flag=flag,
        **priced(strike, settlement),
    )


def _boundary(
    each: KalshiRound, index: str, side: Literal["start", "end"], evidence: Evidence, *, estimate: bool
) -> tuple[BoundaryPrice | None, str | None]:
    """Return (best known mean at one end of a round, what is missing for a proof); either may be None.

    side: which end; estimate: whether the proxy may stand in for the index.
    """
    at = each.start_ns if side == "start" else each.end_ns
    digits, close = each.round_digits, at // SECOND
    missing = f"no {MEAN_S} archived values of {index} before {second(at)} (window {side})"
    minute = evidence.index(index, close)
    if digits is not None and minute is not None and (means := minute.means(digits)):
        first, *others = map(e18, means)
        source = f"{VENUE.name} cfbenchmarks_value {index}"
        return BoundaryPrice("tick", first, source, minute.received_at_ns, tuple(others)), None
    stated = each.strike if side == "start" else each.settlement
    if stated is not None:
        source = STRIKE_SOURCE if side == "start" else SETTLEMENT_SOURCE
        stated_at = each.strike_at_ns if side == "start" else each.settlement_at_ns
        return BoundaryPrice("stated", e18(stated), source, stated_at), missing
    proxy = evidence.proxy(each.asset, close) if estimate else None
    if digits is None or proxy is None or (there := proxy.count(with_close=True)) < ENOUGH:
        return None, missing
    values = [value for at, value in proxy.values.items() if at > close - MEAN_S and value is not None]
    error = evidence.error(each.asset)
    source = f"estimate: mean of {there} of {MEAN_S} seconds of the {index} proxy"
    made = e18(roundings(values, digits)[0])
    return BoundaryPrice(
        "estimated", made, source, at, error_e18=None if error is None else e18(error)
    ), missing


def _not_graded(each: KalshiRound, evidence: Evidence) -> tuple[Flag | None, str | None]:
    """Return (flag, reason) of a round that gets no verdict, whatever its means are; else (None, None)."""
    if each.result == "scalar":
        return "scalar", f"the result is scalar: a contract of YES is paid {each.payout}"
    if each.status in FINAL and each.result not in OUTCOMES:
        return "void", f"it ended without yes or no: result {each.result or ''!r}"
    if each.strike_type not in (None, AT_LEAST):
        return "other_strike", f"strike_type is {each.strike_type!r}: what wins is known of {AT_LEAST} alone"
    if each.strike is None:
        if each.status in OPEN:
            return None, None  # it may still be stated
        return "no_strike", "no strike was ever stated"
    if (found := _implausible(each, evidence)) is not None:
        return "implausible_strike", found
    if each.round_digits is None:
        return (
            "no_rounding",
            "custom_strike.round_digits is absent: how the means are rounded is not stated",
        )
    return None, None


def _implausible(each: KalshiRound, evidence: Evidence) -> str | None:
    """Return a sentence on an implausible strike, None for a plausible one.

    The strike is compared with the proxy's mean, else with a published mean beside it.
    """
    assert each.strike is not None
    close = each.start_ns // SECOND
    proxy = evidence.proxy(each.asset, close)
    known = (
        ("the proxy", None if proxy is None else proxy.rough_mean()),
        ("expiration_value of the round before", evidence.published(each.asset, close)),
        ("its own expiration_value", each.settlement),
    )
    for name, value in known:
        if value is not None and value > 0:
            off = abs(each.strike / value - 1)
            if off <= IMPLAUSIBLE:
                return None
            return f"the strike {each.strike} is {100 * off:.1f} % off {name} ({value:.2f}): implausible"
    return None


def _no_outcome(each: KalshiRound) -> str:
    if each.result in OUTCOMES:
        return f"no final outcome: {each.result} is only proposed ({each.status})"
    return f"no official outcome ({each.status})"


def _contradiction(each: KalshiRound, computed: str | None) -> str | None:
    """Return how the stated result contradicts the venue's own payout or values; None if it does not."""
    if each.result not in OUTCOMES:
        return None
    if each.payout is not None and each.payout != (each.result == "yes"):
        return f"the result {each.result} differs from its own payout, {each.payout}"
    if computed is not None and computed != each.result:
        return f"the result {each.result} differs from its own values, which give {computed}"
    return None
