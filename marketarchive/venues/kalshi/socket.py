"""Kalshi's WebSocket API v2: commands, and the decoding of its frames.

https://docs.kalshi.com/websockets and its AsyncAPI 2.0.0 (2026-08-22), changelog up to 2026-10-09. Every
connection is signed, also for public channels. A subscription to a channel has an id on its connection,
`sid`. `seq` numbers all frames of a subscription from 1, whatever their market, answers to commands included;
frames of tickers have no number.

    {"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker","yes_dollars_fp":[["0.4700","3.00"]],
     "no_dollars_fp":[["0.5200","1.00"]]}}                                   a side without levels is left out
    {"type":"orderbook_delta","sid":1,"seq":2,"msg":{"market_ticker","price_dollars":"0.4700",
     "delta_fp":"-3.00","side":"yes","ts":"2026-06-11T06:31:29.957081Z","ts_ms":1781159489957}}

A list of subscriptions, {"id":3,"type":"ok","msg":[{"channel":"orderbook_delta","sid":1}]}, has no number.
The size of a delta is a signed change. A bid for NO is sent with the price of YES at which it is an ask (0.52
for a bid for NO at 0.48), because the subscription says `use_yes_price`. Without it the venue sends the price
of NO, but has announced to reverse that. Until 2026-03-12 tickers had whole cents beside the texts of
dollars.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import from_iso, from_ms
from marketarchive.venues.book import price_of
from marketarchive.venues.channel import Channel
from marketarchive.venues.endpoint import Endpoint, Limit
from marketarchive.venues.kalshi.lifecycle import LIFECYCLE, SentLifecycle
from marketarchive.venues.market_messages import (
    Amount,
    BookMessage,
    Decoded,
    IndexMessage,
    Level,
    MarketEvent,
    MarketMessage,
    Mean,
    QuoteMessage,
    SentLevel,
    SubscriptionError,
    TradeMessage,
    WireFormat,
)

PATH = "/trade-api/ws/v2"
_CONNECTIONS = Limit("kalshi/socket", 60, window_s=60.0, unit="connections")
"""Limit of new connections. None is documented; a user may hold 200 open ones (changelog, 2025-09)."""
SOCKET = Endpoint("kalshi_socket", f"wss://external-api-ws.kalshi.com{PATH}", _CONNECTIONS)
DEMO_SOCKET = Endpoint("kalshi_socket", f"wss://external-api-ws.demo.kalshi.co{PATH}", _CONNECTIONS)
CHANNEL = Channel(
    SOCKET,
    proof="sequence",
    key_kind="market",
    keys_per_connection=500,
    # None: the venue pings every 10 s; silent books are requested anew, which reveals a dead peer
    heartbeat=None,
    has_resync=True,
    unproven=(
        f"trades after which none of any market follows on their connection, or before the first; "
        f"the same of {LIFECYCLE}; tickers"
    ),
)

BOOK, TICKER, TRADE = "orderbook_delta", "ticker", "trade"
INDEX = "cfbenchmarks_value"
OF_MARKETS = (BOOK, TICKER, TRADE)
"""Channels whose subscriptions list markets (`market_tickers`)."""
TERMINAL = frozenset({10, 25})
"""Codes of errors that end a subscription: of the channel (10), or for reading too slowly (25)."""
FINAL = frozenset({8, 9, 24})
"""Codes of refusals that asking again does not change: unknown channel (8), no right to it (9), unknown
index (24)."""
_INDEX_PREFIX = f"{INDEX}:"


class RefusedError(SubscriptionError):
    """Raised for an error frame: the venue refuses a command or ends a subscription."""

    def __init__(self, command: int | None, sid: int | None, code: int, said: str, at: int) -> None:
        super().__init__("Frame", f"the venue says error {code}: {said}", ("type",))
        self.command = command
        self.sid = sid
        self.code = code
        self.at = at


class Subscribed(msgspec.Struct, frozen=True, gc=False):
    """The venue's confirmation of a subscription: its channel and id."""

    channel: str
    sid: int


class SubscriptionReply(NamedTuple):
    """A reply about subscriptions of the connection."""

    at: int  # when the venue sent it, ns; 0: not stated
    named: Sequence[Subscribed] = ()  # a new subscription, or all that stand
    is_list: bool = False  # True: `named` are all that stand
    ended: int | None = None  # id of a subscription that has ended


class _Frame(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    id: int | None = None
    sid: int | None = None
    seq: int | None = None
    sending_ts_ms: int | None = None
    msg: msgspec.Raw = msgspec.Raw(b"null")


class _Snapshot(msgspec.Struct, frozen=True, gc=False):
    market_ticker: str
    yes_dollars_fp: list[SentLevel] = []
    no_dollars_fp: list[SentLevel] = []


class _Delta(msgspec.Struct, frozen=True, gc=False):
    market_ticker: str
    price_dollars: Amount
    delta_fp: Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,20}(\.[0-9]{1,18})?$")]
    side: Literal["yes", "no"]
    ts: str | None = None
    ts_ms: int | None = None


class _Ticker(msgspec.Struct, frozen=True, gc=False):
    market_ticker: str
    yes_bid_dollars: Amount
    yes_ask_dollars: Amount
    price_dollars: str = ""
    yes_bid_size_fp: Amount | None = None
    yes_ask_size_fp: Amount | None = None
    volume_fp: Amount | None = None
    open_interest_fp: Amount | None = None
    volume: int | None = None
    open_interest: int | None = None
    ts: int | None = None
    ts_ms: int | None = None
    time: str | None = None


class _Trade(msgspec.Struct, frozen=True, gc=False):
    trade_id: str
    market_ticker: str
    yes_price_dollars: Amount
    count_fp: Amount
    taker_outcome_side: str = ""
    taker_side: str = ""
    ts: int | None = None
    ts_ms: int | None = None


class _Mean(msgspec.Struct, frozen=True, gc=False):
    value: Amount
    window_size: int
    window_start_ts_ms: int
    window_end_ts_exclusive: int


class _Index(msgspec.Struct, frozen=True, gc=False):
    index_id: str
    received_at: int
    data: str
    avg_60s_data: _Mean | None = None
    last_60s_windowed_average_15min: _Mean | None = None


class _IndexData(msgspec.Struct, frozen=True, gc=False):
    time: int
    value: Amount


class _Error(msgspec.Struct, frozen=True, gc=False):
    code: int = 0
    msg: str = ""


_FRAME = msgspec.json.Decoder(_Frame)
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "orderbook_snapshot": msgspec.json.Decoder(_Snapshot),
    "orderbook_delta": msgspec.json.Decoder(_Delta),
    "ticker": msgspec.json.Decoder(_Ticker),
    "trade": msgspec.json.Decoder(_Trade),
    INDEX: msgspec.json.Decoder(_Index),
    LIFECYCLE: msgspec.json.Decoder(SentLifecycle),
}
_INDEX_DATA = msgspec.json.Decoder(_IndexData)
_ERROR = msgspec.json.Decoder(_Error)
_SUBSCRIBED = msgspec.json.Decoder(Subscribed)
_LISTED = msgspec.json.Decoder(list[Subscribed])


def decode(payload: bytes, received_at: int) -> Decoded:
    """Decode a frame of the socket into messages. received_at: receipt, ns since the Unix epoch.

    Raises RefusedError for an error frame, ParseError for a frame that cannot be read.
    """
    try:
        frame = _FRAME.decode(payload)
        at = 0 if frame.sending_ts_ms is None else from_ms(frame.sending_ts_ms)
        if frame.type == "error":
            error = _ERROR.decode(frame.msg)
            refusal = RefusedError(frame.id, frame.sid, error.code, error.msg, at or received_at)
            if frame.seq is not None:
                refusal.numbered = Decoded((), frame.seq, at, sequence=_sequence(frame))
            raise refusal
        messages: list[MarketMessage] = []
        if frame.type in _DECODERS:
            messages = [_message(_DECODERS[frame.type].decode(frame.msg), at, received_at)]
    except (*NOT_JSON, ValueError) as error:
        raise ParseError("Frame", f"not a frame of Kalshi: {error}", ("payload",)) from error
    return Decoded(messages, frame.seq, at, sequence=_sequence(frame))


def _sequence(frame: _Frame) -> str:
    return "" if frame.sid is None else str(frame.sid)


def subscription_reply(payload: bytes) -> SubscriptionReply | None:
    """Return what a reply of the venue says of subscriptions; None when the frame is something else."""
    if b'"subscribed"' not in payload and b'"ok"' not in payload and b'"unsubscribed"' not in payload:
        return None
    try:
        frame = _FRAME.decode(payload)
        at = 0 if frame.sending_ts_ms is None else from_ms(frame.sending_ts_ms)
        match frame.type:
            case "subscribed":
                return SubscriptionReply(at, (_SUBSCRIBED.decode(frame.msg),))
            case "unsubscribed":
                return SubscriptionReply(at, ended=frame.sid)
            case "ok":
                return SubscriptionReply(at, _LISTED.decode(frame.msg), is_list=True)
    except NOT_JSON:
        pass
    return None


def _message(sent: Any, sent_at: int, received_at: int) -> MarketMessage:
    match sent:
        case _Delta():
            return _delta(sent, received_at)
        case _Snapshot():
            at = sent_at or received_at
            bids, asks = (
                sorted(sent.yes_dollars_fp, key=_price, reverse=True),
                sorted(sent.no_dollars_fp, key=_price),
            )
            return BookMessage(sent.market_ticker, at, bids, asks, is_snapshot=True, is_dated=sent_at > 0)
        case _Ticker():
            return _quote(sent, received_at)
        case _Trade():
            return _trade(sent, received_at)
        case SentLifecycle():
            return MarketEvent(sent.market_ticker, sent_at or received_at, sent.event_type, sent)
    return _index(sent)


def _price(level: Level) -> Decimal:
    return price_of(level[0])


def _delta(sent: _Delta, received_at: int) -> BookMessage:
    """Return a delta dated by `ts`, which has microseconds although it is deprecated."""
    level = [(sent.price_dollars, sent.delta_fp)]
    at = from_iso(sent.ts) if sent.ts is not None else _moment(sent.ts_ms, None, received_at)
    is_dated = sent.ts is not None or sent.ts_ms is not None
    bids, asks = (level, []) if sent.side == "yes" else ([], level)
    return BookMessage(sent.market_ticker, at, bids, asks, is_dated=is_dated, is_relative=True)


def _quote(sent: _Ticker, received_at: int) -> QuoteMessage:
    """Return the quote in a ticker frame.

    A price without a size means an empty side, sent as 0.0000 or 1.0000 (frames of 2026-07-19).
    """
    volume = str(sent.volume) if sent.volume_fp is None else sent.volume_fp
    interest = str(sent.open_interest) if sent.open_interest_fp is None else sent.open_interest_fp
    if "None" in (volume, interest):
        raise ValueError("a ticker without volume_fp or open_interest_fp")
    at = from_iso(sent.time) if sent.time is not None else _moment(sent.ts_ms, sent.ts, received_at)
    return QuoteMessage(
        sent.market_ticker,
        at,
        _real(sent.yes_bid_dollars, sent.yes_bid_size_fp, "0"),
        _real(sent.yes_ask_dollars, sent.yes_ask_size_fp, "1"),
        sent.price_dollars or None,
        volume,
        interest,
    )


def _real(price: str, size: str | None, empty: str) -> str | None:
    is_empty = price_of(price) == price_of(empty) if size is None else not price_of(size)
    return None if is_empty else price


def _trade(sent: _Trade, received_at: int) -> TradeMessage:
    """Return a trade with the taker's side: `yes` bought YES, `no` sold it. The price is always of YES."""
    taker = sent.taker_outcome_side or sent.taker_side
    if taker not in ("yes", "no"):
        raise ValueError(f"taker_outcome_side={taker!r} is neither yes nor no")
    return TradeMessage(
        sent.market_ticker,
        _moment(sent.ts_ms, sent.ts, received_at),
        "BUY" if taker == "yes" else "SELL",
        sent.yes_price_dollars,
        sent.count_fp,
        sent.trade_id,
    )


def _index(sent: _Index) -> IndexMessage:
    """Return an index value with its means.

    `avg_60s_data` is the mean of [time - 60 s, time), `last_60s_windowed_average_15min` that of the part of
    (close - 60 s, close] so far.
    """
    data = _INDEX_DATA.decode(sent.data)
    found = {name: getattr(sent, name) for name in ("avg_60s_data", "last_60s_windowed_average_15min")}
    means = [_mean(name, mean) for name, mean in found.items() if mean is not None]
    return IndexMessage(
        key_of_index(sent.index_id), from_ms(data.time), data.value, from_ms(sent.received_at), means
    )


def _mean(name: str, sent: _Mean) -> Mean:
    from_ns, to_ns = from_ms(sent.window_start_ts_ms), from_ms(sent.window_end_ts_exclusive)
    return Mean(name, sent.value, sent.window_size, from_ns, to_ns)


def _moment(ms: int | None, seconds: int | None, received_at: int) -> int:
    if ms is not None:
        return from_ms(ms)
    return received_at if seconds is None else from_ms(1000 * seconds)


# ---- keys ------------------------------------------------------------------------------------------------


def key_of_index(index_id: str) -> str:
    """Return the key, `topic:symbol`, by which a connection subscribes an index."""
    return f"{_INDEX_PREFIX}{index_id}"


def indices_of(keys: Iterable[str]) -> list[str]:
    """Return the ids of the indices among the keys of a connection."""
    return [key.removeprefix(_INDEX_PREFIX) for key in keys if key.startswith(_INDEX_PREFIX)]


def markets_of(keys: Iterable[str]) -> list[str]:
    """Return the tickers of the markets among the keys of a connection."""
    return [key for key in keys if key != LIFECYCLE and not key.startswith(_INDEX_PREFIX)]


def by_channels(keys: Sequence[str]) -> list[list[str]]:
    """Return `keys` divided into groups that one command can subscribe: markets, indices, the lifecycle."""
    indices = [key for key in keys if key.startswith(_INDEX_PREFIX)]
    return [part for part in (markets_of(keys), indices, [LIFECYCLE] * (LIFECYCLE in keys)) if part]


# ---- what is sent ----------------------------------------------------------------------------------------


def subscribe(keys: Sequence[str], first_id: int = 1) -> list[str]:
    """Return the texts to send to subscribe `keys`, one for each group of `by_channels`.

    first_id: id of the first command, the next ones count up. A second subscription to a channel adds to the
    first one (changelog, 2025-10-01).
    """
    return [
        _command(number, "subscribe", _of(part)) for number, part in enumerate(by_channels(keys), first_id)
    ]


def _of(part: Sequence[str]) -> dict[str, Any]:
    if part[0] == LIFECYCLE:
        return {"channels": [LIFECYCLE]}
    if indices := indices_of(part):
        return {"channels": [INDEX], "index_ids": indices}
    return {
        "channels": list(OF_MARKETS),
        "market_tickers": list(part),
        "use_yes_price": True,
        "send_initial_snapshot": True,  # for tickers; books always have one
    }


def delete_markets(sid: int, markets: Sequence[str], command: int) -> str:
    """Return the text to send to remove markets from a subscription.

    sid: id of the subscription; command: id of the new command.
    """
    return _update(sid, command, action="delete_markets", market_tickers=list(markets))


def delete_indices(sid: int, indices: Sequence[str], command: int) -> str:
    """Return the text to send to remove indices from a subscription.

    sid: id of the subscription; command: id of the new command.
    """
    return _update(sid, command, action="unsubscribe_indices", index_ids=list(indices))


def unsubscribe(sid: int, command: int) -> str:
    """Return the text to send to end a subscription. sid: its id; command: id of the new command."""
    return _command(command, "unsubscribe", {"sids": [sid]})


def list_subscriptions(command: int) -> str:
    """Return the text to send to request a list of the connection's subscriptions. command: its id."""
    return msgspec.json.encode({"id": command, "cmd": "list_subscriptions"}).decode()


def get_snapshot(sid: int, markets: Sequence[str], command: int) -> str:
    """Return the text to send to request new snapshots of markets; the subscription continues.

    sid: id of the subscription; command: id of the new command.
    """
    return _update(sid, command, action="get_snapshot", market_tickers=list(markets))


def _update(sid: int, command: int, **params: Any) -> str:
    return _command(command, "update_subscription", {"sids": [sid], **params})


def _command(number: int, name: str, params: dict[str, Any]) -> str:
    return msgspec.json.encode({"id": number, "cmd": name, "params": params}).decode()


def _needs_sid(keys: Sequence[str]) -> list[str]:  # noqa: ARG001  (a wire format's interface)
    """Return no texts: commands about a subscription need its id, which only `KalshiSession` knows."""
    return []


WIRE = WireFormat(decode, subscribe, _needs_sid, recipe="sequence")
