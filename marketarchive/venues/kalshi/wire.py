"""Kalshi's JSON answers in their present form and in the form before 2026-03-12.

Today prices are dollars as text (`*_dollars`) and counts texts with two decimals (`*_fp`); before, whole
cents and whole contracts were sent beside or instead of them. Unknown keys are ignored, enums are open texts,
and an absent key may also be sent as null.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.json_lines import NOT_JSON
from marketarchive.nesting import MAX_NESTING, is_shallow

T = TypeVar("T")

CENTS = Decimal(100)


class SentRange(msgspec.Struct):
    """A range of prices, within which they move in steps."""

    start: Decimal
    end: Decimal
    step: Decimal


class SentMarket(msgspec.Struct):
    """A market of the live or the historical tier."""

    ticker: str
    event_ticker: str
    status: str
    close_time: str
    open_time: str | None = None
    expected_expiration_time: str | None = None
    settlement_ts: str | None = None
    market_type: str | None = None
    title: str | None = None
    yes_sub_title: str | None = None
    rules_primary: str | None = None
    rules_secondary: str | None = None
    strike_type: str | None = None
    floor_strike: Decimal | None = None
    cap_strike: Decimal | None = None
    custom_strike: Any = None  # rounds: an object with `round_digits`; other markets: anything
    result: str | None = None
    expiration_value: str | int | float | None = None
    settlement_value_dollars: Decimal | None = None
    settlement_value: Decimal | None = None  # cents, before 2026-03-12
    yes_bid_dollars: Decimal | None = None
    yes_ask_dollars: Decimal | None = None
    yes_bid_size_fp: Decimal | None = None
    yes_ask_size_fp: Decimal | None = None
    last_price_dollars: Decimal | None = None
    volume_fp: Decimal | None = None
    open_interest_fp: Decimal | None = None
    yes_bid: Decimal | None = None
    yes_ask: Decimal | None = None
    last_price: Decimal | None = None
    volume: Decimal | None = None
    open_interest: Decimal | None = None
    price_ranges: list[SentRange] | None = None
    mve_collection_ticker: str | None = None


class SentEvent(msgspec.Struct):
    """An event; its markets are sent inside it or beside it."""

    event_ticker: str
    series_ticker: str
    title: str | None = None
    sub_title: str | None = None
    category: str | None = None
    mutually_exclusive: bool | None = None
    markets: list[msgspec.Raw] | None = None


class SentSeries(msgspec.Struct):
    """A series, which groups events of one kind."""

    ticker: str
    title: str | None = None
    frequency: str | None = None
    category: str | None = None
    categories: list[str] | None = None
    exchange_index: int | None = None


class SentTrade(msgspec.Struct):
    """A public trade of one market."""

    trade_id: str
    ticker: str
    created_time: str
    yes_price_dollars: Decimal | None = None
    count_fp: Decimal | None = None
    yes_price: Decimal | None = None  # cents
    count: Decimal | None = None
    taker_outcome_side: str | None = None
    taker_side: str | None = None  # like `taker_outcome_side`, before 2026-05-06
    is_block_trade: bool | None = None


class Cutoff(msgspec.Struct, frozen=True):
    """Cutoff times of the historical tier, one for each kind of object; older objects are only there."""

    market_settled_ts: str
    trades_created_ts: str


class ExchangeStatus(msgspec.Struct, frozen=True):
    """The exchange's status: whether it is up, and whether it is trading."""

    exchange_active: bool
    trading_active: bool
    exchange_estimated_resume_time: str | None = None


class MarketsPage(msgspec.Struct):
    """A page of GET /markets. `cursor` is "" on the last page; the guide says null."""

    markets: list[msgspec.Raw]
    cursor: str | None = None


class OneMarket(msgspec.Struct):
    """Answer of GET /markets/{ticker}."""

    market: msgspec.Raw


class EventsPage(msgspec.Struct):
    """Answer of GET /events."""

    events: list[msgspec.Raw]
    cursor: str | None = None


class OneEvent(msgspec.Struct):
    """Answer of GET /events/{ticker}."""

    event: msgspec.Raw
    markets: list[msgspec.Raw] | None = None


class SeriesList(msgspec.Struct):
    """Answer of GET /series; the list is null for a category without series."""

    series: list[msgspec.Raw] | None


class OneSeries(msgspec.Struct):
    """Answer of GET /series/{ticker}."""

    series: msgspec.Raw


class TradesPage(msgspec.Struct):
    """Answer of GET /markets/trades."""

    trades: list[msgspec.Raw]
    cursor: str | None = None


class _Identity(msgspec.Struct):
    ticker: str | None = None
    event_ticker: str | None = None
    trade_id: str | None = None


def decode(payload: bytes | msgspec.Raw, kind: type[T], item: str) -> T:
    """Decode a document or row as `kind`. item: name for errors.

    Raises ParseError, which names the field that does not fit.
    """
    text = bytes(payload)
    if not is_shallow(text):
        raise ParseError(item, f"nested more than {MAX_NESTING} deep; it has {len(text)} bytes")
    try:
        return msgspec.json.decode(text, type=kind)
    except NOT_JSON as error:
        raise ParseError(item, f"{error}; it starts {text[:60]!r}", _fields_of(str(error))) from error


def identity_of(row: msgspec.Raw) -> str:
    """Return the id of a row for comparison with others of its page, even if the rest cannot be decoded."""
    try:
        found = msgspec.json.decode(row, type=_Identity)
    except NOT_JSON:
        return repr(bytes(row)[:80])
    return found.trade_id or found.ticker or found.event_ticker or repr(bytes(row)[:80])


def rows(page: list[msgspec.Raw], kind: type[T], item: str) -> Iterator[tuple[str, T | ParseError]]:
    """Yield (id, decoded row) for each row of a page; the error in place of a row that cannot be read."""
    for raw in page:
        try:
            yield identity_of(raw), decode(raw, kind, item)
        except ParseError as error:
            yield identity_of(raw), error


def time(text: str | None, field: str, item: str) -> datetime | None:
    """Return a time from its text; None when missing, which is also sent as the year 1.

    field, item: names for errors. Raises ParseError.
    """
    if not text or text.startswith("0001-01-01"):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ParseError(item, f"{field}={text[:40]!r} is not a time", (field,)) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def dollars(dollars: Decimal | None, cents: Decimal | None) -> Decimal | None:
    """Return the exact price in dollars, from whichever form the row has; None when it has neither."""
    return dollars if dollars is not None else None if cents is None else cents / CENTS


def plain(value: Decimal) -> str:
    """Return a number as text without exponent or trailing zeros: `1`, `0.5`, `0`."""
    return format(value.normalize(), "f") if value else "0"


def error_text(payload: bytes) -> str:
    """Return the message in the body of an error as one line; "" when its form is unknown.

    Seen on the wire: {"error": {"code", "message", "details"?}}, {"code", "message", "details"}, {"msg":
    ...}, {"error": "too many requests"} (June to August 2026).
    """
    try:
        document: Any = msgspec.json.decode(payload) if is_shallow(payload) else None
    except NOT_JSON:
        return ""
    if not isinstance(document, dict):
        return ""
    inner = document.get("error", document)
    if isinstance(inner, str):
        return inner[:200]
    if not isinstance(inner, dict):
        return ""
    texts = [inner.get(name) for name in ("code", "message", "msg", "details")]
    said = [text for text in texts if isinstance(text, str) and text]
    return ": ".join(dict.fromkeys(said))[:200]


def _fields_of(text: str) -> tuple[str, ...]:
    """Return the field that an error text of msgspec names.

    Forms: "Object missing required field `ticker`", "... - at `$.x`".
    """
    quoted = text.split("`")[1::2]
    return tuple(name.removeprefix("$").removeprefix(".") for name in quoted[-1:])
