"""Findings of `scrapy verify`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from marketarchive.archive.ledger import NOTHING, Head

State = Literal["passed", "passed, no books checked", "failed", "nothing to check"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One deviation of the archive from its ledger, or from its format."""

    path: str  # relative to OUTPUT_DIR
    what: str
    line: int | None = None  # number from 1; None where the problem is of the whole file

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path} line {self.line}"
        return f"{where}: {self.what}"


@dataclass(slots=True)
class VerifyReport:
    """Problems that `scrapy verify` found, with counts of the files and lines that it read."""

    problems: list[Problem] = field(default_factory=list)
    open: list[str] = field(default_factory=list)  # open files of living runs: not checked, and no problem
    moved: dict[str, str] = field(default_factory=dict)  # path -> remote location, of files that are not here
    notes: list[str] = field(default_factory=list)  # no problems, but worth knowing
    checked: Counter[str] = field(default_factory=Counter)  # ledger lines, files by kind, lines, bytes
    books: Counter[str] = field(default_factory=Counter)  # number of books by verdict (ok, failed, ...)
    is_about_books: bool = False  # True if books were to be checked too
    head: Head = field(default_factory=lambda: Head(0, NOTHING))

    @property
    def state(self) -> State:
        if self.problems:
            return "failed"
        if not self.checked:
            return "nothing to check"
        return "passed, no books checked" if self.is_about_books and not self.books else "passed"

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
