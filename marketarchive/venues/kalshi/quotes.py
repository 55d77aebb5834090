"""Rows that Kalshi's polled or streamed books leave in `records/`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import Field

from marketarchive.items import Number, Problem, TickRow, is_crossed, series_name
from marketarchive.times import iso

AGE_MAX_S = 2.0
"""Greatest age (s) of a state that counts as observed: the venue's public answers may be copies up to
15 s old (reported, August 2026)."""

_VALUES = ("yes_bid", "yes_ask", "no_bid", "no_ask", "yes_bid_size", "yes_ask_size")

AgeSource = Literal["header", "unchanged", "new"]


class KalshiQuote(TickRow):
    """The best prices of a market at one tick.

    All values are None when is_observed is 0; those of an empty side are None too. An ask of one outcome is 1
    minus the bid for the other, with its size. seq is 0 when nothing was received.
    """

    asset: str | None
    ticker_series: str
    market_id: str  # ticker of the market
    yes_bid: Number | None = None
    yes_ask: Number | None = None
    no_bid: Number | None = None
    no_ask: Number | None = None
    yes_bid_size: Number | None = None
    yes_ask_size: Number | None = None
    is_observed: Literal[0, 1]
    # greatest age (s) that a polled state may have had at receipt
    age_s: float | None = Field(default=None, ge=0)
    age_source: AgeSource | None = None
    source: Literal["orderbook", "orderbooks", "stream"]

    @property
    def series(self) -> str:
        return series_name(self.venue, self.ticker_series)

    @property
    def subject(self) -> str:
        return self.market_id

    @property
    def observed(self) -> bool:
        return bool(self.is_observed)

    @property
    def best(self) -> tuple[Decimal | None, Decimal | None]:
        return self.yes_bid, self.yes_ask

    def columns(self) -> dict[str, Any]:
        return {
            "timestamp": iso(self.tick),
            "asset": self.asset,
            "market_id": self.market_id,
            **{name: getattr(self, name) for name in _VALUES},
            "is_observed": self.is_observed,
            "age_s": self.age_s,
            "age_source": self.age_source,
            "received_at": iso(self.received_at) if self.seq else None,
            "source": self.source,
            "run": self.run,
            "seq": self.seq or None,
        }

    def problem(self) -> Problem | None:
        if is_crossed(self.yes_bid, self.yes_ask):
            return "yes_bid", f"crossed: bid {self.yes_bid}, ask {self.yes_ask}"
        if not self.observed and any(getattr(self, name) is not None for name in _VALUES):
            return "is_observed", "0 on a row with values"
        return super().problem()

    def unobserved(self) -> Self:
        return self.model_copy(update={**dict.fromkeys(_VALUES), "is_observed": 0})
