"""The label of one up/down round: its boundary prices, its outcome, how far both are proven; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from marketarchive.research.labels.label import BoundaryPrice, Label, priced, second, verdict_of
from marketarchive.venues.exact import e18
from marketarchive.venues.polymarket.rules import Rule, rule_of, winner

PLATFORM = "polymarket"
STATED = "polymarket eventMetadata."
ESTIMATED = "estimate: "
"""Prefix of the source of an estimated price."""


@dataclass(frozen=True, slots=True)
class MarketWindow:
    """A round as its venue described it: window and rule before the close, outcome and prices after it."""

    market_id: str  # slug
    condition_id: str
    asset: str
    duration: str
    start_ns: int
    end_ns: int
    rule: str | None = None  # the rule that the market states; None: none, its date decides
    resolved_outcome: str | None = None  # Up, Down, Split
    resolution_source: str | None = None
    stated_strike: Decimal | None = None  # dollars, stated by the venue after the close
    stated_settlement: Decimal | None = None  # dollars, stated by the venue after the close
    strike_stated_at_ns: int | None = None
    settlement_stated_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """A price of one instrument that its source dates with one second."""

    value_e18: int
    received_at_ns: int
    source: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A boundary price estimated from other prices than the one dated with its second."""

    value_e18: int
    error_e18: int  # possible error in 10**-18 dollars, from the prices around it
    received_at_ns: int
    source: str


Prices = Callable[[str, int], Sequence[Tick]]
"""Function: (instrument, boundary in ns) -> the ticks dated with that very second, in any order."""
Estimates = Callable[[str, int], Estimate | None]


def label(
    window: MarketWindow, prices: Prices, estimates: Estimates | None = None, newest_ns: int | None = None
) -> Label:
    """Return the label of a round.

    prices, estimates: look up the ticks and the estimate of an instrument at a boundary in ns; newest_ns:
    time of the archive's newest line, None: the round has ended.
    """
    rule = rule_of(window.asset, window.duration, window.start_ns, window.rule)
    strike, no_strike = _boundary(window, rule, "start", prices, estimates)
    settlement, no_settlement = _boundary(window, rule, "end", prices, estimates)
    missing = list(dict.fromkeys(filter(None, (no_strike, no_settlement))))
    if newest_ns is not None and window.end_ns > newest_ns:
        missing.append("the archive ends before the window does")
    computed = winner(strike.value_e18, settlement.value_e18) if strike and settlement else None
    verdict, reasons = verdict_of(window.resolved_outcome, strike, settlement, winner, missing)
    return Label(
        market_id=window.market_id,
        condition_id=window.condition_id,
        asset=window.asset,
        duration=window.duration,
        start_ns=window.start_ns,
        end_ns=window.end_ns,
        resolved_outcome=window.resolved_outcome,
        computed_outcome=computed,
        outcome_match={"reproduced": True, "differs": False}.get(verdict),
        rule=rule.text,
        verdict=verdict,
        reason="; ".join(reasons),
        rule_by=rule.stated_by,
        instrument=rule.instrument,
        resolution_source=window.resolution_source,
        stated_strike=window.stated_strike,
        stated_settlement=window.stated_settlement,
        platform=PLATFORM,
        **priced(strike, settlement),
    )


def _boundary(
    window: MarketWindow,
    rule: Rule,
    side: Literal["start", "end"],
    prices: Prices,
    estimates: Estimates | None,
) -> tuple[BoundaryPrice | None, str | None]:
    """Return (best known price at one end of a round, what is missing for a proof); either may be None.

    side: which end; estimates: None: nothing is estimated.
    """
    at = window.start_ns if side == "start" else window.end_ns
    if rule.instrument is None:
        missing = f"nothing archived here has {rule.missing}"
    else:
        missing = f"no tick of {rule.instrument} at {second(at)} (window {side})"
        if ticks := sorted(
            prices(rule.instrument, at), key=lambda each: (each.received_at_ns, each.source, each.value_e18)
        ):
            first = ticks[0]
            others = tuple(sorted({each.value_e18 for each in ticks} - {first.value_e18}))
            return BoundaryPrice("tick", first.value_e18, first.source, first.received_at_ns, others), None
    stated = window.stated_strike if side == "start" else window.stated_settlement
    if stated is not None:
        stated_at = window.strike_stated_at_ns if side == "start" else window.settlement_stated_at_ns
        key = "priceToBeat" if side == "start" else "finalPrice"
        return BoundaryPrice("stated", _near_e18(stated), f"{STATED}{key}", stated_at), missing
    if rule.instrument is not None and estimates is not None and (made := estimates(rule.instrument, at)):
        price = BoundaryPrice(
            "estimated", made.value_e18, made.source, made.received_at_ns, error_e18=made.error_e18
        )
        return price, missing
    return None, missing


def _near_e18(stated: Decimal) -> int:
    """Return a stated price in 10**-18 dollars.

    A venue states prices as texts of floats: digits beyond 18 decimals are noise.
    """
    try:
        return e18(stated)
    except ValueError:
        return int(f"{stated:.18f}".replace(".", ""))


def wanted(windows: Iterable[MarketWindow]) -> set[tuple[str, int]]:
    """Return the (instrument, ns) of all boundary prices that decide `windows`."""
    found = set()
    for window in windows:
        rule = rule_of(window.asset, window.duration, window.start_ns, window.rule)
        if rule.instrument is not None:
            found |= {(rule.instrument, window.start_ns), (rule.instrument, window.end_ns)}
    return found
