"""Result of a check of the validation report."""

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
"""Number of the worst that are named."""


@dataclass
class CheckResult:
    """Result of one check: passed or not, its figures, its offending rows, the worst first.

    `warn`: nothing is wrong, but a recorded fact that a user of the data should know.
    """

    name: str
    title: str
    rule: str
    state: State
    figure: str  # the one that the summary shows
    figures: dict[str, int | float | None] = field(default_factory=dict)  # by what they count
    notes: list[str] = field(default_factory=list)
    offenders: list[dict[str, Any]] = field(default_factory=list)
    details: list[dict[str, Any]] = field(default_factory=list)  # what was counted, one by one

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

    venues: frozenset[str]  # whose feeds they look at
    check: Callable[[Path, Sequence[Label]], Sequence[CheckResult]]
    """Takes OUTPUT_DIR and the labels of every venue's rounds of the asked time."""


def share(part: float, of: float) -> str:
    """Format `part` of `of` as `99.98 %`; never rounded up to 100 %, nor down to 0 %."""
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
