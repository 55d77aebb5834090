"""One market of a record: what was recorded of it, and what is known."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from marketarchive.items import Market
from marketarchive.times import SECOND, from_datetime
from marketarchive.venues.kalshi.tickers import Round

EXPIRATION_S = 300
"""From the close to the expected expiration, where the market's row has not come: of all that were seen
(August 2026)."""


@dataclass(slots=True)
class FollowedMarket:
    """A market that the record follows; times in wall ns."""

    ticker: str
    series: str
    asset: str
    open_ns: int
    close_ns: int
    expiration_ns: int
    is_listed: bool = True  # False: only the grid says so yet
    strike: Decimal | None = None
    strike_ns: int = 0  # when it was first known
    is_plausible: bool | None = None  # whether the strike is near the proxy; None: nothing to compare with
    is_strike_written: bool = False
    day: str = ""  # of the newest file that has its market_open
    is_settled: bool = False
    closing: list[Decimal | None] | None = None  # the proxy in each of the 60 seconds of its settlement
    closing_index: list[Decimal | None] | None = None  # the same of the index itself
    final: Market | None = None  # what says how it ended

    @classmethod
    def of(cls, market: Market, asset: str) -> Self | None:
        """Return a market by its row, None where the row does not state when it is open."""
        if market.start_at is None or market.end_at is None or market.series is None:
            return None
        close_ns = from_datetime(market.end_at)
        expected = market.expected_end_at
        return cls(
            market.market_id,
            market.series,
            asset,
            from_datetime(market.start_at),
            close_ns,
            close_ns + EXPIRATION_S * SECOND if expected is None else from_datetime(expected),
        )

    @classmethod
    def of_round(cls, due: Round) -> Self:
        """Return the market of a place on the grid."""
        expiration_ns = due.end_ns + EXPIRATION_S * SECOND
        place = due.ticker, due.series, due.asset, due.start_ns, due.end_ns
        return cls(*place, expiration_ns, is_listed=False)

    def note_listed(self, other: FollowedMarket) -> None:
        """Take over the times that the market's own row has."""
        self.is_listed = True
        self.open_ns, self.close_ns, self.expiration_ns = other.open_ns, other.close_ns, other.expiration_ns

    def is_open(self, at: int) -> bool:
        """Return whether it can be traded at a moment."""
        return self.open_ns <= at < self.close_ns
