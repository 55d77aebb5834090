"""Gemini's WebSocket API (wss://ws.gemini.com): subscriptions, and the decoding of its frames.

https://developer.gemini.com/websocket/introduction.md, streams.md, message-format.md and its AsyncAPI
specification, version 0.10.7 (read September 2026). The decoding of depth is not proven by a recording of
spot markets. It rests on these documents, and on a probe of perpetuals on the same socket (2026-09-15):

- With `snapshot=-1` in the URL the first depthUpdate of a symbol after its subscription is the whole book,
and has U = u; it is sent before the answer to the subscription. Otherwise the first one is a delta, with U <
u.

- U of each of 5,489 deltas was u of the delta before; ids are drawn from one range for all symbols. By the
documents a frame whose U is above the u before it shows that others are missing.

So U = u marks a snapshot here, and a delta covers the ids after U. If the venue does not mark snapshots like
this, no book is ever started, and all of the time is recorded as a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.json_lines import NOT_JSON
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
    "socket",
    "wss://ws.gemini.com/?snapshot=-1",
    Limit("gemini/socket", 300, window_s=300.0, unit="connections"),  # as `conninfo` says (2026-09-15)
)
CHANNEL = Channel(
    SOCKET,
    proof="sequence",
    key_kind="market",
    keys_per_connection=100,
    heartbeat='{"id":"ping","method":"ping"}',
    heartbeat_s=10.0,
    has_resync=True,
)

BestPrice = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{1,20}(\.[0-9]{1,18})?)?$")]
"""A price as text, "" for an empty side."""

_DEPTH, _TRADE, _TICKER = "@depth@100ms", "@trade", "@bookTicker"
_OK = 200


class _Frame(msgspec.Struct, frozen=True, gc=False):
    """A frame before its kind is known.

    Only depth names its event; a trade has the key `t`, a ticker `B`, an answer to a command `id`.
    """

    e: str = ""
    t: int | None = None
    B: str | None = None
    id: msgspec.Raw = msgspec.Raw()
    status: int | None = None
    error: msgspec.Raw = msgspec.Raw()


class _Depth(msgspec.Struct, frozen=True, gc=False):
    E: int  # ns
    s: str
    U: int
    u: int
    b: list[SentLevel]
    a: list[SentLevel]


class _Trade(msgspec.Struct, frozen=True, gc=False):
    E: int
    s: str
    t: int
    p: Amount
    q: Amount
    m: bool  # True: the buyer's order was in the book, so the taker sold


class _Ticker(msgspec.Struct, frozen=True, gc=False):
    E: int
    s: str
    b: BestPrice
    a: BestPrice


_FRAME = msgspec.json.Decoder(_Frame)
_DEPTHS = msgspec.json.Decoder(_Depth)
_TRADES = msgspec.json.Decoder(_Trade)
_TICKERS = msgspec.json.Decoder(_Ticker)


def decode(payload: bytes, received_at: int) -> Decoded:  # noqa: ARG001  (every frame has the venue's time)
    """Decode a frame of the socket into messages about markets.

    received_at: its receipt, ns since the Unix epoch. Raises ParseError for a frame that cannot be read, or
    in which the venue refuses a subscription.
    """
    try:
        frame = _FRAME.decode(payload)
        if frame.status not in (None, _OK):
            said = bytes(frame.error)[:200].decode("utf-8", "replace")
            named = bytes(frame.id)
            kind = ParseError if named and not named.endswith(b'-subscribe"') else SubscriptionError
            raise kind("Frame", f"a request was refused: {frame.status} {said}", ("status",))
        if frame.e == "depthUpdate":
            return Decoded([_book(_DEPTHS.decode(payload))])
        if frame.e or bytes(frame.id):
            return Decoded()
        if frame.t is not None:
            return Decoded([_trade(_TRADES.decode(payload))])
        if frame.B is not None:
            return Decoded([_quote(_TICKERS.decode(payload))])
    except NOT_JSON as error:
        raise ParseError("Frame", f"not a frame of Gemini: {error}", ("payload",)) from error
    return Decoded()


def _book(sent: _Depth) -> BookMessage:
    if sent.u < sent.U:
        raise ParseError("Frame", f"not a frame of Gemini: ids {sent.U} to {sent.u}", ("U", "u"))
    is_snapshot = sent.u == sent.U
    first = sent.u if is_snapshot else sent.U + 1
    return BookMessage(sent.s, sent.E, sent.b, sent.a, is_snapshot=is_snapshot, first=first, last=sent.u)


def _trade(sent: _Trade) -> TradeMessage:
    return TradeMessage(sent.s, sent.E, "SELL" if sent.m else "BUY", sent.p, sent.q, str(sent.t))


def _quote(sent: _Ticker) -> QuoteMessage:
    return QuoteMessage(sent.s, sent.E, sent.b or None, sent.a or None)


# ---- what is sent ----------------------------------------------------------------------------------------


def subscribe(markets: Sequence[str]) -> list[str]:
    """Return the texts to send to subscribe, one for each market.

    The venue refuses a whole text if one name in it is unknown.
    """
    return [_text("subscribe", market, (_DEPTH, _TRADE, _TICKER)) for market in markets]


def unsubscribe(markets: Sequence[str]) -> list[str]:
    """Return the texts to send to unsubscribe, one for each market."""
    return [_text("unsubscribe", market, (_DEPTH, _TRADE, _TICKER)) for market in markets]


def resync(markets: Sequence[str]) -> list[str]:
    """Return the texts to send to unsubscribe and subscribe the books again, which brings new snapshots."""
    return [_text(method, market, (_DEPTH,)) for market in markets for method in ("unsubscribe", "subscribe")]


def _text(method: str, market: str, streams: Sequence[str]) -> str:
    params = [f"{market}{stream}" for stream in streams]
    # the answer repeats the id, so a refusal shows which market it concerns
    return msgspec.json.encode({"id": f"{market}-{method}", "method": method, "params": params}).decode()


WIRE = WireFormat(decode, subscribe, unsubscribe, resync, recipe="sequence")
