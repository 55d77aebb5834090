"""The real-time data socket (RTDS): reference prices as the venue relays them.

wss://ws-live-data.polymarket.com, a text `PING` every 5 s, which is answered by an empty text or not at all.
Without it a stream fell silent after 228 s (observed 2026-08-23) or 360 s (2026-09-25), its socket still
open. An update contains one point, the answer to a subscription ("subscribe") the points of one symbol in the
last minute or two. The price topics are deprecated in favour of a socket that needs keys (SDK changelog
0.11.0, 2026-09-23). https://docs.polymarket.com/developers/RTDS/RTDS-overview (November 2026)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.json_lines import NOT_JSON
from marketarchive.nesting import MAX_NESTING, is_shallow
from marketarchive.venues.polymarket.endpoints import RTDS

__all__ = ["RTDS", "TOPICS", "ReferencePoint", "RtdsRefused", "Topic", "decode", "subscribe"]

PING = "PING"
PING_EVERY_S = 5


@dataclass(frozen=True, slots=True)
class Topic:
    """The kind of price that a topic of RTDS publishes."""

    source: str
    window_s: int | None  # seconds over which the price is averaged; None: spot
    decimals: int | None  # full_accuracy_value is an integer of 10**-decimals; None: it is a plain decimal

    @property
    def name(self) -> str:
        """Return the short name of the topic: `binance`, `chainlink`, `chainlink twap30`."""
        return self.source if self.window_s is None else f"{self.source}{self.window_s}"


TOPICS: dict[str, Topic] = {
    "crypto_prices": Topic("binance", None, None),
    "crypto_prices_chainlink": Topic("chainlink", None, 18),
    "crypto_prices_twap_thirty": Topic("chainlink twap", 30, 18),
    "crypto_prices_twap_sixty": Topic("chainlink twap", 60, 18),
}


class RtdsRefused(ParseError):  # noqa: N818 (it says what the venue did, which is no fault of the reader)
    """Raised when the venue answers a subscription with an error; the message is the venue's text."""


@dataclass(frozen=True, slots=True)
class ReferencePoint:
    """One price of one symbol, in dollars, exactly as sent."""

    topic: str
    symbol: str  # as sent: btcusdt, btc/usd
    asset: str  # BTC
    observed_ms: int
    published_ms: int
    value: Decimal
    window_s: int | None
    is_backfill: bool  # True: repeated on subscription; it was published before published_ms
    index: int  # place in the frame, from 1


class _Point(msgspec.Struct, gc=False):
    timestamp: int
    value: Decimal | None = None  # exact value of the number sent; None: not sent
    full_accuracy_value: str | None = None


class _Payload(msgspec.Struct):
    symbol: str
    timestamp: int | None = None
    value: Decimal | None = None
    full_accuracy_value: str | None = None
    window_s: int | None = None
    data: tuple[_Point, ...] | None = None


class _Priced(msgspec.Struct):
    timestamp: int
    payload: _Payload


class _PointsBody(msgspec.Struct):
    message: str


class _Envelope(msgspec.Struct):
    topic: str | None = None
    message: str | None = None
    body: _PointsBody | None = None
    status_code: int | None = msgspec.field(name="statusCode", default=None)


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_PRICED = msgspec.json.Decoder(_Priced)
_INTEGER = re.compile(r"[0-9]{1,60}").fullmatch
_PLAIN = re.compile(r"[0-9]{1,60}(?:\.[0-9]{1,60})?").fullmatch
_QUOTE = re.compile(r"(?:/usd|usdt|usd)$")


def subscribe(topics: Iterable[str]) -> str:
    """Return the text to send to subscribe whole topics.

    The filters in the documents were never seen to work.
    """
    wanted = [{"topic": topic, "type": "update"} for topic in topics]
    return msgspec.json.encode({"action": "subscribe", "subscriptions": wanted}).decode()


def asset_of(symbol: str) -> str:
    """Return the asset of a symbol: BTC for `btcusdt` and `btc/usd`."""
    return _QUOTE.sub("", symbol.lower()).upper()


def decode(payload: bytes) -> list[ReferencePoint]:
    """Return the points in a frame; none for empty frames, `PONG` and topics not in TOPICS.

    Raises RtdsRefused for an error that the venue sends, ParseError for anything else that is no frame of
    RTDS.
    """
    if payload in (b"", b"PONG"):
        return []
    if not is_shallow(payload):
        raise ParseError("ReferencePoint", f"nested more than {MAX_NESTING} deep; {len(payload)} bytes")
    try:
        envelope = _ENVELOPE.decode(payload)
        if envelope.topic is None:
            raise _refused(envelope, payload)
        topic = TOPICS.get(envelope.topic)
        if topic is None:
            return []
        frame = _PRICED.decode(payload)
    except NOT_JSON as error:
        raise ParseError("ReferencePoint", f"not a frame of RTDS ({error}): {payload[:60]!r}") from error
    sent = frame.payload
    if sent.data is None:
        if sent.timestamp is None:
            raise ParseError("ReferencePoint", "neither payload.timestamp nor payload.data", ("timestamp",))
        points: tuple[_Point, ...] = (_Point(sent.timestamp, sent.value, sent.full_accuracy_value),)
    else:
        points = sent.data
    window_s = topic.window_s if sent.window_s is None else sent.window_s
    return [
        ReferencePoint(
            topic=envelope.topic,
            symbol=sent.symbol,
            asset=asset_of(sent.symbol),
            observed_ms=point.timestamp,
            published_ms=frame.timestamp,
            value=_exact(point, topic),
            window_s=window_s,
            is_backfill=sent.data is not None,
            index=index,
        )
        for index, point in enumerate(points, 1)
    ]


def _refused(envelope: _Envelope, payload: bytes) -> ParseError:
    message = envelope.body.message if envelope.body else envelope.message
    if message is None:
        return ParseError("ReferencePoint", f"neither a topic nor an error: {payload[:60]!r}", ("topic",))
    status = "" if envelope.status_code is None else f" (status {envelope.status_code})"
    return RtdsRefused("ReferencePoint", f"RTDS refuses{status}: {message[:500]}")


def _exact(point: _Point, topic: Topic) -> Decimal:
    """Return the price of a point with all its digits.

    Raises ParseError, also when the two numbers in which it is sent disagree.
    """
    rough, text = point.value, point.full_accuracy_value
    if rough is not None and not (rough.is_finite() and 0 <= rough < 10**15):
        raise ParseError("ReferencePoint", f"value={rough} is not a price", ("value",))
    if not text:
        if rough is None:
            raise ParseError("ReferencePoint", "neither value nor full_accuracy_value", ("value",))
        return rough
    if topic.decimals is not None and _INTEGER(text):
        exact = Decimal(f"{text}E-{topic.decimals}")
    elif _PLAIN(text):
        exact = Decimal(text)
    else:
        raise ParseError("ReferencePoint", f"full_accuracy_value={text[:80]!r}", ("full_accuracy_value",))
    if rough is not None and abs(exact - rough) * 10**6 > rough:
        text = f"full_accuracy_value {exact} and value {rough} are not the same price"
        raise ParseError("ReferencePoint", text, ("full_accuracy_value", "value"))
    return exact
