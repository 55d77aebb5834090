"""Figures of a collection at a moment, shown as a table that fits, or as a line."""

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
    """Contents that a listener shows at a moment."""

    def table(self, width: int) -> Table:
        """Return the table for a terminal of `width` columns."""

    def legend(self) -> Sequence[str]:
        """Return the legend of the display's signs."""

    def lines(self) -> Sequence[str]:
        """Return the content as lines for a log, which joins them by semicolons."""


@dataclass(frozen=True)
class StatusSnapshot:
    """Figures at a moment; rates since the look before."""

    at: str
    parts: tuple[ViewPart, ...]
    rows_s: float
    frames_s: float
    written: int
    free: int
    master: str
    gaps: int  # that no part shows
    waiting: tuple[str, ...]  # feeds that ended by themselves
    stopping: str = ""  # why, while it ends

    def sum_up(self) -> list[str]:
        """Return the figures that are of no part."""
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
"""Measures what a table needs."""


def table(look: StatusSnapshot, width: int) -> Group:
    """Render for a terminal of `width` columns."""
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
    """Return a table of so many columns that it fits. least_first: what it does without, in this order."""
    shown = list(columns)
    for name in ("", *least_first):
        shown = [each for each in shown if each != name]
        built = build(shown)
        if Measurement.get(ANY_WIDTH, ANY_WIDTH.options, built).maximum <= width:
            break
    return built


def new_table(columns: Sequence[str], left: Sequence[str], widths: Mapping[str, int] | None = None) -> Table:
    """Return one without rows. widths: what columns have at least, so that none comes and goes."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        justify: Literal["left", "right"] = "left" if name in left else "right"
        made.add_column(name, justify=justify, no_wrap=True, min_width=(widths or {}).get(name))
    return made


def fold(parts: Sequence[str], width: int) -> str:
    """Return them one after the other, on as few lines of `width` as do not cut one in two."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return ",\n".join(lines)


def line(look: StatusSnapshot) -> str:
    """Render as one line for a log."""
    parts = [text for part in look.parts for text in part.lines()]
    return f"{look.at}: {', '.join(look.sum_up())}" + (f"; {'; '.join(parts)}" if parts else "")


def share_text(share: float | None) -> str:
    """Return a share in percent, cut, never rounded up: 100 % means all."""
    return "-" if share is None else f"{int(share * 1000) / 10:.1f} %"


def age_text(seconds: float | None) -> str:
    """Return the seconds since something, "-" where it never was."""
    return "-" if seconds is None else f"{seconds:.1f} s"
