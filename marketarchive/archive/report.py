"""Findings of `verify`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from marketarchive.archive.ledger import NOTHING, Head

State = Literal["passed", "passed, no book looked at", "failed", "nothing to check"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Deviation from what was written, or from what must hold."""

    path: str  # relative to OUTPUT_DIR
    what: str
    line: int | None = None  # from 1, where one can be named

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path} line {self.line}"
        return f"{where}: {self.what}"


@dataclass(slots=True)
class VerifyReport:
    """Problems found, with counts of what was really read."""

    problems: list[Problem] = field(default_factory=list)
    open: list[str] = field(default_factory=list)  # of living runs: not checked, and no problem
    moved: dict[str, str] = field(default_factory=dict)  # path -> where it is, of what is not here
    notes: list[str] = field(default_factory=list)  # allowed, and worth knowing
    checked: Counter[str] = field(default_factory=Counter)  # ledger lines, files by kind, lines, bytes
    books: Counter[str] = field(default_factory=Counter)  # verdicts
    is_about_books: bool = False  # whether they were to be looked at too
    head: Head = field(default_factory=lambda: Head(0, NOTHING))

    @property
    def state(self) -> State:
        if self.problems:
            return "failed"
        if not self.checked:
            return "nothing to check"
        return "passed, no book looked at" if self.is_about_books and not self.books else "passed"

    def problem(self, path: str, what: str, line: int | None = None) -> None:
        self.problems.append(Problem(path, what, line))

    def as_dict(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "problems": [asdict(problem) for problem in self.problems],
            "open": self.open,
            "moved": self.moved,
            "notes": self.notes,
            "checked": dict(self.checked),
            "books": dict(self.books),
            "head": str(self.head),
        }
