"""View of the catalogue while it is collected: the last cycle of each platform and phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from rich.table import Table

from marketarchive.collecting.together.claim import claim
from marketarchive.collecting.together.listener import Listener
from marketarchive.collecting.together.look import age_text, fitting, new_table
from marketarchive.items import Cycle, Gap, Phase
from marketarchive.times import to_seconds

CLAIM_FILE = ".catalog.pid"
"""In OUTPUT_DIR, held locked by the one process that keeps the catalogue there."""
COLUMNS = ("platform", "phase", "state", "pages", "markets", "failures", "begun")
LEAST_FIRST = ("failures", "pages")
"""Columns that a narrow terminal does without, in this order."""

Key = tuple[str, Phase]


@dataclass(frozen=True)
class CycleLines:
    """The last cycle of each platform and phase at a moment."""

    cycles: Mapping[Key, Cycle | None]
    at: int  # wall ns

    def table(self, width: int) -> Table:
        """Return the table for a terminal of `width` columns."""
        return fitting(width, COLUMNS, LEAST_FIRST, self._table)

    def _table(self, columns: list[str]) -> Table:
        made = new_table(columns, left=("platform", "phase", "state"))
        for key, cycle in self.cycles.items():
            cells = dict(zip(COLUMNS, (*key, *self._cells(cycle)), strict=True))
            made.add_row(*(cells[column] for column in columns))
        return made

    def _cells(self, cycle: Cycle | None) -> Sequence[str]:
        if cycle is None:
            return ("waiting", "-", "-", "-", "-")
        counts = (f"{count:,}" for count in (cycle.pages, cycle.markets, cycle.failures))
        return (cycle.state, *counts, age_text(to_seconds(self.at - cycle.started)))

    def legend(self) -> list[str]:
        """Return no legend: the columns explain themselves."""
        return []

    def lines(self) -> list[str]:
        """Return the table's content as lines for a log."""
        found = []
        for (platform, phase), cycle in self.cycles.items():
            state, pages, markets, failures, age = self._cells(cycle)
            text = f"{platform} {phase} {state}"
            if cycle is not None:
                text += f" pages {pages} markets {markets} failures {failures} begun {age} ago"
            found.append(text)
        return found


class CycleListener(Listener):
    """Listener to the cycles of some platforms; one process on an OUTPUT_DIR has it."""

    def __init__(self, platforms: Sequence[str]) -> None:
        self._cycles: dict[Key, Cycle | None] = {
            (platform, phase): None for platform in platforms for phase in get_args(Phase)
        }
        self._gaps = 0

    def open(self, root: Path) -> None:
        """Make sure that no other process keeps the catalogue. Raises ArgumentError where one does."""
        self._claim = claim(root, CLAIM_FILE)  # held until the process ends

    def apply(self, item: Any) -> None:
        if isinstance(item, Cycle):
            self._cycles[item.venue, item.phase] = item
        elif isinstance(item, Gap) and item.is_first:
            self._gaps += 1

    def look(self, now: int) -> CycleLines:
        return CycleLines(dict(self._cycles), now)

    def other_gaps(self) -> int:
        return self._gaps
