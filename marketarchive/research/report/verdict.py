"""Verdict, in words, whether a recording can be trusted, from a report's findings. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from marketarchive.invocation import command

Level = Literal["defect", "care", "sound", "nothing", "unknown"]

WORDS: dict[Level, str] = {
    "defect": "Not as it stands: something in it contradicts itself or is damaged.",
    "care": "Yes, within its recorded limits: mind what is missing, below.",
    "sound": "Yes: nothing that was to be seen is missing, and nothing that was checked failed.",
    "nothing": "There is nothing to trust: no second of a market or price was to be seen in this time.",
    "unknown": "That is not known: feeds were recorded, and nothing says how much of them was seen.",
}


@dataclass
class ReportFindings:
    """Figures of a report's time range, from which its verdict is made."""

    problems: Sequence[str]  # of ledger and manifests
    tracked_s: int
    unseen_s: int  # neither observed nor quiet: gapped or unknown
    gaps: int
    failed: int  # books and changes whose hash does not come out
    unexplained: int  # of them, outside recorded gaps of their token
    unchecked: int
    differing: int  # rounds
    validation: str | None  # the state of the validation report, if there is one that touches the time
    dead_runs: Sequence[str] = ()
    alive_runs: Sequence[str] = ()
    not_looked_at: Sequence[str] = ()  # feeds of which nothing says how much was seen
    defects: Sequence[str] = ()  # of the data of products
    care: Sequence[str] = ()  # likewise
    rows: int = 0  # of these data


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
        defects.append(f"{found.differing:,} rounds end otherwise than the official outcome (section 7)")
    if found.unexplained:
        defects.append(f"{found.unexplained:,} hashes fail, and no recorded gap says why (section 6)")
    if found.validation == "fail":
        defects.append("the last `validate` failed (below)")
    if found.dead_runs:
        defects.append(
            f"runs that died and were not recovered: {', '.join(found.dead_runs)}: `{command('recover')}`"
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
        care.append(
            f"{', '.join(found.alive_runs)} still runs: what its open segment holds is not in here yet"
        )
    if defects:
        return Verdict("defect", defects + care)
    if found.not_looked_at:
        reported = f"not looked at: {', '.join(found.not_looked_at)}: their venues declare no coverage"
        care = [*care, reported] if not found.tracked_s else care
    if not found.tracked_s and not found.rows:
        return Verdict("unknown" if found.not_looked_at else "nothing", care)
    return Verdict("care" if care else "sound", care)
