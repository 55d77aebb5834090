"""Live display of the catalogue while it is collected: the last cycle of each platform and phase."""

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
"""File in OUTPUT_DIR that the one process that collects the catalogue holds locked."""
COLUMNS = ("platform", "phase", "state", "pages", "markets", "failures", "begun")
LEAST_FIRST = ("failures", "pages")
"""Columns that are left out on a narrow terminal, in this order."""

Key = tuple[str, Phase]


@dataclass(frozen=True)
class CycleLines:
    """The last cycle of each platform and phase at a moment, as a display."""

    cycles: Mapping[Key, Cycle | None]
    at: int  # wall ns

    def table(self, width: int) -> Table:
        """Return the cycles as a table for a terminal of `width` characters."""
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
        """Return the cycles as texts for a log line, one per platform and phase."""
        found = []
        for (platform, phase), cycle in self.cycles.items():
            state, pages, markets, failures, age = self._cells(cycle)
            text = f"{platform} {phase} {state}"
            if cycle is not None:
                text += f" pages {pages} markets {markets} failures {failures} begun {age} ago"
            found.append(text)
        return found


class CycleListener(Listener):
    """Listener that displays the last cycle of each platform and phase.

    At most one process per OUTPUT_DIR.
    """

    def __init__(self, platforms: Sequence[str]) -> None:
        self._cycles: dict[Key, Cycle | None] = {
            (platform, phase): None for platform in platforms for phase in get_args(Phase)
        }
        self._gaps = 0

    def open(self, root: Path) -> None:
        """Claim the catalogue of OUTPUT_DIR `root`.

        Raises ArgumentError where another process collects it.
        """
        self._claim = claim(root, CLAIM_FILE)  # held until the process ends

    def apply(self, item: Any) -> None:
        if isinstance(item, Cycle):
            held = self._cycles.get((item.venue, item.phase))
            if held is None or held.order <= item.order:  # the last page's state may come after the end's
                self._cycles[item.venue, item.phase] = item
        elif isinstance(item, Gap) and item.is_first:
            self._gaps += 1

    def look(self, now: int) -> CycleLines:
        return CycleLines(dict(self._cycles), now)

    def other_gaps(self) -> int:
        return self._gaps
