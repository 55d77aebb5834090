"""Thresholds of the soak, and the gate that they decide; docs/SOAK_PLAN.md repeats them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Gate = Literal["PASS", "FAIL", "OPEN"]
Bound = Literal["at least", "at most", "under"]

GATE_HOURS = 24.0
"""Hours in real time on live venues below which the gate cannot pass."""


@dataclass(frozen=True)
class Threshold:
    """One figure that a soak has to keep."""

    name: str
    what: str
    bound: Bound
    limit: float
    unit: str

    @property
    def words(self) -> str:
        """Return the limit as the plan and the report print it."""
        return f"{self.bound} {self.limit:g} {self.unit}"

    def holds(self, measured: float) -> bool:
        if self.bound == "at least":
            return measured >= self.limit
        return measured <= self.limit if self.bound == "at most" else measured < self.limit


THRESHOLDS = (
    Threshold("tracked", "time in which any market or price was tracked", "at least", 99.5, "%"),
    Threshold("observed", "tracked seconds that were observed", "at least", 99.5, "%"),
    Threshold("unrecorded", "tracked seconds neither observed nor in a recorded gap", "at most", 0, "s"),
    Threshold("unsealed", "unsealed files of dead runs", "at most", 0, "files"),
    Threshold(
        "memory", "growth of the highest memory after the first hour over that in it", "at most", 10, "%"
    ),
    Threshold("restart", "the longest restart, from exit to first data on the disk", "under", 60, "s"),
    Threshold("uptime", "time in which data could reach the disk", "at least", 99.5, "%"),
    Threshold("verify", "problems that `scrapy verify` finds", "at most", 0, "problems"),
)


@dataclass(frozen=True)
class Measured:
    """Figure of a soak for one threshold; None: not measured, and `note` says why."""

    value: float | None
    note: str = ""


@dataclass(frozen=True)
class Circumstances:
    """Conditions of a soak without which no figures open the gate."""

    is_simulated: bool  # its clock, or any of its runs
    stand_ins: Sequence[str]  # URLs of venues in whose place others were requested
    has_ended: bool  # its hours are over
    hours: float  # that it lasted, on its clock


@dataclass(frozen=True)
class GateVerdict:
    """State of the gate, with its reasons."""

    gate: Gate
    reasons: Sequence[str]


def judge(measured: Mapping[str, Measured], about: Circumstances) -> GateVerdict:
    """Return FAIL where a threshold does not hold, PASS where all do in a whole real soak, else OPEN."""
    failed, unknown = [], []
    for each in THRESHOLDS:
        found = measured.get(each.name, Measured(None, "not measured"))
        if found.value is None:
            unknown.append(f"{each.name} was not measured: {found.note}")
        elif not each.holds(found.value):
            failed.append(f"{each.name}: {found.value:.6g} {each.unit}, required: {each.words}")
    missing = []
    if about.is_simulated:
        missing.append("it ran on the simulator: only a run in real time on live venues can pass")
    if about.stand_ins:
        missing.append(
            f"other addresses replaced those of {', '.join(about.stand_ins)}: these are not live venues"
        )
    if not about.has_ended:
        missing.append("its hours are not over")
    if about.hours < GATE_HOURS:
        missing.append(f"it lasted {about.hours:.4g} h of the {GATE_HOURS:g} h that are needed")
    if failed:
        return GateVerdict("FAIL", failed + unknown + missing)
    if unknown or missing:
        return GateVerdict("OPEN", missing + unknown)
    return GateVerdict("PASS", [f"every threshold held for {about.hours:.4g} h in real time on live venues"])
