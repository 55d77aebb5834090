"""Figures of a collection at a moment, rendered as a table that fits the terminal, or as a log line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from rich import box
from rich.console import Console, Group
from rich.filesize import decimal
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text


class ViewPart(Protocol):
    """Protocol of what one listener shows at a moment."""

    def table(self, width: int) -> Table:
        """Return the table for a terminal of `width` characters."""

    def legend(self) -> Sequence[str]:
        """Return explanations of the table's signs, one text each."""

    def lines(self) -> Sequence[str]:
        """Return the content as texts for a log line, which joins them by semicolons."""


@dataclass(frozen=True)
class StatusSnapshot:
    """Figures of a collection at a moment; rates are since the snapshot before."""

    at: str
    parts: tuple[ViewPart, ...]
    rows_s: float  # rows a second
    frames_s: float  # frames a second
    written: int  # bytes
    free: int  # bytes
    master: str
    gaps: int  # number of gaps that no part shows
    waiting: tuple[str, ...]  # spiders that ended by themselves and are to be restarted
    stopping: str = ""  # why the collection is ending; "": it is not

    def sum_up(self) -> list[str]:
        """Return the figures of the whole collection as texts: rates, bytes, gaps, feeds that wait."""
        found = [
            f"{self.rows_s:.1f} rows/s",
            f"{self.frames_s:,.0f} frames/s",
            f"written {decimal(self.written)}",
            f"free {decimal(self.free)}",
            f"master {self.master}",
            f"other gaps {self.gaps}",
        ]
        if self.waiting:
            found.append(f"WAITING TO START AGAIN: {', '.join(self.waiting)}")
        if self.stopping:
            found.append(f"STOPPING ({self.stopping}): all files are sealed")
        return found


ANY_WIDTH = Console(width=1000)
"""Console on which the width that a table needs is measured."""


def table(look: StatusSnapshot, width: int) -> Group:
    """Return the snapshot rendered for a terminal of `width` characters."""
    shown: list[Text | Table] = [Text(look.at, "bold")]
    for part in look.parts:
        shown += [Text(), part.table(width)]
    shown.append(Text())
    if legend := [each for part in look.parts for each in part.legend()]:
        shown.append(Text(fold(legend, width), "dim"))
    return Group(*shown, Text(fold(look.sum_up(), width)))


def fitting(
    width: int, columns: Sequence[str], least_first: Sequence[str], build: Callable[[list[str]], Table]
) -> Table:
    """Return a table with as many columns as fit into `width` characters.

    columns: all names; least_first: those that are left out first, in order; build: makes a table of some
    columns.
    """
    shown = list(columns)
    for name in ("", *least_first):
        shown = [each for each in shown if each != name]
        built = build(shown)
        if Measurement.get(ANY_WIDTH, ANY_WIDTH.options, built).maximum <= width:
            break
    return built


def new_table(columns: Sequence[str], left: Sequence[str], widths: Mapping[str, int] | None = None) -> Table:
    """Return a table without rows.

    left: columns that are aligned to the left; widths: least width of a column, so that tables with other
    content have the same columns.
    """
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        justify: Literal["left", "right"] = "left" if name in left else "right"
        made.add_column(name, justify=justify, no_wrap=True, min_width=(widths or {}).get(name))
    return made


def fold(parts: Sequence[str], width: int) -> str:
    """Return texts joined by commas on as few lines as possible, without breaking a text.

    width: characters.
    """
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return ",\n".join(lines)


def line(look: StatusSnapshot) -> str:
    """Return the snapshot as one line for a log."""
    parts = [text for part in look.parts for text in part.lines()]
    return f"{look.at}: {', '.join(look.sum_up())}" + (f"; {'; '.join(parts)}" if parts else "")


def share_text(share: float | None) -> str:
    """Return a share (0 to 1) in percent, rounded down so that 100 % means all; "-" for None."""
    return "-" if share is None else f"{int(share * 1000) / 10:.1f} %"


def age_text(seconds: float | None) -> str:
    """Return an age in seconds as text; "-" for None."""
    return "-" if seconds is None else f"{seconds:.1f} s"
