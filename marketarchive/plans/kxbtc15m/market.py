"""One market of a record: its times, its strike, and what was written of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from marketarchive.items import Market
from marketarchive.times import SECOND, from_datetime
from marketarchive.venues.kalshi.tickers import Round

EXPIRATION_S = 300
"""Seconds from a market's close to its expected expiration, where the venue has not stated it yet.

All markets that were seen had this difference (August 2026).
"""


@dataclass(slots=True)
class FollowedMarket:
    """A market that the record follows; times in wall ns."""

    ticker: str
    series: str
    asset: str
    open_ns: int
    close_ns: int
    expiration_ns: int
    is_listed: bool = True  # False: known from the grid of rounds only
    strike: Decimal | None = None
    strike_ns: int = 0  # receipt of the first message with the strike
    is_plausible: bool | None = None  # whether the strike is near the proxy; None: nothing to compare with
    is_strike_written: bool = False
    day: str = ""  # of the newest file with its market_open line, like 2026-11-21
    is_settled: bool = False
    closing: list[Decimal | None] | None = None  # calculated index in each of its 60 settlement seconds
    closing_index: list[Decimal | None] | None = None  # published index in the same seconds
    final: Market | None = None  # the venue's statement of the final result

    @classmethod
    def of(cls, market: Market, asset: str) -> Self | None:
        """Return the market that an item of the venue describes.

        None is returned where the item lacks open, close or series.

        asset: that the series is about.
        """
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
        """Return the market of a round that is known from the grid only, so not listed yet."""
        expiration_ns = due.end_ns + EXPIRATION_S * SECOND
        place = due.ticker, due.series, due.asset, due.start_ns, due.end_ns
        return cls(*place, expiration_ns, is_listed=False)

    def note_listed(self, other: FollowedMarket) -> None:
        """Mark the market as listed, and set its times to those of `other`, which the venue has stated."""
        self.is_listed = True
        self.open_ns, self.close_ns, self.expiration_ns = other.open_ns, other.close_ns, other.expiration_ns

    def is_open(self, at: int) -> bool:
        """Return whether the market can be traded at a time, wall ns."""
        return self.open_ns <= at < self.close_ns
