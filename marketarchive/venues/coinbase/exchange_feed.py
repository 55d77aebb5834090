"""Coinbase's Exchange feed: subscriptions to its socket, and the decoding of its frames.

https://docs.cdp.coinbase.com/exchange/websocket-feed/channels (as cited on 2025-08-13). Without a key the
book is sent as `level2_batch`, which collects the deltas of 50 ms; its frames have no number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import from_iso
from marketarchive.venues.channel import Channel
from marketarchive.venues.endpoint import Endpoint, Limit
from marketarchive.venues.market_messages import (
    Amount,
    BookMessage,
    Decoded,
    QuoteMessage,
    SentLevel,
    SubscriptionError,
    TradeMessage,
    WireFormat,
)

SOCKET = Endpoint(
    "exchange",
    "wss://ws-feed.exchange.coinbase.com",
    # docs.cdp.coinbase.com/exchange/websocket-feed/rate-limits (November 2026): 8 a second and address
    Limit("coinbase/exchange", 8, window_s=1.0, unit="connections"),
)
CHANNEL = Channel(
    SOCKET,
    proof="none",
    key_kind="market",
    keys_per_connection=50,
    heartbeat=None,  # None: the venue sends heartbeats itself, one a second and product
    has_resync=True,
    renew_s=3600.0,  # a book that lacks a level unnoticed is correct again on the next connection
)

_BOOK = "level2_batch"  # acknowledged as level2_50 (2026)
_SUBSCRIBED = (_BOOK, "matches", "ticker", "heartbeat")


class _Kind(msgspec.Struct, frozen=True, gc=False):
    type: str = ""


class _Snapshot(msgspec.Struct, frozen=True, gc=False):
    product_id: str
    bids: list[SentLevel]
    asks: list[SentLevel]
    time: str | None = None


class _Update(msgspec.Struct, frozen=True, gc=False):
    product_id: str
    changes: list[tuple[Literal["buy", "sell"], Amount, Amount]]
    time: str


class _Match(msgspec.Struct, frozen=True, gc=False):
    product_id: str
    trade_id: int
    side: Literal["buy", "sell"]
    price: Amount
    size: Amount
    time: str


class _Ticker(msgspec.Struct, frozen=True, gc=False):
    product_id: str
    best_bid: str = ""
    best_ask: str = ""
    time: str | None = None


class _Error(msgspec.Struct, frozen=True, gc=False):
    message: str = ""
    reason: str = ""


_KIND = msgspec.json.Decoder(_Kind)
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "snapshot": msgspec.json.Decoder(_Snapshot),
    "l2update": msgspec.json.Decoder(_Update),
    "match": msgspec.json.Decoder(_Match),
    "last_match": msgspec.json.Decoder(_Match),
    "ticker": msgspec.json.Decoder(_Ticker),
    "error": msgspec.json.Decoder(_Error),
}


def decode(payload: bytes, received_at: int) -> Decoded:
    """Decode a frame of the socket into messages about markets.

    received_at: its receipt, ns since the Unix epoch. Raises ParseError for a frame that cannot be read, or
    in which the venue refuses a subscription.
    """
    try:
        kind = _KIND.decode(payload).type
        if kind not in _DECODERS:
            return Decoded()
        return _decoded(_DECODERS[kind].decode(payload), kind, received_at)
    except (*NOT_JSON, ValueError) as error:
        raise ParseError("Frame", f"not a frame of Coinbase: {error}", ("payload",)) from error


def _decoded(sent: Any, kind: str, received_at: int) -> Decoded:
    match sent:
        case _Error():
            raise SubscriptionError("Frame", f"{sent.message}: {sent.reason}", ("message",))
        case _Match():
            return Decoded([_trade(sent, is_backfill=kind == "last_match")])
        case _Ticker():
            at = received_at if sent.time is None else from_iso(sent.time)
            return Decoded([QuoteMessage(sent.product_id, at, sent.best_bid or None, sent.best_ask or None)])
        case _Snapshot():
            is_dated = sent.time is not None
            at = received_at if sent.time is None else from_iso(sent.time)
            book = BookMessage(sent.product_id, at, sent.bids, sent.asks, is_snapshot=True, is_dated=is_dated)
            return Decoded([book])
    bids = [(price, size) for side, price, size in sent.changes if side == "buy"]
    asks = [(price, size) for side, price, size in sent.changes if side == "sell"]
    return Decoded([BookMessage(sent.product_id, from_iso(sent.time), bids, asks)])


def _trade(sent: _Match, *, is_backfill: bool) -> TradeMessage:
    """Return a trade with the taker's side, the opposite of the side in a `match`.

    "The side field indicates the maker order side" (page "channels", 2025-08-13). The side in a ticker is the
    taker's: trade 563678 of NU-GBP, 2021-04-17, is buy there and sell here.
    """
    return TradeMessage(
        sent.product_id,
        from_iso(sent.time),
        "SELL" if sent.side == "buy" else "BUY",
        sent.price,
        sent.size,
        str(sent.trade_id),
        number=sent.trade_id,
        is_backfill=is_backfill,
    )


# ---- what is sent ----------------------------------------------------------------------------------------


def subscribe(markets: Sequence[str]) -> list[str]:
    """Return the one text to send to subscribe all channels of `markets`."""
    return [_text("subscribe", markets, _SUBSCRIBED)]


def unsubscribe(markets: Sequence[str]) -> list[str]:
    """Return the one text to send to unsubscribe all channels of `markets`; [] when `markets` is empty."""
    return [_text("unsubscribe", markets, _SUBSCRIBED)] if markets else []


def resync(markets: Sequence[str]) -> list[str]:
    """Return the texts to send to unsubscribe and subscribe the books again, which brings new snapshots."""
    return [_text(kind, markets, (_BOOK,)) for kind in ("unsubscribe", "subscribe")]


def _text(kind: str, markets: Sequence[str], channels: Sequence[str]) -> str:
    return msgspec.json.encode({"type": kind, "product_ids": list(markets), "channels": channels}).decode()


WIRE = WireFormat(decode, subscribe, unsubscribe, resync)
