"""Rows that Polymarket's feeds leave in `records/`: quotes of rounds, prices of RTDS topics."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import field_validator

from marketarchive.items import (
    POLL_GRACE_S,
    Number,
    Problem,
    ReferencePrice,
    TickRow,
    Verdict,
    is_crossed,
    midpoint,
    series_name,
)
from marketarchive.times import iso
from marketarchive.venues.polymarket.rtds import TOPICS

GRACE_S = {"books": POLL_GRACE_S, "stream": 5}
"""Source of a row -> seconds after its tick within which it must be written; rows of the stream wait so
long where they are made."""

_PRICES = ("up_bid", "up_ask", "down_bid", "down_ask")


class Quote(TickRow):
    """The best prices of both outcomes of a market at one due tick; all are None when is_observed is 0.

    `up_*` belongs to the outcome labelled Up (else the first), `down_*` to the other. seq is 0 when nothing
    was received.
    """

    asset: str | None
    market_id: str  # slug of the market
    condition_id: str | None  # None while the venue has not stated it
    up_bid: Number | None = None
    up_ask: Number | None = None
    down_bid: Number | None = None
    down_ask: Number | None = None
    is_observed: Literal[0, 1]
    preopen: Literal[0, 1] = 0
    source: Literal["books", "stream"]
    verified: Verdict = "not_available"

    @property
    def series(self) -> str:
        return series_name(self.venue, self.asset or "other")

    @property
    def grace_s(self) -> float:
        return GRACE_S[self.source]

    @property
    def subject(self) -> str:
        return self.market_id

    @property
    def observed(self) -> bool:
        return bool(self.is_observed)

    @property
    def best(self) -> tuple[Decimal | None, Decimal | None]:
        return self.up_bid, self.up_ask

    def columns(self) -> dict[str, Any]:
        """Return the columns of the row: those that the user named, in their order, then the others."""
        return {
            "timestamp": iso(self.tick),
            "asset": self.asset,
            "market_id": self.market_id,
            "up_mid": midpoint(self.up_bid, self.up_ask),
            "up_bid": self.up_bid,
            "up_ask": self.up_ask,
            "down_mid": midpoint(self.down_bid, self.down_ask),
            "down_bid": self.down_bid,
            "down_ask": self.down_ask,
            "is_observed": self.is_observed,
            "received_at": iso(self.received_at) if self.observed else None,
            "preopen": self.preopen,
            "source": self.source,
            "condition_id": self.condition_id,
            "verified": self.verified,
            "run": self.run,
            "seq": self.seq or None,
        }

    def problem(self) -> Problem | None:
        for side, bid, ask in (("up", self.up_bid, self.up_ask), ("down", self.down_bid, self.down_ask)):
            if is_crossed(bid, ask):
                return f"{side}_bid", f"crossed: bid {bid}, ask {ask}"
        if not self.observed and any(getattr(self, name) is not None for name in _PRICES):
            return "is_observed", "0 on a row with values"
        return super().problem()

    def unobserved(self) -> Self:
        return self.model_copy(update={**dict.fromkeys(_PRICES), "is_observed": 0})


class TopicPrice(ReferencePrice):
    """The price of one second of an RTDS topic; topics have no bid and ask. Each topic is a series."""

    topic: str  # a key of TOPICS

    @field_validator("topic")
    @classmethod
    def _known(cls, topic: str) -> str:
        if topic not in TOPICS:
            raise ValueError(f"not one of {', '.join(TOPICS)}")
        return topic

    @property
    def series(self) -> str:
        return series_name("reference", TOPICS[self.topic].name)

    def columns(self) -> dict[str, Any]:
        window_s = TOPICS[self.topic].window_s
        return super().columns() | ({} if window_s is None else {"window_s": window_s})
