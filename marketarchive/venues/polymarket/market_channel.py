"""The market channel of the order book's socket: subscriptions, and the decoding of its frames.

wss://ws-subscriptions-clob.polymarket.com/ws/market: the text `PING`, sent every 10 s, is answered by `PONG`.
A frame is one event or an array of events; the first after a subscription is an array with the book of each
token. All numbers are strings. Events are not numbered, and none can be requested again.
https://docs.polymarket.com/api-reference/wss/market (November 2026)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.json_lines import NOT_JSON
from marketarchive.nesting import MAX_NESTING, is_shallow
from marketarchive.venues.polymarket import clob
from marketarchive.venues.polymarket.clob import PRICE, SIZE, ClobBook
from marketarchive.venues.polymarket.endpoints import MARKET_CHANNEL

__all__ = ["MARKET_CHANNEL", "Event", "decode", "subscribe", "subscribe_more", "unsubscribe"]

PING = "PING"
PING_EVERY_S = 10
TOKENS_PER_CONNECTION = 200  # beyond about 500 no first books are sent; both tokens of a market count

# --- texts to send -----------------------------------------------------------------------------------------


def subscribe(tokens: Iterable[str]) -> str:
    """Return the first text to send on a connection, which subscribes `tokens`.

    Its custom feature adds the events best_bid_ask, new_market and market_resolved.
    """
    return _text({"type": "market", "assets_ids": list(tokens), "custom_feature_enabled": True})


def subscribe_more(tokens: Iterable[str]) -> str:
    """Return the text to send to subscribe more tokens on a connection.

    Never name a token twice: that switches the custom feature off and on.
    """
    return _text({"operation": "subscribe", "assets_ids": list(tokens), "custom_feature_enabled": True})


def unsubscribe(tokens: Iterable[str]) -> str:
    """Return the text to send to unsubscribe `tokens`.

    It takes effect for whole markets only: name both tokens of each.
    """
    return _text({"operation": "unsubscribe", "assets_ids": list(tokens), "custom_feature_enabled": True})


def _text(document: dict[str, Any]) -> str:
    return msgspec.json.encode(document).decode()


# --- received frames ---------------------------------------------------------------------------------------

_Price = Annotated[str, msgspec.Meta(pattern=rf"\A{PRICE}\Z")]
_PriceOrNone = Annotated[str, msgspec.Meta(pattern=rf"\A(?:{PRICE})?\Z")]  # "": an empty side
_Size = Annotated[str, msgspec.Meta(pattern=rf"\A{SIZE}\Z")]


class _Stamped(msgspec.Struct, frozen=True, gc=False, tag_field="event_type"):
    market: str
    timestamp: str  # checked by `_check`

    @property
    def timestamp_ms(self) -> int:
        """Return the venue's time of the event, ms since the Unix epoch."""
        return int(self.timestamp)


class PriceChange(msgspec.Struct, frozen=True, gc=False, rename={"token": "asset_id"}):
    """A delta: the new total `size` of one level of one token; "0" removes the level.

    `hash` is that of the token's whole book after the delta, at the event's timestamp.
    """

    token: str
    price: str  # checked by `_check`, because a pattern would cost more than the rest of the decoding
    size: str
    side: Literal["BUY", "SELL"]
    hash: str = ""
    best_bid: str | None = None  # "" = no bids; None = not sent
    best_ask: str | None = None


class PriceChanges(_Stamped, frozen=True, gc=False, tag="price_change"):
    """An event with deltas of one market, usually of both its tokens."""

    price_changes: tuple[PriceChange, ...]


class LastTrade(_Stamped, frozen=True, gc=False, tag="last_trade_price", rename={"token": "asset_id"}):
    """An event with one trade from its taker's view: the taker's token, side and size."""

    token: str
    price: _Price
    size: _Size
    side: Literal["BUY", "SELL"]
    fee_rate_bps: str | None = None
    transaction_hash: str | None = None


class TickSizeChange(_Stamped, frozen=True, gc=False, tag="tick_size_change", rename={"token": "asset_id"}):
    """An event with a new tick size; levels between the new ticks may remain until the next book."""

    token: str
    old_tick_size: str
    new_tick_size: str


class BestBidAsk(_Stamped, frozen=True, gc=False, tag="best_bid_ask", rename={"token": "asset_id"}):
    """An event with best prices. It serves as a cross-check only, as it is not sent for every change."""

    token: str
    best_bid: _PriceOrNone
    best_ask: _PriceOrNone
    spread: str | None = None


class NewMarket(_Stamped, frozen=True, gc=False, tag="new_market"):
    """The announcement of a new market, sent on every connection whatever it subscribed."""

    id: str | None = None
    question: str | None = None
    slug: str | None = None
    assets_ids: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()


class MarketResolved(_Stamped, frozen=True, gc=False, tag="market_resolved"):
    """The announcement of an outcome, sent on every connection whatever it subscribed."""

    id: str | None = None
    assets_ids: tuple[str, ...] = ()
    winning_asset_id: str | None = None
    winning_outcome: str | None = None


@dataclass(frozen=True, slots=True)
class BookEvent:
    """A snapshot of a token's book, sent first after the subscription, and after each trade of the token.

    The first one contains last_trade_price and (since 2026) tick_size, the later ones neither.
    """

    book: ClobBook


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event of a type that was not documented when this was written."""

    event_type: str


@dataclass(frozen=True, slots=True)
class UnreadableEvent:
    """An event that does not have the shape of its type; the other events of its frame are still applied."""

    error: ParseError


class _SentBook(clob.SentBook, gc=False, tag_field="event_type", tag="book"):
    pass


_Sent: TypeAlias = (
    PriceChanges | _SentBook | LastTrade | TickSizeChange | BestBidAsk | NewMarket | MarketResolved
)
Event: TypeAlias = (
    BookEvent
    | PriceChanges
    | LastTrade
    | TickSizeChange
    | BestBidAsk
    | NewMarket
    | MarketResolved
    | Unknown
    | UnreadableEvent
)


class _Tag(msgspec.Struct):
    event_type: str


_Checked = TypeVar("_Checked", bound=_Stamped)

_ONE = msgspec.json.Decoder(_Sent)
_LIST = msgspec.json.Decoder(list[_Sent])
_TAG = msgspec.json.Decoder(_Tag)
_NAMES = {
    "book": "Book",
    "price_change": "PriceChanges",
    "last_trade_price": "LastTrade",
    "tick_size_change": "TickSizeChange",
    "best_bid_ask": "BestBidAsk",
    "new_market": "NewMarket",
    "market_resolved": "MarketResolved",
}


def decode(payload: bytes) -> list[Event]:
    """Return the events in a frame; none for `PONG` and empty frames.

    An unknown event type becomes `Unknown`, a bad event in an array `UnreadableEvent`. Raises ParseError for
    a payload that is no JSON, or a single object that is no event.
    """
    if payload in (b"PONG", b"", b"[]"):
        return []
    if not is_shallow(payload):
        raise ParseError("Frame", f"nested more than {MAX_NESTING} deep; it has {len(payload)} bytes")
    is_list = payload.lstrip()[:1] == b"["
    try:
        sent = _LIST.decode(payload) if is_list else [_ONE.decode(payload)]
        return [BookEvent(_book(each)) if isinstance(each, _SentBook) else _check(each) for each in sent]
    except (*NOT_JSON, ParseError):
        pass
    if not is_list:
        return [_event(msgspec.Raw(payload))]
    return [_event_or_error(each) for each in clob.split_books(payload, "Frame")]


def _event_or_error(raw: Any) -> Event:
    try:
        return _event(raw)
    except ParseError as error:
        return UnreadableEvent(error)


def _event(raw: Any) -> Event:
    """Return one event from bytes or decoded JSON. Raises ParseError."""
    is_text = isinstance(raw, msgspec.Raw)
    try:
        sent = _ONE.decode(raw) if is_text else msgspec.convert(raw, _Sent)
    except NOT_JSON as error:
        kind = _kind(raw, is_text=is_text)
        if kind not in _NAMES:
            return Unknown(kind)
        raise ParseError(_NAMES[kind], f"not a {kind}: {error}", _fields_of(error)) from error
    return BookEvent(_book(sent)) if isinstance(sent, _SentBook) else _check(sent)


def _kind(raw: Any, *, is_text: bool) -> str:
    try:
        tag = _TAG.decode(raw) if is_text else msgspec.convert(raw, _Tag)
    except NOT_JSON as error:
        start = bytes(raw)[:60] if is_text else repr(raw)[:60]
        raise ParseError("Frame", f"not an event ({error}): {start!r}", ("event_type",)) from error
    return tag.event_type


_is_size = re.compile(SIZE).fullmatch


@lru_cache(maxsize=4096)
def _is_price(text: str | None) -> bool:
    """Return whether a text is a price or "", which stands for an empty side.

    True for None, which was not sent.
    """
    return not text or re.fullmatch(PRICE, text) is not None


def _check(event: _Checked) -> _Checked:
    """Return the event if the texts of its numbers are numbers. Raises ParseError otherwise."""
    at = event.timestamp
    if not (at.isdigit() and at.isascii() and len(at) <= 18):
        raise _bad(event, "timestamp", at)
    if isinstance(event, PriceChanges):
        for change in event.price_changes:
            price = change.price
            if not (price and _is_price(price)):
                raise _bad(event, "price_changes.price", price)
            if not _is_size(change.size):
                raise _bad(event, "price_changes.size", change.size)
            if not _is_price(change.best_bid):
                raise _bad(event, "price_changes.best_bid", change.best_bid)
            if not _is_price(change.best_ask):
                raise _bad(event, "price_changes.best_ask", change.best_ask)
    return event


def _bad(event: _Stamped, path: str, value: Any) -> ParseError:
    text = f"not what {path} should be: {str(value)[:80]!r}"
    return ParseError(type(event).__name__, text, tuple(path.split(".")))


def _book(sent: _SentBook) -> ClobBook:
    return clob.check_book(clob.book_of(sent))


def _fields_of(error: Exception) -> tuple[str, ...]:
    """Return the fields that an error text of msgspec names.

    Forms: "... - at `$.price_changes[0].price`", "missing required field `hash`".
    """
    at = re.search(r"at `\$\.([\w.\[\]]+)`", str(error)) or re.search(r"required field `(\w+)`", str(error))
    return tuple(re.sub(r"\[[^]]*\]", "", at[1]).split(".")) if at else ()
