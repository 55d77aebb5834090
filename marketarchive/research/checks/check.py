"""Result of one check of the validation report, and what a product declares to add checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import duckdb

    from marketarchive.research.labels.label import Label

State = Literal["pass", "warn", "fail", "nothing to check"]
STATES: tuple[State, ...] = ("pass", "warn", "fail", "nothing to check")

OFFENDERS = 10
"""Number of offending rows that a check lists, the worst first."""


@dataclass
class CheckResult:
    """Result of one check: its state, its figures, and its offending rows, the worst first.

    State `warn`: nothing is wrong with the data, but a user of them should know a recorded fact.
    """

    name: str
    title: str
    rule: str
    state: State
    figure: str  # the sentence that the summary shows
    figures: dict[str, int | float | None] = field(default_factory=dict)  # name of what is counted -> count
    notes: list[str] = field(default_factory=list)
    offenders: list[dict[str, Any]] = field(default_factory=list)
    details: list[dict[str, Any]] = field(default_factory=list)  # a row for each thing that was checked

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "state": self.state,
            "figure": self.figure,
            "rule": self.rule,
            "figures": self.figures,
            "notes": self.notes,
            "offenders": self.offenders,
            "details": self.details,
        }


@dataclass(frozen=True)
class ProductChecks:
    """Checks that a product adds to `scrapy validate`: `CHECKS` in `research/products/<name>/checks.py`."""

    venues: frozenset[str]  # venues whose feeds the checks read
    check: Callable[[Path, Sequence[Label]], Sequence[CheckResult]]
    """Takes OUTPUT_DIR and the labels of all venues' rounds in the validated time."""


def share(part: float, of: float) -> str:
    """Format part / of as a percentage like `99.98 %`; only a whole is `100.00 %`, only nothing `0.00 %`."""
    if not of:
        return "none to count"
    percent = 100 * part / of
    if part not in (0, of):
        percent = min(max(percent, 0.01), 99.99)
    return f"{percent:.2f} %"


def dicts(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found = connection.execute(query)
    columns = [column[0] for column in found.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
