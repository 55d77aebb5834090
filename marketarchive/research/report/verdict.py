"""Verdict on whether a recording can be trusted, from a report's findings; pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from marketarchive.invocation import command

Level = Literal["defect", "care", "sound", "nothing", "unknown"]

WORDS: dict[Level, str] = {
    "defect": "No, not as it is: some of it is damaged or contradicts itself.",
    "care": "Yes, within its recorded limits: see below what is missing.",
    "sound": "Yes: nothing that was tracked is missing, and every check passed.",
    "nothing": "There is nothing to judge: no market or price was tracked in this time.",
    "unknown": "Unknown: feeds were recorded, but nothing states how much of them was observed.",
}


@dataclass
class ReportFindings:
    """Findings of a report from which its verdict is made."""

    problems: Sequence[str]  # faults in ledger and manifests
    tracked_s: int
    unseen_s: int  # tracked seconds that are gapped or unknown
    gaps: int
    failed: int  # snapshots and deltas whose hash does not match
    unexplained: int  # of them, those outside recorded gaps of their token
    unchecked: int
    differing: int  # rounds whose computed outcome is not the official one
    validation: str | None  # state of the validation report, None if none covers the time
    dead_runs: Sequence[str] = ()
    alive_runs: Sequence[str] = ()
    not_looked_at: Sequence[str] = ()  # feeds whose completeness nothing states
    defects: Sequence[str] = ()  # faults in the data of products
    care: Sequence[str] = ()  # what is missing in the data of products
    rows: int = 0  # number of rows of the data of products


@dataclass
class Verdict:
    level: Level
    reasons: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        return WORDS[self.level]


def verdict(found: ReportFindings) -> Verdict:
    defects = [f"ledger or manifests: {problem}" for problem in found.problems]
    if found.differing:
        defects.append(
            f"{found.differing:,} rounds have a computed outcome other than the official one (section 7)"
        )
    if found.unexplained:
        defects.append(
            f"{found.unexplained:,} hashes fail without a recorded gap that explains it (section 6)"
        )
    if found.validation == "fail":
        defects.append("the last `validate` failed (below)")
    if found.dead_runs:
        defects.append(
            f"runs that died and were not recovered: {', '.join(found.dead_runs)}: run `{command('recover')}`"
        )
    defects += found.defects
    care = list(found.care)
    if found.unseen_s:
        care.append(
            f"{found.unseen_s:,} of {found.tracked_s:,} tracked seconds lie in recorded gaps or are unknown "
            "(sections 2 and 3)"
        )
    if found.gaps:
        care.append(f"{found.gaps:,} recorded gaps (section 3)")
    if found.failed:
        care.append(
            f"{found.failed:,} books or changes have another hash than they state, {found.unexplained:,} of "
            "them outside recorded gaps (section 6)"
        )
    if found.unchecked:
        care.append(f"{found.unchecked:,} books or changes could not be checked (section 6)")
    if found.alive_runs:
        care.append(f"{', '.join(found.alive_runs)} still runs: its open segments are not in this report")
    if defects:
        return Verdict("defect", defects + care)
    if found.not_looked_at:
        reported = f"not checked: {', '.join(found.not_looked_at)}: their venues declare no coverage"
        care = [*care, reported] if not found.tracked_s else care
    if not found.tracked_s and not found.rows:
        return Verdict("unknown" if found.not_looked_at else "nothing", care)
    return Verdict("care" if care else "sound", care)
