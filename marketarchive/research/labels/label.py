"""The label of one round: its boundary prices, its outcome, how far both are proven; pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from marketarchive.times import iso
from marketarchive.venues.exact import dollars

Verdict = Literal["reproduced", "differs", "restated", "estimated", "not_provable"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "differs", "restated", "estimated", "not_provable")

PriceKind = Literal["tick", "stated", "estimated"]
"""Source of a boundary price. tick: observations of the very instrument that the rule names; stated: the
venue's own statement after the fact; estimated: observations of another source."""

SPLIT = "Split"
"""The official outcome of a market that pays both sides the same."""


@dataclass(frozen=True, slots=True)
class Label:
    """The prices and outcome that decided a market, in dollars; `reason` says why a price is null."""

    market_id: str
    condition_id: str  # the venue's own id
    asset: str
    duration: str
    start_ns: int
    end_ns: int
    strike: Decimal | None
    settlement: Decimal | None
    strike_e18: int | None
    settlement_e18: int | None
    resolved_outcome: str | None
    computed_outcome: str | None
    outcome_match: bool | None  # None: neither reproduced nor differs
    strike_source: str | None
    settlement_source: str | None
    strike_received_at_ns: int | None  # when a live reader could know the strike
    rule: str
    verdict: Verdict
    reason: str  # what is missing; empty where nothing is
    settlement_received_at_ns: int | None = None
    rule_by: str = ""  # what states the rule: "market", "date" or "series"
    instrument: str | None = None
    resolution_source: str | None = None
    stated_strike: Decimal | None = None
    stated_settlement: Decimal | None = None
    error: Decimal | None = None  # the larger error of the prices that were estimated
    platform: str = ""  # the venue; "" in labels written when only one venue had labels
    strike_kind: PriceKind | None = None
    settlement_kind: PriceKind | None = None
    flag: str | None = None  # an oddity of the round in one word, such as implausible_strike

    def touches(self, since: int | None, until: int | None) -> bool:
        """Return whether the round's window touches `since` <= time < `until` (ns); None: no bound."""
        return touches(self.start_ns, self.end_ns, since, until)


@dataclass(frozen=True, slots=True)
class BoundaryPrice:
    """The best known price at the start or end of a round."""

    kind: PriceKind
    value_e18: int
    source: str
    received_at_ns: int | None
    others: tuple[int, ...] = ()  # other values in 10**-18 dollars that are equally good
    error_e18: int | None = None  # None: not known


def touches(start_ns: int, end_ns: int, since: int | None, until: int | None) -> bool:
    """Return whether [start_ns, end_ns] touches `since` <= time < `until` (ns); None: no bound."""
    return (since is None or end_ns >= since) and (until is None or start_ns < until)


def verdict_of(
    resolved: str | None,
    strike: BoundaryPrice | None,
    settlement: BoundaryPrice | None,
    winner: Callable[[int, int], str],
    missing: Sequence[str],
) -> tuple[Verdict, list[str]]:
    """Return (verdict, reasons) of a round.

    resolved: the official outcome; winner: returns the outcome of (strike, settlement), in 10**-18 dollars;
    missing: sentences about what a proof needs and the archive does not have.
    """
    if strike is None or settlement is None:
        return "not_provable", list(missing)
    kinds = {strike.kind, settlement.kind}
    if "estimated" in kinds:
        return "estimated", [*missing, "estimated instead"]
    if "stated" in kinds:
        return "restated", [*missing, "the venue's own statement is taken"]
    computed = winner(strike.value_e18, settlement.value_e18)
    if _is_ambiguous(strike, settlement, winner):
        values = [
            " or ".join(f"{dollars(value):f}" for value in (price.value_e18, *price.others))
            for price in (strike, settlement)
        ]
        return "not_provable", [f"different ticks of the same second: start {values[0]}, end {values[1]}"]
    if resolved is None:
        return "not_provable", [*missing, "no official outcome"]
    if resolved != computed:
        return "differs", [f"computed {computed}, resolved {resolved}"]
    return "reproduced", []


def priced(strike: BoundaryPrice | None, settlement: BoundaryPrice | None) -> dict[str, Any]:
    """Return the fields of a Label that state its prices, their sources, receipts and error."""
    errors = [price.error_e18 for price in (strike, settlement) if price and price.error_e18 is not None]
    return {
        "strike": dollars(strike.value_e18) if strike else None,
        "settlement": dollars(settlement.value_e18) if settlement else None,
        "strike_e18": strike.value_e18 if strike else None,
        "settlement_e18": settlement.value_e18 if settlement else None,
        "strike_source": strike.source if strike else None,
        "settlement_source": settlement.source if settlement else None,
        "strike_received_at_ns": strike.received_at_ns if strike else None,
        "settlement_received_at_ns": settlement.received_at_ns if settlement else None,
        "strike_kind": strike.kind if strike else None,
        "settlement_kind": settlement.kind if settlement else None,
        "error": dollars(max(errors)) if errors else None,
    }


def plain(value: Decimal | None) -> str | None:
    """Return an amount as text without exponent and trailing zeros; None for None."""
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def second(ns: int) -> str:
    """Return a time (ns) as text to the second: `2026-11-21T12:00:00Z`."""
    return iso(ns)[:19] + "Z"


def _is_ambiguous(
    strike: BoundaryPrice, settlement: BoundaryPrice, winner: Callable[[int, int], str]
) -> bool:
    """Return whether the outcome depends on which of several equally good prices is used."""
    found = {
        winner(one, other)
        for one in (strike.value_e18, *strike.others)
        for other in (settlement.value_e18, *settlement.others)
    }
    return len(found) > 1
