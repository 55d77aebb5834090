"""What is seen of a collection at a moment, and how it is shown: as a table that fits, as a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from rich import box
from rich.console import Console, Group
from rich.filesize import decimal
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Lane:
    """One asset and duration at a moment."""

    asset: str
    duration: str
    market: str  # "10:05-10:10", "" = none is under way that is known
    left_s: int | None
    share: float | None  # observed of the round's seconds so far
    bid: Decimal | None  # of Up
    ask: Decimal | None
    chainlink_s: float | None  # age of the newest observation
    gaps: int
    since: str = ""  # "10:07:03": counted from then on, the round had begun before; "" = from its opening

    @property
    def spread(self) -> Decimal | None:
        return None if self.bid is None or self.ask is None else self.ask - self.bid


@dataclass(frozen=True)
class Look:
    """Everything at a moment; rates since the look before."""

    at: str
    lanes: tuple[Lane, ...]
    rows_s: float
    frames_s: float
    written: int
    free: int
    master: str
    gaps: int  # of no asset in particular
    waiting: tuple[str, ...]  # feeds that ended by themselves
    stopping: str = ""  # why, while it ends

    def sum_up(self) -> list[str]:
        """Return the figures that are of no asset in particular."""
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


WIDTHS = {
    "asset": 5, "market": 15, "left": 5, "observed": 8, "up bid": 6, "ask": 5, "spread": 6, "chainlink": 9,
    "gaps": 4,
}  # fmt: skip
"""What each column has at least, so that none comes and goes with what stands in it."""
COLUMNS = tuple(WIDTHS)
LEAST_FIRST = ("spread", "chainlink", "ask", "up bid", "gaps", "left")
"""What a narrow terminal does without, in this order; asset, market and observed stay."""
ANY_WIDTH = Console(width=1000)
"""Measures what a table needs."""


def table(look: Look, width: int) -> Group:
    """For a terminal of `width` columns."""
    shown = list(COLUMNS)
    for name in ("", *LEAST_FIRST):
        shown = [each for each in shown if each != name]
        built = _table(look, shown)
        if Measurement.get(ANY_WIDTH, ANY_WIDTH.options, built).maximum <= width:
            break
    joined = sorted({lane.since for lane in look.lanes if lane.since})
    legend = ["observed: of the round's seconds so far"]
    if joined:
        legend.append(f"* since joined at {joined[0]}")
    return Group(
        Text(look.at, "bold"),
        Text(),
        built,
        Text(),
        Text(fold(legend, width), "dim"),
        Text(fold(look.sum_up(), width)),
    )


def _table(look: Look, columns: Sequence[str]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        justify: Literal["left", "right"] = "left" if name in ("asset", "market") else "right"
        shown.add_column(name, justify=justify, no_wrap=True, min_width=WIDTHS[name])
    unmarked = " " if any(lane.since for lane in look.lanes) else ""  # figures stand below each other
    before = ""
    for lane in look.lanes:
        is_first, before = lane.asset != before, lane.asset
        cells: dict[str, str | Text] = {
            "asset": Text(lane.asset, "bold") if is_first else "",
            "market": f"{lane.duration:>3} {lane.market or '-'}",
            "left": _left(lane.left_s),
            "observed": share_text(lane.share) + ("*" if lane.since else unmarked),
            "up bid": _price(lane.bid),
            "ask": _price(lane.ask),
            "spread": _price(lane.spread),
            "chainlink": _age(lane.chainlink_s) if is_first else "",
            "gaps": f"{lane.gaps:,}" if is_first else "",
        }
        shown.add_row(*(cells[name] for name in columns))
    return shown


def fold(parts: Sequence[str], width: int) -> str:
    """Return them one after the other, on as few lines of `width` as do not cut one in two."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return ",\n".join(lines)


def line(look: Look) -> str:
    """For a log."""
    lanes = [
        f"{lane.asset} {lane.duration} {lane.market or '-'} left {_left(lane.left_s)} "
        f"observed {share_text(lane.share)}{lane.since and f' since {lane.since}'} "
        f"up {_price(lane.bid)}/{_price(lane.ask)} spread {_price(lane.spread)} "
        f"chainlink {_age(lane.chainlink_s)} gaps {lane.gaps:,}"
        for lane in look.lanes
    ]
    return f"{look.at}: {', '.join(look.sum_up())}; {'; '.join(lanes)}"


def _left(seconds: int | None) -> str:
    return "-" if seconds is None else f"{seconds // 60}:{seconds % 60:02d}"


def share_text(share: float | None) -> str:
    """Return it in percent, cut, never rounded up: 100 % means all."""
    return "-" if share is None else f"{int(share * 1000) / 10:.1f} %"


def _price(price: Decimal | None) -> str:
    """Whole cents with both digits, so that they stand below each other; finer ones as they are."""
    if price is None:
        return "-"
    cents = round(price, 2)
    return str(cents if cents == price else price)


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"
