"""The items that travel from spiders through the pipelines: few, typed, immutable.

`Response`, `Frames`, `Connection`, `Gap`, `Invalid` become lines of the raw archive; `Market`,
`Resolution`, `PriceSnapshot` go to the market master; `Quote`, `ReferencePrice` go to records/. Times are
integer nanoseconds UTC on the project's clock unless a field says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

GapReason = Literal[
    "disconnect",
    "stall",
    "sequence",
    "checksum",
    "hash",
    "missed_tick",
    "rate_limited",
    "blocked",
    "dns",
    "tls",
    "clock",
    "crash",
    "disk",
]
Cause = Literal["ours", "venue", "upstream", "unknown"]
ConnectionEvent = Literal["opened", "subscribed", "unsubscribed", "closed"]
Verdict = Literal["ok", "failed", "unchecked", "not_available"]


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP exchange, whatever its status; payload is the body after Content-Encoding is undone."""

    venue: str
    feed: str
    received_at: int
    seq: int
    method: str
    url: str  # as really asked, without the query
    params: Mapping[str, Any]  # the query: a string, or a list of strings where a key repeats
    status: int
    headers: Mapping[str, str]  # the chosen few, lower case
    latency_ms: float
    payload: bytes
    body: bytes | None = None  # the request's body
    flags: tuple[str, ...] = ()  # e.g. dataloss: the body ended before its Content-Length


@dataclass(frozen=True, slots=True)
class Frames:
    """Many frames of one connection in one item, so that per-item cost does not limit a stream."""

    venue: str
    feed: str
    connection: str
    frames: tuple[tuple[int, int, bytes], ...]  # (received_at, seq, payload)


@dataclass(frozen=True, slots=True)
class Connection:
    """A socket opened or closed, or something subscribed on it meanwhile."""

    venue: str
    feed: str
    received_at: int
    seq: int
    connection: str
    event: ConnectionEvent
    url: str
    subscribe: tuple[str, ...] = ()  # the exact texts that were sent
    close_code: int | None = None
    close_reason: str | None = None


@dataclass(frozen=True, slots=True)
class BookState:
    """The live book of an asset at a rotation, so that a segment can be replayed alone."""

    venue: str
    feed: str
    received_at: int
    connection: str
    asset: str
    derived_from_seq: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in which something could have been observed and was not."""

    venue: str
    feed: str
    received_at: int  # when the gap was noticed
    seq: int
    from_ns: int
    to_ns: int | None  # None: until the next line of this venue, feed and scope
    scope: Mapping[str, Any]  # connection, market, asset, endpoint, ...: what was not observed
    reason: GapReason
    cause: Cause
    detail: str = ""  # one line for a reader: status, exception, count


@dataclass(frozen=True, slots=True)
class Invalid:
    """Something in a message (its line is already in raw) that did not make a valid item."""

    venue: str
    feed: str
    received_at: int
    ref_seq: int
    item: str
    error: str
    fields: tuple[str, ...] = ()


RAW = (Response, Frames, Connection, BookState, Gap, Invalid)
"""What becomes lines of the raw archive."""


class Derived(BaseModel):
    """What every item made from a message carries: where it came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    venue: str
    feed: str
    received_at: int
    seq: int
    # set by the stamp pipeline
    collected_at_utc: str = ""
    run: str = ""
    collector: str = ""


class Market(Derived):
    """A market as one message described it; None = the message did not say."""

    platform: str
    market_id: str = Field(min_length=1)  # Polymarket: condition id
    slug: str | None = None
    title: str | None = None
    description: str | None = None
    category: str | None = None
    outcomes: tuple[str, ...] | None = None
    tokens: dict[str, str] | None = None  # outcome label -> token id
    asset: str | None = None
    series: str | None = None
    duration: str | None = None  # 5m, 15m, 1h, 4h, 1d
    start_at: datetime | None = None
    end_at: datetime | None = None
    volume: Decimal | None = Field(default=None, ge=0)
    liquidity: Decimal | None = Field(default=None, ge=0)
    status: Literal["active", "closed", "resolved"] | None = None
    strike: Decimal | None = None
    strike_source: str | None = None
    settlement: Decimal | None = None
    settlement_source: str | None = None
    resolution: str | None = None
    payouts: tuple[str, ...] | None = None  # decimal strings, dollars per share, in the order of outcomes
    resolution_source: str | None = None
    rule: str | None = None
    resolved_at: datetime | None = None
    protocol_version: str | None = None
    tick_size: Decimal | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> Market:
        if self.tokens is not None and self.outcomes is not None and set(self.tokens) != set(self.outcomes):
            raise ValueError("tokens: labels differ from outcomes")
        if self.start_at and self.end_at and self.start_at >= self.end_at:
            raise ValueError("end_at: not after start_at")
        if self.resolution is not None and self.outcomes is not None and self.resolution not in self.outcomes:
            raise ValueError("resolution: not one of outcomes")
        return self


class Resolution(Derived):
    """What a venue says about the outcome of a market it has closed."""

    platform: str
    market_id: str = Field(min_length=1)
    status: Literal["closed", "resolved"]
    resolution: str | None = None  # the winner's label, where the message has labels; None on a split
    payouts: tuple[str, ...] | None = None  # decimal strings, dollars per share, in the venue's outcome order
    resolution_source: str
    resolved_at: datetime | None = None


class PriceSnapshot(Derived):
    """Prices of a market's first (yes) and second (no) outcome at one moment, dollars per share."""

    platform: str
    market_id: str = Field(min_length=1)
    yes_price: Decimal | None = Field(default=None, ge=0, le=1)
    no_price: Decimal | None = Field(default=None, ge=0, le=1)
    volume: Decimal | None = Field(default=None, ge=0)
    liquidity: Decimal | None = Field(default=None, ge=0)
    spread: Decimal | None = Field(default=None, ge=0, le=1)


class Quote(Derived):
    """Best prices of both outcomes of a market at one due tick; values are None when is_observed is 0.

    `up_*` is the outcome labelled Up (else the first), `down_*` the other. seq is 0 when nothing arrived.
    """

    timestamp: datetime  # the due tick
    asset: str | None
    market_id: str  # slug
    condition_id: str
    up_bid: Decimal | None = None
    up_ask: Decimal | None = None
    down_bid: Decimal | None = None
    down_ask: Decimal | None = None
    is_observed: Literal[0, 1]
    preopen: Literal[0, 1] = 0
    source: str
    verified: Verdict = "not_available"

    @staticmethod
    def mid(bid: Decimal | None, ask: Decimal | None) -> Decimal | None:
        """Half way between bid and ask; None when either is missing."""
        return None if bid is None or ask is None else (bid + ask) / 2


class ReferencePrice(Derived):
    """A reference price of one second by one source; values are None when is_observed is 0, never carried.

    `mid` is the source's own, not half of bid and ask. seq is 0 when nothing was observed.
    """

    timestamp: datetime | None  # when the source observed it; None where it does not say
    asset: str
    mid: Decimal | None = Field(default=None, gt=0)
    bid: Decimal | None = Field(default=None, gt=0)
    ask: Decimal | None = Field(default=None, gt=0)
    is_observed: Literal[0, 1]
    tick_at: datetime  # the whole second: of the observation, without one of the receipt
    source: str  # page, page_twap60, page_twap30, page_text, rtds


DERIVED: tuple[type[Derived], ...] = (Market, Resolution, PriceSnapshot, Quote, ReferencePrice)
"""What is made from messages, each with typed fields."""
