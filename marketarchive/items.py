"""The items that spiders give to the pipelines: few, typed, immutable.

`Response`, `Frames`, `Connection`, `Gap`, `Invalid`, `Cycle` become lines of the raw archive; `Market`,
`Resolution`, `PriceSnapshot`, `Headline`, `Cycle` go to the market master; every `Row` goes to records/.
Times are integer nanoseconds UTC on the project's clock unless a field says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from marketarchive.gap_lines import is_first, is_void
from marketarchive.scope import Scope
from marketarchive.times import MICROSECOND, from_datetime, iso

GapReason = Literal[
    "disconnect",
    "stall",
    "sequence",
    "checksum",
    "hash",
    "missed_tick",
    "rate_limited",
    "blocked",
    "not_served",
    "dns",
    "tls",
    "clock",
    "crash",
    "disk",
]
Cause = Literal["ours", "venue", "upstream", "unknown"]
ConnectionEvent = Literal["opened", "subscribed", "unsubscribed", "closed"]
Verdict = Literal["ok", "failed", "unchecked", "not_available"]
ResultKind = Literal["winner", "scalar", "void"]
"""Kind of a result by its payment: one outcome gets all, each outcome a part, or none.

A field of this type is None where the venue does not state it.
"""
Unit = Literal["dollars", "contracts"]
"""Unit of a market's volume or liquidity."""
ResolutionState = Literal["proposed", "disputed", "final"]
"""State of a result before it is paid, where the venue states it."""
Phase = Literal["discover", "snapshot", "resolve"]
CycleState = Literal["running", "complete", "incomplete"]
"""State of a catalogue cycle; `incomplete`: it ended before it had read all pages."""
Problem = tuple[str, str]
"""(name of a field, what is wrong with it)."""


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP exchange, whatever its status.

    `payload` is the answer's body after decoding Content-Encoding.
    """

    venue: str
    feed: str
    received_at: int
    seq: int
    method: str
    url: str  # as requested, without the query
    params: Mapping[str, Any]  # the query: a string per key, a list of strings where a key repeats
    status: int
    headers: Mapping[str, str]  # a selection of the answer's headers, names in lower case
    latency_ms: float
    payload: bytes
    body: bytes | None = None  # the request's body
    flags: tuple[str, ...] = ()  # e.g. dataloss: the body ended before its Content-Length
    canonical_url: str = ""  # the venue's own URL where settings replaced it, else ""


@dataclass(frozen=True, slots=True)
class Frames:
    """Many frames of one socket connection in one item, so that the cost per item does not limit a stream."""

    venue: str
    feed: str
    connection: str
    frames: tuple[tuple[int, int, bytes], ...]  # (received_at, seq, payload)


@dataclass(frozen=True, slots=True)
class Connection:
    """An event of a socket connection: it was opened or closed, or keys were subscribed or unsubscribed."""

    venue: str
    feed: str
    received_at: int
    seq: int
    connection: str
    event: ConnectionEvent
    url: str
    subscribe: tuple[str, ...] = ()  # the exact subscription messages that were sent
    close_code: int | None = None
    close_reason: str | None = None
    keys: tuple[str, ...] | None = None  # subscribed or unsubscribed; None: only `subscribe` shows them


@dataclass(frozen=True, slots=True)
class BookState:
    """The live book of an asset when a new segment is opened, so that the segment can be replayed alone."""

    venue: str
    feed: str
    received_at: int
    connection: str
    asset: str
    derived_from_seq: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """A time span in which something could have been observed and was not."""

    venue: str
    feed: str
    received_at: int  # when the gap was noticed
    seq: int
    from_ns: int
    to_ns: int | None  # None: no end is known yet
    scope: Scope  # what was not observed
    reason: GapReason
    cause: Cause
    detail: str = ""  # one line for a reader: status, exception, count
    id: str = ""  # run:seq of the gap's first line; a later line replaces it for the subjects in its scope

    @property
    def is_first(self) -> bool:
        """Return whether this is the first line of its gap."""
        return is_first(self.id, self.seq)

    @property
    def is_void(self) -> bool:
        """Return whether this line withdraws its gap for the subjects in its scope.

        Times are compared in microseconds, as in the archived line.
        """
        end = None if self.to_ns is None else self.to_ns // MICROSECOND
        return is_void(self.id, self.seq, self.from_ns // MICROSECOND, end)


@dataclass(frozen=True, slots=True)
class Invalid:
    """Report of a part of a message that made no valid item; the message itself is already in raw/."""

    venue: str
    feed: str
    received_at: int
    ref_seq: int
    item: str
    error: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cycle:
    """State, after a page or at the end, of a catalogue cycle: one pass of a phase over a venue's markets.

    Venue, phase and `started` identify the cycle; of several states the latest counts.
    """

    venue: str
    feed: str
    received_at: int  # time of this state
    phase: Phase
    started: int  # ns, in whole microseconds
    state: CycleState
    pages: int = 0  # number of answers with markets
    markets: int = 0  # number of rows of markets in these answers
    failures: int = 0  # number of requests that were given up; all but the last were sent again
    position: str = ""  # JSON, from which a later run continues; "" once the cycle has ended

    @property
    def is_over(self) -> bool:
        """Return whether the cycle has ended."""
        return self.state != "running"

    @property
    def order(self) -> tuple[int, int, bool]:
        """Return the sort key by which the states of one cycle are ordered, also those of the same moment."""
        return self.received_at, self.pages, self.is_over


RAW = (Response, Frames, Connection, BookState, Gap, Invalid, Cycle)
"""Items that become lines of the raw archive."""


MAX_EXPONENT = 60
"""Bound of the decimal exponent: numbers of items are from 10**-60 to 10**60; amounts of 10**-18 fit."""


def is_bounded(number: Decimal) -> bool:
    """Return whether a finite number is within 10**-60 to 10**60.

    Others are refused, since numbers are written in plain notation: `1E+200000000` would be 200 MB of text.
    """
    return abs(number.adjusted()) <= MAX_EXPONENT


def _bounded(number: Decimal) -> Decimal:
    if not is_bounded(number):
        raise ValueError(f"{number} is beyond 10 to the power of {MAX_EXPONENT}, or its inverse")
    return number


Number: TypeAlias = Annotated[Decimal, AfterValidator(_bounded)]


class Derived(BaseModel):
    """Base of all items made from a message: the fields that name the message."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    venue: str
    feed: str
    received_at: int
    seq: int
    # set by the stamp pipeline
    collected_at_utc: str = ""
    run: str = ""
    collector: str = ""

    def problem(self) -> Problem | None:
        """Return (field, reason) where valid fields contradict one another; None where the item is usable."""
        return None if self.seq >= 1 else ("seq", "does not name the message that the item was made from")


class Market(Derived):
    """A market as one message described it; a field is None where the message did not state it."""

    platform: str
    market_id: str = Field(min_length=1)  # the venue's own id
    slug: str | None = None
    event_id: str | None = None  # of the venue's event, which has one or several markets
    group: str | None = None  # id shared by markets whose outcomes depend on one another
    neg_risk: bool | None = None  # whether at most one market of the event can end with its first outcome
    title: str | None = None  # the whole question, different for each market of an event
    subtitle: str | None = None  # meaning of the first outcome
    description: str | None = None
    category: str | None = None
    outcomes: tuple[str, ...] | None = None
    tokens: dict[str, str] | None = None  # outcome label -> token id
    asset: str | None = None
    series: str | None = None
    duration: str | None = None  # 5m, 15m, 1h, 4h, 1d
    start_at: datetime | None = None
    end_at: datetime | None = None
    expected_end_at: datetime | None = None  # when its outcome is expected to be known
    closed_at: datetime | None = None  # when trading ended, as stated afterwards
    determined_at: datetime | None = None  # when the outcome was decided, as stated afterwards
    volume: Number | None = Field(default=None, ge=0)
    volume_unit: Unit | None = None
    liquidity: Number | None = Field(default=None, ge=0)
    liquidity_unit: Unit | None = None
    status: Literal["unopened", "active", "closed", "resolved"] | None = None
    strike: Number | None = None
    strike_type: str | None = None  # in the venue's words: greater_or_equal, between, ...
    strike_cap: Number | None = None  # upper end where the strike is a range
    strike_source: str | None = None
    settlement: Number | None = None
    settlement_source: str | None = None
    resolution: str | None = None
    result_kind: ResultKind | None = None
    payouts: tuple[str, ...] | None = None  # decimal strings, dollars per share, in the order of outcomes
    resolution_state: ResolutionState | None = None
    resolution_source: str | None = None
    rule: str | None = None
    resolved_at: datetime | None = None
    protocol_version: str | None = None
    tick_size: Number | None = Field(default=None, gt=0)
    contract_size: Number | None = Field(default=None, gt=0)  # of a perpetual: base units
    funding_interval_s: Number | None = Field(default=None, gt=0)  # of a perpetual: whole seconds

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
    """Statement of a venue about the outcome of a market that it has closed."""

    platform: str
    market_id: str = Field(min_length=1)
    status: Literal["closed", "resolved"]
    resolution: str | None = None  # the winner's label, where the message has labels; None on a split
    result_kind: ResultKind | None = None
    payouts: tuple[str, ...] | None = None  # decimal strings, dollars per share, in the venue's outcome order
    resolution_state: ResolutionState | None = None
    resolution_source: str
    resolved_at: datetime | None = None

    def problem(self) -> Problem | None:
        if self.status == "resolved" and not (self.resolution or self.payouts):
            return "resolution", "resolved without an outcome"
        return super().problem()


class PriceSnapshot(Derived):
    """Prices of a market's first (yes) and second (no) outcome at one moment, in dollars per share."""

    platform: str
    market_id: str = Field(min_length=1)
    yes_price: Number | None = Field(default=None, ge=0, le=1)
    no_price: Number | None = Field(default=None, ge=0, le=1)
    volume: Number | None = Field(default=None, ge=0)
    liquidity: Number | None = Field(default=None, ge=0)
    spread: Number | None = Field(default=None, ge=0, le=1)


class Headline(Derived):
    """A headline that a search for a market returned; it was known here from `received_at` on, not before."""

    platform: str
    market_id: str = Field(min_length=1)
    headline: str = Field(min_length=1)
    source: str | None = None  # host of the page
    url: str = Field(min_length=1)
    published_at: datetime | None = None  # as the page or a search engine claims


class Row(Derived):
    """A row of `records/`, made while collecting; base class of all kinds of rows.

    Its `columns` are written to the file of its series and of its tick's UTC day. If `problem` finds a fault,
    the `unobserved` row is written instead.
    """

    @property
    def series(self) -> str:
        """Return the name of the row's series: its file in `records/` without the day; see `series_name`."""
        raise NotImplementedError

    @property
    def tick(self) -> int:
        """Return the moment that the row describes, wall ns.

        The rows of a series are written in this order.
        """
        raise NotImplementedError

    def columns(self) -> dict[str, Any]:
        """Return column -> value in order of the written line: text, number (Decimals exactly) or None."""
        raise NotImplementedError

    @property
    def grace_s(self) -> float:
        """Return how many seconds after its tick the row is written, so that late rows keep the order."""
        return 0

    @property
    def subject(self) -> str:
        """Return what the row is about, unique within its series and tick: a market's id, or an asset."""
        return ""

    @property
    def observed(self) -> bool:
        """Return whether the row has observed values.

        A due tick without an observation has a row without any.
        """
        return True

    @property
    def is_due(self) -> bool:
        """Return whether every tick must have this row, so that one without values shows a missed tick."""
        return True

    @property
    def best(self) -> tuple[Decimal | None, Decimal | None]:
        """Return (best bid, best ask) of the row's subject, of a market those of its first outcome."""
        return None, None

    def problem(self) -> Problem | None:
        return super().problem() if self.observed else None

    def unobserved(self) -> Self | None:
        """Return the row of the same tick without values.

        None where the row was not due and may be omitted.
        """
        return None


class TickRow(Row):
    """A row of one due tick, for data that is requested or computed at every tick; a base class."""

    timestamp: datetime  # the due tick

    @property
    def tick(self) -> int:
        return from_datetime(self.timestamp)

    @property
    def grace_s(self) -> float:
        return POLL_GRACE_S


class ReferencePrice(Row):
    """The reference price of an asset for one second by one source.

    With `is_observed` 0 its values are None, never carried forward, and `seq` is 0. `mid` is stated by the
    source; it is not the mean of bid and ask.
    """

    timestamp: datetime | None  # of the source's observation; None where the source does not state it
    asset: str
    mid: Number | None = Field(default=None, gt=0)
    bid: Number | None = Field(default=None, gt=0)
    ask: Number | None = Field(default=None, gt=0)
    is_observed: Literal[0, 1]
    tick_at: datetime  # the whole second of `timestamp`, or of the receipt without one
    source: str  # way it was received, in the venue's own words

    @property
    def series(self) -> str:
        return series_name(self.venue, "reference")

    @property
    def tick(self) -> int:
        return from_datetime(self.tick_at)

    @property
    def subject(self) -> str:
        return self.asset

    @property
    def observed(self) -> bool:
        return bool(self.is_observed)

    @property
    def is_due(self) -> bool:
        """Return whether every second must have this row.

        False for an observed price whose source states no time: such a price is read at longer intervals.
        """
        return not self.observed or self.timestamp is not None

    @property
    def best(self) -> tuple[Decimal | None, Decimal | None]:
        return self.bid, self.ask

    def columns(self) -> dict[str, Any]:
        return {
            "timestamp": None if self.timestamp is None else iso(from_datetime(self.timestamp)),
            "asset": self.asset,
            "mid": self.mid,
            "bid": self.bid,
            "ask": self.ask,
            "is_observed": self.is_observed,
            "tick_at": iso(self.tick),
            "received_at": iso(self.received_at) if self.observed else None,
            "source": self.source,
            "run": self.run,
            "seq": self.seq or None,
        }

    def problem(self) -> Problem | None:
        if self.bid is not None and self.ask is not None and self.bid > self.ask:
            return "bid", f"crossed: bid {self.bid}, ask {self.ask}"
        if self.observed != (self.mid is not None) or (not self.observed and self.seq):
            return "is_observed", f"{self.is_observed} on a row with mid {self.mid}"
        return super().problem()

    def unobserved(self) -> Self | None:
        if not self.is_due:
            return None
        without = {"timestamp": None, "mid": None, "bid": None, "ask": None, "is_observed": 0, "seq": 0}
        return self.model_copy(update=without)


class BookRow(TickRow):
    """Best prices of one order book at one due tick; values are None when `is_observed` is 0.

    Usable for any polled venue: the series is `<kind>_<venue>_<asset>`, e.g. with kind `spot`.
    """

    asset: str | None = None
    market_id: str | None = None  # set where an asset has several markets
    bid: Number | None = None
    ask: Number | None = None
    last: Number | None = None  # price of the newest trade, where the venue states it with the book
    is_observed: Literal[0, 1]
    source: str  # way it was received, in the venue's own words
    kind: str = Field(min_length=1)

    @property
    def series(self) -> str:
        return series_name(self.kind, self.venue, self.asset or "other")

    @property
    def subject(self) -> str:
        return self.market_id or self.asset or ""

    @property
    def observed(self) -> bool:
        return bool(self.is_observed)

    @property
    def best(self) -> tuple[Decimal | None, Decimal | None]:
        return self.bid, self.ask

    def columns(self) -> dict[str, Any]:
        return {
            "timestamp": iso(self.tick),
            "asset": self.asset,
            "market_id": self.market_id,
            "mid": midpoint(self.bid, self.ask),
            "bid": self.bid,
            "ask": self.ask,
            "last": self.last,
            "is_observed": self.is_observed,
            "received_at": iso(self.received_at) if self.observed else None,
            "source": self.source,
            "run": self.run,
            "seq": self.seq or None,
        }

    def problem(self) -> Problem | None:
        if is_crossed(self.bid, self.ask):
            return "bid", f"crossed: bid {self.bid}, ask {self.ask}"
        if not self.observed and any(each is not None for each in (self.bid, self.ask, self.last)):
            return "is_observed", "0 on a row with values"
        return super().problem()

    def unobserved(self) -> Self:
        return self.model_copy(update={"bid": None, "ask": None, "last": None, "is_observed": 0})


POLL_GRACE_S = 15
"""Seconds by which rows of polled books are written after their tick; longer than a request may take."""

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9.]+")


def series_name(*parts: str) -> str:
    """Return the name of a series of rows, fit for a file: (`spot`, `BTC/USD`) -> `spot_btc_usd`."""
    return "_".join(_NOT_IN_A_NAME.sub("_", part.lower()) for part in parts)


def midpoint(bid: Decimal | None, ask: Decimal | None) -> Decimal | None:
    """Return the mean of bid and ask; None when either is missing."""
    return None if bid is None or ask is None else (bid + ask) / 2


def is_crossed(bid: Decimal | None, ask: Decimal | None) -> bool:
    """Return whether bid >= ask, which no valid book has; False when either is missing."""
    return bid is not None and ask is not None and bid >= ask


DERIVED: tuple[type[Derived], ...] = (Market, Resolution, PriceSnapshot, Headline, ReferencePrice, BookRow)
"""The kinds of items made from messages; a venue may define rows of its own beside them."""
