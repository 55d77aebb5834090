"""The label of one market: both boundary prices, the outcome they give, and how far it is proven. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from marketarchive.times import iso
from marketarchive.venues.polymarket.rules import Rule, dollars, e18, rule_of, winner

Verdict = Literal["reproduced", "differs", "restated", "estimated", "not_provable"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "differs", "restated", "estimated", "not_provable")

STATED = "polymarket eventMetadata."
ESTIMATED = "estimate: "
"""How the source of a price begins that is no tick."""

SPLIT = "Split"
"""The official outcome of a market that pays both sides the same."""


@dataclass(frozen=True, slots=True)
class Window:
    """A market as its venue described it; what it stated after the close stands apart."""

    market_id: str  # slug
    condition_id: str
    asset: str
    duration: str
    start_ns: int
    end_ns: int
    rule: str | None = None  # what the market says of it; None: nothing, the dates decide
    resolved_outcome: str | None = None  # Up, Down, Split
    resolution_source: str | None = None
    stated_strike: Decimal | None = None  # by the venue, after the close
    stated_settlement: Decimal | None = None
    strike_stated_at_ns: int | None = None
    settlement_stated_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """A price of one instrument, stamped by its source with one second."""

    value_e18: int
    received_at_ns: int
    source: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A boundary price out of other prices than the one stamped with that very second."""

    value_e18: int
    error_e18: int  # how far off it may be, by what the prices around it did
    received_at_ns: int
    source: str


@dataclass(frozen=True, slots=True)
class Label:
    """What decided a market, in dollars. A null price has its reason in `reason`."""

    market_id: str
    condition_id: str
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
    strike_received_at_ns: int | None  # when a reader could know it
    rule: str
    verdict: Verdict
    reason: str  # what is missing; empty where nothing is
    settlement_received_at_ns: int | None = None
    rule_by: str = ""  # market, date
    instrument: str | None = None
    resolution_source: str | None = None
    stated_strike: Decimal | None = None
    stated_settlement: Decimal | None = None
    error: Decimal | None = None  # of what was estimated: the larger of both prices' errors

    @property
    def strike_kind(self) -> Literal["tick", "stated", "estimated"] | None:
        """What the strike was taken from."""
        if self.strike_source is None:
            return None
        if self.strike_source.startswith(STATED):
            return "stated"
        return "estimated" if self.strike_source.startswith(ESTIMATED) else "tick"


Prices = Callable[[str, int], Sequence[Tick]]
"""(instrument, boundary in ns) -> the ticks stamped with that very second, in any order."""
Estimates = Callable[[str, int], Estimate | None]


@dataclass(frozen=True, slots=True)
class _Price:
    kind: Literal["tick", "stated", "estimated"]
    value_e18: int
    source: str
    received_at_ns: int | None
    others: tuple[int, ...] = ()  # different values stamped with the same second
    error_e18: int = 0


def label(
    window: Window, prices: Prices, estimates: Estimates | None = None, newest_ns: int | None = None
) -> Label:
    """Of a market; `newest_ns` is the time of the archive's newest line, when it may not have ended."""
    rule = rule_of(window.asset, window.duration, window.start_ns, window.rule)
    strike, no_strike = _boundary(window, rule, "start", prices, estimates)
    settlement, no_settlement = _boundary(window, rule, "end", prices, estimates)
    missing = list(dict.fromkeys(filter(None, (no_strike, no_settlement))))
    if newest_ns is not None and window.end_ns > newest_ns:
        missing.append("the archive ends before the window does")
    computed = winner(strike.value_e18, settlement.value_e18) if strike and settlement else None
    verdict, reasons = _verdict(window, strike, settlement, computed, missing)
    return Label(
        market_id=window.market_id,
        condition_id=window.condition_id,
        asset=window.asset,
        duration=window.duration,
        start_ns=window.start_ns,
        end_ns=window.end_ns,
        strike=dollars(strike.value_e18) if strike else None,
        settlement=dollars(settlement.value_e18) if settlement else None,
        strike_e18=strike.value_e18 if strike else None,
        settlement_e18=settlement.value_e18 if settlement else None,
        resolved_outcome=window.resolved_outcome,
        computed_outcome=computed,
        outcome_match={"reproduced": True, "differs": False}.get(verdict),
        strike_source=strike.source if strike else None,
        settlement_source=settlement.source if settlement else None,
        strike_received_at_ns=strike.received_at_ns if strike else None,
        rule=rule.text,
        verdict=verdict,
        reason="; ".join(reasons),
        settlement_received_at_ns=settlement.received_at_ns if settlement else None,
        rule_by=rule.stated_by,
        instrument=rule.instrument,
        resolution_source=window.resolution_source,
        stated_strike=window.stated_strike,
        stated_settlement=window.stated_settlement,
        error=_error(strike, settlement),
    )


def _boundary(
    window: Window,
    rule: Rule,
    side: Literal["start", "end"],
    prices: Prices,
    estimates: Estimates | None,
) -> tuple[_Price | None, str | None]:
    """The best price there is of one boundary, and what is missing where it is no tick."""
    at = window.start_ns if side == "start" else window.end_ns
    if rule.instrument is None:
        missing = f"nothing archived here has {rule.missing}"
    else:
        missing = f"no tick of {rule.instrument} at {_second(at)} (window {side})"
        if ticks := sorted(
            prices(rule.instrument, at), key=lambda each: (each.received_at_ns, each.source, each.value_e18)
        ):
            first = ticks[0]
            others = tuple(sorted({each.value_e18 for each in ticks} - {first.value_e18}))
            return _Price("tick", first.value_e18, first.source, first.received_at_ns, others), None
    stated = window.stated_strike if side == "start" else window.stated_settlement
    if stated is not None:
        told_at = window.strike_stated_at_ns if side == "start" else window.settlement_stated_at_ns
        key = "priceToBeat" if side == "start" else "finalPrice"
        return _Price("stated", _near_e18(stated), f"{STATED}{key}", told_at), missing
    if rule.instrument is not None and estimates is not None and (made := estimates(rule.instrument, at)):
        price = _Price(
            "estimated", made.value_e18, made.source, made.received_at_ns, error_e18=made.error_e18
        )
        return price, missing
    return None, missing


def _verdict(
    window: Window,
    strike: _Price | None,
    settlement: _Price | None,
    computed: str | None,
    missing: list[str],
) -> tuple[Verdict, list[str]]:
    if strike is None or settlement is None or computed is None:
        return "not_provable", missing
    kinds = {strike.kind, settlement.kind}
    if "estimated" in kinds:
        return "estimated", [*missing, "estimated instead"]
    if "stated" in kinds:
        return "restated", [*missing, "the venue's own statement is taken"]
    if _is_ambiguous(strike, settlement, computed):
        values = [
            " or ".join(f"{dollars(value):f}" for value in (price.value_e18, *price.others))
            for price in (strike, settlement)
        ]
        return "not_provable", [f"different ticks of the same second: start {values[0]}, end {values[1]}"]
    if window.resolved_outcome is None:
        return "not_provable", [*missing, "no official outcome"]
    if window.resolved_outcome != computed:
        return "differs", [f"computed {computed}, resolved {window.resolved_outcome}"]
    return "reproduced", []


def _is_ambiguous(strike: _Price, settlement: _Price, computed: str) -> bool:
    """Whether the outcome hangs on which of several ticks of one second is taken."""
    return any(
        winner(one, other) != computed
        for one in (strike.value_e18, *strike.others)
        for other in (settlement.value_e18, *settlement.others)
    )


def _error(*prices: _Price | None) -> Decimal | None:
    errors = [price.error_e18 for price in prices if price is not None and price.kind == "estimated"]
    return dollars(max(errors)) if errors else None


def _near_e18(stated: Decimal) -> int:
    """A statement is a float's text: what it has beyond 18 decimals is noise."""
    try:
        return e18(stated)
    except ValueError:
        return int(f"{stated:.18f}".replace(".", ""))


def _second(ns: int) -> str:
    return iso(ns)[:19] + "Z"


def wanted(windows: Iterable[Window]) -> set[tuple[str, int]]:
    """(instrument, ns) of every boundary price that decides one of `windows`."""
    found = set()
    for window in windows:
        rule = rule_of(window.asset, window.duration, window.start_ns, window.rule)
        if rule.instrument is not None:
            found |= {(rule.instrument, window.start_ns), (rule.instrument, window.end_ns)}
    return found
