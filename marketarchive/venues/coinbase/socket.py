"""Coinbase's Advanced Trade market data: subscriptions, and the decoding of its frames.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels and the schemas of
https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/advanced-trade-asyncapi.json (as cited on
2026-08-27). `sequence_num` counts all frames of a connection from 0, whatever their channel or product; the
page "overview" says "for each product", but a session of 2026-08-27 with several channels showed otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import from_iso
from marketarchive.venues.book import price_of
from marketarchive.venues.channel import Channel
from marketarchive.venues.endpoint import Endpoint, Limit
from marketarchive.venues.market_messages import (
    Amount,
    BookMessage,
    Decoded,
    Level,
    MarketMessage,
    QuoteMessage,
    SubscriptionError,
    TradeMessage,
    WireFormat,
)

SOCKET = Endpoint(
    "advanced trade",
    "wss://advanced-trade-ws.coinbase.com",
    Limit("coinbase/advanced", 8, window_s=1.0, unit="connections"),  # page "rate limits", 2026-08-27
)
CHANNEL = Channel(
    SOCKET,
    proof="sequence",
    key_kind="market",
    keys_per_connection=50,
    # None: the venue sends heartbeats itself; a dead peer shows as coverage that stops advancing
    heartbeat=None,
    has_resync=True,
)

_BOOK = "level2"  # arrives as l2_data
_SUBSCRIBED = (_BOOK, "market_trades", "ticker")
_HEARTBEATS = "heartbeats"
"""Channel without a product, with one message a second. Without it channels are closed after 60 to 90 s
without events."""


class _Change(msgspec.Struct, frozen=True, gc=False):
    side: Literal["bid", "offer"]
    price_level: Amount
    new_quantity: Amount


class _BookEvent(msgspec.Struct, frozen=True, gc=False):
    type: Literal["snapshot", "update"]
    product_id: str
    updates: list[_Change]


class _Trade(msgspec.Struct, frozen=True, gc=False):
    trade_id: str
    product_id: str
    price: Amount
    size: Amount
    side: Literal["BUY", "SELL"]
    time: str


class _TradesEvent(msgspec.Struct, frozen=True, gc=False):
    type: Literal["snapshot", "update"]
    trades: list[_Trade]


class _Ticker(msgspec.Struct, frozen=True, gc=False):
    product_id: str
    best_bid: str = ""
    best_ask: str = ""


class _TickersEvent(msgspec.Struct, frozen=True, gc=False):
    tickers: list[_Ticker]


class _Frame(msgspec.Struct, frozen=True, gc=False):
    channel: str = ""
    timestamp: str | None = None
    sequence_num: int | None = None
    events: msgspec.Raw = msgspec.Raw(b"[]")
    type: str = ""
    message: str = ""


_FRAME = msgspec.json.Decoder(_Frame)
_BOOKS = msgspec.json.Decoder(list[_BookEvent])
_TRADES = msgspec.json.Decoder(list[_TradesEvent])
_TICKERS = msgspec.json.Decoder(list[_TickersEvent])


def decode(payload: bytes, received_at: int) -> Decoded:
    """Decode a frame of the socket into messages about markets.

    received_at: its receipt, ns since the Unix epoch. Raises ParseError for a frame that cannot be read, or
    in which the venue refuses a subscription.
    """
    try:
        frame = _FRAME.decode(payload)
        if frame.type == "error":
            raise SubscriptionError("Frame", f"a request was refused: {frame.message}", ("message",))
        at = 0 if frame.timestamp is None else from_iso(frame.timestamp)
        return Decoded(list(_messages(frame, at, received_at)), frame.sequence_num, at)
    except (*NOT_JSON, ValueError) as error:
        raise ParseError("Frame", f"not a frame of Coinbase: {error}", ("payload",)) from error


def _messages(frame: _Frame, at: int, received_at: int) -> Iterable[MarketMessage]:
    match frame.channel:
        case "l2_data":
            for book in _BOOKS.decode(frame.events):
                yield _book(book, at, received_at)
        case "market_trades":
            for event in _TRADES.decode(frame.events):
                # an event may list its trades newest first; numbers must be applied in order
                for trade in sorted(event.trades, key=lambda each: (len(each.trade_id), each.trade_id)):
                    yield _trade(trade, event.type == "snapshot")
        case "ticker":
            for tickers in _TICKERS.decode(frame.events):
                for ticker in tickers.tickers:
                    bid, ask = ticker.best_bid or None, ticker.best_ask or None
                    yield QuoteMessage(ticker.product_id, at or received_at, bid, ask)


def _book(event: _BookEvent, at: int, received_at: int) -> BookMessage:
    """Return a book dated by the time of its frame.

    The levels of a snapshot are dated 1970 (frames of 2026-09-26), and those of a delta may be older than the
    snapshot that contains them.
    """
    is_snapshot = event.type == "snapshot"
    bids = [(each.price_level, each.new_quantity) for each in event.updates if each.side == "bid"]
    asks = [(each.price_level, each.new_quantity) for each in event.updates if each.side == "offer"]
    if is_snapshot:
        bids.sort(key=_price, reverse=True)
        asks.sort(key=_price)
    return BookMessage(
        event.product_id, at or received_at, bids, asks, is_snapshot=is_snapshot, is_dated=at > 0
    )


def _price(level: Level) -> Decimal:
    return price_of(level[0])


def _trade(sent: _Trade, is_backfill: bool) -> TradeMessage:
    """Return a trade with the taker's side, the opposite of the stated one.

    The venue states "the maker's side of the trade" (AsyncAPI and page "channels", 2026-08-27). Trade ids are
    those of the Exchange feed, consecutive for each product. The channel omits some trades although its
    frames are numbered consecutively: 16 trades of three products on 2026-10-01, found by comparison with the
    REST history.
    """
    return TradeMessage(
        sent.product_id,
        from_iso(sent.time),
        "SELL" if sent.side == "BUY" else "BUY",
        sent.price,
        sent.size,
        sent.trade_id,
        number=int(sent.trade_id) if sent.trade_id.isdecimal() else None,
        is_backfill=is_backfill,
    )


# ---- what is sent ----------------------------------------------------------------------------------------


def subscribe(markets: Sequence[str]) -> list[str]:
    """Return the texts to send to subscribe `markets`, one for each channel: a text may name only one."""
    return [
        *(_text("subscribe", channel, markets) for channel in _SUBSCRIBED),
        _text("subscribe", _HEARTBEATS),
    ]


def unsubscribe(markets: Sequence[str]) -> list[str]:
    """Return the texts to send to unsubscribe `markets`, one for each channel.

    Empty when `markets` is empty, because a text without markets would end all subscriptions.
    """
    return [_text("unsubscribe", channel, markets) for channel in _SUBSCRIBED if markets]


def resync(markets: Sequence[str]) -> list[str]:
    """Return the texts to send to unsubscribe and subscribe the books again, which brings new snapshots."""
    return [_text(kind, _BOOK, markets) for kind in ("unsubscribe", "subscribe")]


def _text(kind: str, channel: str, markets: Sequence[str] | None = None) -> str:
    products = {} if markets is None else {"product_ids": list(markets)}
    return msgspec.json.encode({"type": kind, **products, "channel": channel}).decode()


WIRE = WireFormat(decode, subscribe, unsubscribe, resync, recipe="sequence")
