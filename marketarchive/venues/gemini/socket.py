"""Gemini's WebSocket API (wss://ws.gemini.com): subscriptions, and the decoding of its frames.

https://developer.gemini.com/websocket/introduction.md, streams.md, message-format.md and its AsyncAPI
specification, version 0.10.7 (read September 2026). Depth is unproven: no recording of spot stands behind it,
only those documents, and a profile of the perpetuals on the same socket that was probed on 2026-09-15:

- with `snapshot=-1` in the URL the first depthUpdate of a symbol after its subscription is the whole book,
  and has U = u; it comes before the answer to the subscription. Else the first one is a delta, U < u
- U of each of 5,489 deltas was u of the one before; ids come from one range of all symbols. By the documents
  a frame whose U is above the u before it shows that others are missing

So U = u marks a snapshot here, and a delta covers the ids after U. Where the venue does not mark its books
so, none begins, and all is a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.venues.channel import Channel
from marketarchive.venues.endpoint import Endpoint, Limit
from marketarchive.venues.market_messages import (
    Amount,
    BookMessage,
    Decoded,
    QuoteMessage,
    SentLevel,
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
"""As text; empty where the side is."""

_DEPTH, _TRADE, _TICKER = "@depth@100ms", "@trade", "@bookTicker"
_OK = 200


class _Frame(msgspec.Struct, frozen=True, gc=False):
    """Only depth names its event; a trade has `t`, a ticker `B`, an answer `id`."""

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
    m: bool  # the buyer was there first


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
    """Decode a frame; received_at: ns. Raises ParseError, also where it refuses a subscription."""
    try:
        frame = _FRAME.decode(payload)
        if frame.status not in (None, _OK):
            said = bytes(frame.error)[:200].decode("utf-8", "replace")
            raise ParseError("Frame", f"a request was refused: {frame.status} {said}", ("status",))
        if frame.e == "depthUpdate":
            return Decoded([_book(_DEPTHS.decode(payload))])
        if frame.e or bytes(frame.id):
            return Decoded()
        if frame.t is not None:
            return Decoded([_trade(_TRADES.decode(payload))])
        if frame.B is not None:
            return Decoded([_quote(_TICKERS.decode(payload))])
    except msgspec.DecodeError as error:
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
    """Return the texts to send, one for each market: the venue refuses a text with any unknown name."""
    return [_text("subscribe", market, (_DEPTH, _TRADE, _TICKER)) for market in markets]


def unsubscribe(markets: Sequence[str]) -> list[str]:
    """Return the texts to send, one for each market."""
    return [_text("unsubscribe", market, (_DEPTH, _TRADE, _TICKER)) for market in markets]


def resync(markets: Sequence[str]) -> list[str]:
    """Return the texts that end and begin the depth of each market: its book comes first."""
    return [_text(method, market, (_DEPTH,)) for market in markets for method in ("unsubscribe", "subscribe")]


def _text(method: str, market: str, streams: Sequence[str]) -> str:
    params = [f"{market}{stream}" for stream in streams]
    # the answer repeats the id: a refusal says by it whose it is
    return msgspec.json.encode({"id": f"{market}-{method}", "method": method, "params": params}).decode()


WIRE = WireFormat(decode, subscribe, unsubscribe, resync, recipe="sequence")
