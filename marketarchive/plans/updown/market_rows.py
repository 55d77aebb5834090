"""Display of the open up/down rounds: one row for each asset and duration."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from rich.table import Table
from rich.text import Text

from marketarchive.collecting.together.look import age_text, fitting, new_table, share_text

WIDTHS = {
    "asset": 5, "market": 15, "left": 5, "observed": 8, "up bid": 6, "ask": 5, "spread": 6, "chainlink": 9,
    "gaps": 4,
}  # fmt: skip
"""Least width of each column in characters, so that no column comes and goes with its content."""
COLUMNS = tuple(WIDTHS)
LEAST_FIRST = ("spread", "chainlink", "ask", "up bid", "gaps", "left")
"""Columns that are left out on a narrow terminal, in this order; asset, market and observed stay."""


@dataclass(frozen=True)
class MarketRow:
    """Row of the display: the open round of one asset and duration at a moment."""

    asset: str
    duration: str
    market: str  # "10:05-10:10"; "": no open round is known
    left_s: int | None  # seconds to the round's end
    share: float | None  # share observed of the round's seconds so far
    bid: Decimal | None  # best bid for Up
    ask: Decimal | None  # best ask for Up
    chainlink_s: float | None  # age of Chainlink's newest price
    gaps: int  # of the asset, since the start
    since: str = ""  # "10:07:03": start of counting within the round; "": its opening

    @property
    def spread(self) -> Decimal | None:
        """Return ask minus bid; None where one is missing."""
        return None if self.bid is None or self.ask is None else self.ask - self.bid


@dataclass(frozen=True)
class MarketRows:
    """Display of the open rounds of all assets and durations."""

    rows: tuple[MarketRow, ...]

    def table(self, width: int) -> Table:
        """Return the rows as a table for a terminal of `width` characters."""
        return fitting(width, COLUMNS, LEAST_FIRST, self._table)

    def _table(self, columns: list[str]) -> Table:
        shown = new_table(columns, left=("asset", "market"), widths=WIDTHS)
        unmarked = " " if any(row.since for row in self.rows) else ""  # figures stand below each other
        before = ""
        for row in self.rows:
            is_first, before = row.asset != before, row.asset
            cells: dict[str, str | Text] = {
                "asset": Text(row.asset, "bold") if is_first else "",
                "market": f"{row.duration:>3} {row.market or '-'}",
                "left": _left(row.left_s),
                "observed": share_text(row.share) + ("*" if row.since else unmarked),
                "up bid": _price(row.bid),
                "ask": _price(row.ask),
                "spread": _price(row.spread),
                "chainlink": age_text(row.chainlink_s) if is_first else "",
                "gaps": f"{row.gaps:,}" if is_first else "",
            }
            shown.add_row(*(cells[name] for name in columns))
        return shown

    def legend(self) -> list[str]:
        """Return the legend of the column `observed`."""
        legend = ["observed: of the round's seconds so far"]
        if joined := sorted({row.since for row in self.rows if row.since}):
            legend.append(f"* since joined at {joined[0]}")
        return legend

    def lines(self) -> list[str]:
        """Return the rows as texts for a log line, one per asset and duration."""
        return [
            f"{row.asset} {row.duration} {row.market or '-'} left {_left(row.left_s)} "
            f"observed {share_text(row.share)}{row.since and f' since {row.since}'} "
            f"up {_price(row.bid)}/{_price(row.ask)} spread {_price(row.spread)} "
            f"chainlink {age_text(row.chainlink_s)} gaps {row.gaps:,}"
            for row in self.rows
        ]


def _left(seconds: int | None) -> str:
    return "-" if seconds is None else f"{seconds // 60}:{seconds % 60:02d}"


def _price(price: Decimal | None) -> str:
    """Return a price as text with two decimals, so that prices align; a finer one with all its digits."""
    if price is None:
        return "-"
    cents = round(price, 2)
    return str(cents if cents == price else price)
