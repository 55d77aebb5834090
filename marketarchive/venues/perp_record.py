"""The row that a polling tick of a perpetual leaves in `records/`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field

from marketarchive.items import Number, Problem, TickRow, series_name
from marketarchive.times import from_datetime, iso

_VALUES = (
    *("mark", "index", "funding_kind", "funding_rate", "funding_rate_short", "funding_interval_s"),
    *("next_funding_at", "open_interest"),
)


class PerpRecord(TickRow):
    """The values of one perpetual at one due tick; all are None when is_observed is 0.

    Prices are in quote currency per base unit, rates are fractions per `funding_interval_s` (positive: longs
    pay), open interest is in base units. When a tick takes several requests, the values of a failed one are
    None beside those of the others.
    """

    asset: str
    market_id: str = Field(min_length=1)  # name of the contract at the venue
    mark: Number | None = None
    index: Number | None = None
    funding_kind: Literal["predicted", "continuous"] | None = None
    funding_rate: Number | None = None
    funding_rate_short: Number | None = None  # rate that shorts receive; None: the same as longs pay
    funding_interval_s: int | None = None
    next_funding_at: datetime | None = None
    open_interest: Number | None = None  # one side's sum: a long and its short count once
    is_observed: Literal[0, 1]
    source: str  # URL paths of the requests

    @property
    def series(self) -> str:
        return series_name("perps", self.venue, self.asset)

    @property
    def subject(self) -> str:
        return self.market_id

    @property
    def observed(self) -> bool:
        return bool(self.is_observed)

    def columns(self) -> dict[str, Any]:
        due = self.next_funding_at
        return {
            "timestamp": iso(self.tick),
            "asset": self.asset,
            "market_id": self.market_id,
            "mark": self.mark,
            "index": self.index,
            "funding_kind": self.funding_kind,
            "funding_rate": self.funding_rate,
            "funding_rate_short": self.funding_rate_short,
            "funding_interval_s": self.funding_interval_s,
            "next_funding_at": None if due is None else iso(from_datetime(due)),
            "open_interest": self.open_interest,
            "is_observed": self.is_observed,
            "received_at": iso(self.received_at) if self.observed else None,
            "source": self.source,
            "run": self.run,
            "seq": self.seq or None,
        }

    def problem(self) -> Problem | None:
        values = [getattr(self, name) for name in _VALUES]
        if self.observed == all(each is None for each in values):
            return "is_observed", f"{self.is_observed} on a row of {values}"
        for name in ("mark", "index"):
            price = getattr(self, name)
            if price is not None and not (price.is_finite() and price > 0):
                return name, f"{price} is not a price"
        if self.open_interest is not None and self.open_interest < 0:
            return "open_interest", f"{self.open_interest} is negative"
        return super().problem()

    def unobserved(self) -> Self:
        return self.model_copy(update={**dict.fromkeys(_VALUES), "is_observed": 0, "seq": 0})
