"""Display of the open rounds, a row for each asset and duration."""

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
"""What each column has at least, so that none comes and goes with what stands in it."""
COLUMNS = tuple(WIDTHS)
LEAST_FIRST = ("spread", "chainlink", "ask", "up bid", "gaps", "left")
"""What a narrow terminal does without, in this order; asset, market and observed stay."""


@dataclass(frozen=True)
class MarketRow:
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
        """Return ask minus bid, None where one is missing."""
        return None if self.bid is None or self.ask is None else self.ask - self.bid


@dataclass(frozen=True)
class MarketRows:
    """All of them."""

    rows: tuple[MarketRow, ...]

    def table(self, width: int) -> Table:
        """Return the table for a terminal of `width` columns."""
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
        """Return the table's content as lines for a log."""
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
    """Return whole cents with both digits, so that they stand below each other; finer ones as they are."""
    if price is None:
        return "-"
    cents = round(price, 2)
    return str(cents if cents == price else price)
