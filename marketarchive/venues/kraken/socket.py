"""Kraken's WebSocket API v2: subscriptions, and the decoding of its frames.

https://docs.kraken.com/api/docs/websocket-v2/book (November 2026). Prices and sizes are JSON numbers, whose
text must be kept: 0.00200000 enters the checksum with its zeros.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import from_iso
from marketarchive.venues.book import BookSide
from marketarchive.venues.channel import Channel
from marketarchive.venues.endpoint import Endpoint, Limit
from marketarchive.venues.exchange_books import level_of
from marketarchive.venues.market_messages import (
    BookMessage,
    Decoded,
    Level,
    QuoteMessage,
    SubscriptionError,
    TradeMessage,
    WireFormat,
    amount,
)

DEPTH = 100
"""Levels per side that are subscribed; 10, 25, 100, 500 and 1000 are offered (page "book", November 2026)."""
CHECKED = 10
"""Levels per side that the checksum covers at any depth (guide spot-ws-book-v2, November 2026)."""
SOCKET = Endpoint(
    "socket",
    "wss://ws.kraken.com/v2",
    Limit(
        "kraken/socket", 150, window_s=600.0, unit="connections"
    ),  # "about 150 in 10 minutes", support pages (2026)
)
CHANNEL = Channel(
    SOCKET,
    proof="hash",
    key_kind="market",
    keys_per_connection=100,
    heartbeat='{"method":"ping"}',
    heartbeat_s=10.0,
    has_resync=True,
    unproven=f"levels beyond the {CHECKED} best, until they are among them; tickers, which the book outdoes",
)

_SUBSCRIBED: tuple[dict[str, Any], ...] = (
    {"channel": "book", "depth": DEPTH},
    {"channel": "trade", "snapshot": True},
    {"channel": "ticker", "event_trigger": "bbo"},
)


class _Level(msgspec.Struct, frozen=True, gc=False):
    price: msgspec.Raw
    qty: msgspec.Raw


class _Book(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    bids: list[_Level] = []
    asks: list[_Level] = []
    checksum: int | None = None
    timestamp: str | None = None


class _Trade(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    side: Literal["buy", "sell"]
    price: msgspec.Raw
    qty: msgspec.Raw
    trade_id: int
    timestamp: str


class _Ticker(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    bid: msgspec.Raw
    ask: msgspec.Raw
    timestamp: str | None = None


class _Frame(msgspec.Struct, frozen=True, gc=False):
    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    method: str = ""
    success: bool = True
    error: str | None = None


_FRAME = msgspec.json.Decoder(_Frame)
_BOOKS = msgspec.json.Decoder(list[_Book])
_TRADES = msgspec.json.Decoder(list[_Trade])
_TICKERS = msgspec.json.Decoder(list[_Ticker])


def decode(payload: bytes, received_at: int) -> Decoded:
    """Decode a frame of the socket into messages about markets.

    received_at: its receipt, ns since the Unix epoch. Raises ParseError for a frame that cannot be read, or
    in which the venue refuses a subscription.
    """
    try:
        frame = _FRAME.decode(payload)
        if not frame.success or frame.error is not None:
            said = f"{frame.method or 'a request'} was refused: {frame.error}"
            # a refused end of a subscription ends none
            kind = SubscriptionError if frame.method in ("", "subscribe") else ParseError
            raise kind("Frame", said, ("error",))
        match frame.channel:
            case "book":
                is_snapshot = frame.type == "snapshot"
                return Decoded([_book(each, received_at, is_snapshot) for each in _BOOKS.decode(frame.data)])
            case "trade":
                is_backfill = frame.type == "snapshot"
                return Decoded([_trade(each, is_backfill) for each in _TRADES.decode(frame.data)])
            case "ticker":
                return Decoded([_quote(each, received_at) for each in _TICKERS.decode(frame.data)])
    except (*NOT_JSON, ValueError) as error:
        raise ParseError("Frame", f"not a frame of Kraken: {error}", ("payload",)) from error
    return Decoded()


def _book(sent: _Book, received_at: int, is_snapshot: bool) -> BookMessage:
    is_dated = sent.timestamp is not None
    at = received_at if sent.timestamp is None else from_iso(sent.timestamp)
    return BookMessage(
        sent.symbol,
        at,
        _levels(sent.bids),
        _levels(sent.asks),
        is_snapshot=is_snapshot,
        is_dated=is_dated,
        checksum=sent.checksum,
    )


def _levels(sent: Iterable[_Level]) -> list[Level]:
    return [(amount(level.price), amount(level.qty)) for level in sent]


def _trade(sent: _Trade, is_backfill: bool) -> TradeMessage:
    return TradeMessage(
        sent.symbol,
        from_iso(sent.timestamp),
        "BUY" if sent.side == "buy" else "SELL",
        amount(sent.price),
        amount(sent.qty),
        str(sent.trade_id),
        number=sent.trade_id,
        is_backfill=is_backfill,
    )


def _quote(sent: _Ticker, received_at: int) -> QuoteMessage:
    at = received_at if sent.timestamp is None else from_iso(sent.timestamp)
    return QuoteMessage(sent.symbol, at, amount(sent.bid), amount(sent.ask))


# ---- what is sent ----------------------------------------------------------------------------------------


def subscribe(markets: Sequence[str]) -> list[str]:
    """Return the texts to send to subscribe `markets`, one for each channel."""
    return [_text("subscribe", channel, markets) for channel in _SUBSCRIBED]


def unsubscribe(markets: Sequence[str]) -> list[str]:
    """Return the texts to send to unsubscribe `markets`, one for each channel.

    Empty when `markets` is empty.
    """
    return [_text("unsubscribe", _named(channel), markets) for channel in _SUBSCRIBED if markets]


def resync(markets: Sequence[str]) -> list[str]:
    """Return the texts to send to unsubscribe and subscribe the books again, which brings new snapshots."""
    book = _SUBSCRIBED[0]
    return [_text("unsubscribe", _named(book), markets), _text("subscribe", book, markets)]


def _named(channel: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in channel.items() if name in ("channel", "depth")}


def _text(method: str, channel: dict[str, Any], markets: Sequence[str]) -> str:
    params = {**channel, "symbol": list(markets)}
    return msgspec.json.encode({"method": method, "params": params}).decode()


# ---- what proves a book ----------------------------------------------------------------------------------


def checksum(bids: BookSide, asks: BookSide) -> int:
    """Return the CRC32 by which Kraken verifies a book: of its ten best asks, then its ten best bids.

    Each price and size enters as its digits without the decimal point and leading zeros.
    https://docs.kraken.com/api/docs/guides/spot-ws-book-v2 (November 2026).
    """
    best = (*reversed(asks.levels[-CHECKED:]), *reversed(bids.levels[-CHECKED:]))
    return zlib.crc32(b"".join(map(_digits, best)))


@lru_cache(maxsize=1 << 12)
def _digits(level: bytes) -> bytes:
    return b"".join(text.replace(b".", b"").lstrip(b"0") for text in level_of(level))


WIRE = WireFormat(decode, subscribe, unsubscribe, resync, checksum, recipe="crc32", depth=DEPTH)
