"""Bitstamp's WebSocket API v2 and its REST order book: subscriptions, requests and messages.

https://www.bitstamp.net/websocket/v2/ and https://www.bitstamp.net/api/ (November 2026). Every frame contains
a whole book, the 100 best levels per side, identified by its time in microseconds; the REST book of the same
moment has the same time (recorded 2022-01-05). Messages have neither numbers nor hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import SECOND
from marketarchive.venues.channel import Channel
from marketarchive.venues.endpoint import Endpoint, Limit, Query
from marketarchive.venues.market_messages import (
    Amount,
    BookMessage,
    Decoded,
    Level,
    SubscriptionError,
    TradeMessage,
    WireFormat,
    check_levels,
)
from marketarchive.venues.messages import Parsed, Received

SOCKET = Endpoint(
    "socket",
    "wss://ws.bitstamp.net",
    Limit("bitstamp/socket", 20, unit="connections"),  # not documented (November 2026); the figure is ours
)
ORDER_BOOK = Endpoint(
    "order_book",
    "https://www.bitstamp.net/api/v2/order_book/{market}/",
    Limit("bitstamp/rest", 10_000, window_s=600.0),  # and 400 a second (clients' reports of 2026)
)
CHANNEL = Channel(
    SOCKET,
    proof="none",
    key_kind="market",
    keys_per_connection=100,
    heartbeat='{"event":"bts:heartbeat"}',
    heartbeat_s=10.0,
    conflates=True,
    has_statements=True,
    renew_s=30 * 86_400.0,  # the venue ends one after 90 days (dydxprotocol/slinky v1.3.51, quoting its docs)
)

_BOOK, _TRADES = "order_book_", "live_trades_"

Micros = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{16}$")]
"""Microseconds since the Unix epoch, as text."""


class _Frame(msgspec.Struct, frozen=True, gc=False):
    event: str
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Book(msgspec.Struct, frozen=True, gc=False):
    microtimestamp: Micros
    bids: list[Level]  # see `check_levels`
    asks: list[Level]


class _Trade(msgspec.Struct, frozen=True, gc=False):
    id: int
    microtimestamp: Micros
    price_str: Amount  # `price` and `amount` are the same as JSON numbers, which have lost their zeros
    amount_str: Amount
    type: Literal[0, 1]  # side of the taker: 0 buys, 1 sells


_FRAME = msgspec.json.Decoder(_Frame)
_BOOKS = msgspec.json.Decoder(_Book)
_TRADE = msgspec.json.Decoder(_Trade)


def decode(payload: bytes, received_at: int) -> Decoded:  # noqa: ARG001  (every frame has the venue's time)
    """Decode a frame of the socket into messages about markets.

    received_at: its receipt, ns since the Unix epoch. Raises ParseError for a frame that cannot be read, or
    in which the venue refuses a subscription.
    """
    try:
        frame = _FRAME.decode(payload)
        match frame.event:
            case "data" if frame.channel.startswith(_BOOK):
                return Decoded([_book(frame.channel.removeprefix(_BOOK), frame.data)])
            case "trade" if frame.channel.startswith(_TRADES):
                return Decoded([_trade(frame.channel.removeprefix(_TRADES), frame.data)])
            case "bts:request_reconnect":
                return Decoded(is_renewal=True)
            case "bts:error":
                said = bytes(frame.data)[:200].decode("utf-8", "replace")
                raise SubscriptionError("Frame", f"a request was refused: {said}", ("event",))
    except NOT_JSON as error:
        raise ParseError("Frame", f"not a frame of Bitstamp: {error}", ("payload",)) from error
    return Decoded()


def parse(received: Received) -> Parsed:
    """Return the book in an answer of the route `order_book`. Raises ParseError."""
    before, _, after = ORDER_BOOK.url.partition("{market}")
    market = received.canonical_url.removeprefix(before).removesuffix(after)
    try:
        return Parsed(books=[_book(market, received.payload)])
    except NOT_JSON as error:
        raise ParseError("OrderBook", f"not a book of Bitstamp: {error}", ("payload",)) from error


def _book(market: str, data: bytes | msgspec.Raw) -> BookMessage:
    sent = _BOOKS.decode(data)
    check_levels(sent.bids)
    check_levels(sent.asks)
    at = _ns(sent.microtimestamp)
    return BookMessage(market, at, sent.bids, sent.asks, is_snapshot=True, state=sent.microtimestamp)


def _trade(market: str, data: msgspec.Raw) -> TradeMessage:
    sent = _TRADE.decode(data)
    side: Literal["BUY", "SELL"] = "BUY" if sent.type == 0 else "SELL"
    return TradeMessage(market, _ns(sent.microtimestamp), side, sent.price_str, sent.amount_str, str(sent.id))


def _ns(micros: str) -> int:
    return int(micros) * (SECOND // 1_000_000)


# ---- what is sent ----------------------------------------------------------------------------------------


def subscribe(markets: Sequence[str]) -> list[str]:
    """Return the texts to send to subscribe `markets`, one for each market and channel."""
    return _texts("bts:subscribe", markets)


def unsubscribe(markets: Sequence[str]) -> list[str]:
    """Return the texts to send to unsubscribe `markets`, one for each market and channel."""
    return _texts("bts:unsubscribe", markets)


def order_book(market: str) -> Query:
    """Return the request for a market's REST snapshot, with the orders of one price added up."""
    return Query(ORDER_BOOK, {"group": 1}, {"market": market})


def _texts(event: str, markets: Sequence[str]) -> list[str]:
    channels = [f"{channel}{market}" for market in markets for channel in (_BOOK, _TRADES)]
    return [
        msgspec.json.encode({"event": event, "data": {"channel": channel}}).decode() for channel in channels
    ]


WIRE = WireFormat(decode, subscribe, unsubscribe)
