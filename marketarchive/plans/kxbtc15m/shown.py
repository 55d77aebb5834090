"""Live display of a record while it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from rich.table import Table

from marketarchive.collecting.together.listener import Share
from marketarchive.collecting.together.look import fitting, new_table, share_text
from marketarchive.plans.kxbtc15m.lines import cents
from marketarchive.plans.kxbtc15m.market import FollowedMarket
from marketarchive.plans.kxbtc15m.quotes import YesQuote
from marketarchive.times import SECOND

COLUMNS = ("series", "market", "left", "strike", "yes bid", "ask", "ticks", "observed")
LEAST_FIRST = ("strike", "ask", "yes bid", "left")
"""Columns that are left out on a narrow terminal, in this order."""


@dataclass(frozen=True)
class ShownMarket:
    """Row of the display: an open market of a series at a moment."""

    series: str
    ticker: str
    left_s: int
    strike: Decimal | None
    quote: YesQuote | None
    ticks: Share

    def cells(self) -> dict[str, str]:
        """Return the text of each column of the row, by column name."""
        minutes, rest = divmod(self.left_s, 60)
        bid, ask = (None, None) if self.quote is None else (self.quote.yes_bid, self.quote.yes_ask)
        return {
            "series": self.series,
            "market": self.ticker,
            "left": f"{minutes}:{rest:02d}",
            "strike": _text(self.strike),
            "yes bid": _text(cents(bid)),
            "ask": _text(cents(ask)),
            "ticks": f"{self.ticks.due:,}",
            "observed": share_text(self.ticks.value),
        }


@dataclass
class Counts:
    """Counts of the markets and ticks recorded of a series since the start, and the newest quote."""

    markets: int = 0
    ticks: Share = field(default_factory=Share)
    newest: YesQuote | None = None

    def count(self, quote: YesQuote | None, *, is_observed: bool) -> None:
        """Count a tick with its quote; is_observed: as its line states."""
        self.ticks += Share(int(is_observed), 1)
        self.newest = quote

    def shown(self, market: FollowedMarket, now: int) -> ShownMarket:
        """Return the display's row for an open market of the series; now: wall ns."""
        left_s = (market.close_ns - now) // SECOND
        return ShownMarket(market.series, market.ticker, left_s, market.strike, self.newest, self.ticks)


@dataclass(frozen=True)
class Shown:
    """Display of all open markets at a moment: quotes, strikes, time left, counts."""

    rows: tuple[ShownMarket, ...]

    def table(self, width: int) -> Table:
        """Return the display as a table for a terminal of `width` characters."""
        return fitting(width, COLUMNS, LEAST_FIRST, self._table)

    def _table(self, columns: list[str]) -> Table:
        made = new_table(columns, left=("series", "market"))
        for row in self.rows:
            cells = row.cells()
            made.add_row(*(cells[name] for name in columns))
        return made

    def legend(self) -> list[str]:
        """Return the explanation of the columns `ticks` and `observed`."""
        return ["ticks and observed: of the series since the start"]

    def lines(self) -> list[str]:
        """Return the display as texts for a log line, one per open market."""
        return [
            f"{cells['market']} left {cells['left']} strike {cells['strike']} yes bid {cells['yes bid']} "
            f"ask {cells['ask']} ticks {cells['ticks']} observed {cells['observed']}"
            for cells in (row.cells() for row in self.rows)
        ]


def _text(value: Decimal | float | None) -> str:
    return "-" if value is None else f"{value:,}"
