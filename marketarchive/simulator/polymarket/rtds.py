"""The real-time data socket: reference prices, as late as in recordings.

Each topic has one point per symbol and second. What is published is a pure function of (topic, symbol,
second), except for the connection's id.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from marketarchive.simulator.noise import bits, digest
from marketarchive.simulator.prices import ASSETS, E18, Prices
from marketarchive.simulator.sockets import Frame, SocketReply, message_of
from marketarchive.times import SECOND

SILENT_AFTER_NS = 228 * SECOND
_MS = SECOND // 1000
_JITTER_MS = 120
_SECONDS_KEPT = 16


@dataclass(frozen=True)
class SimTopic:
    """A topic of prices.

    lag_ms: time from an observation to its publication; window_s: seconds over which prices are averaged, 0
    for spot.
    """

    name: str
    quote: str
    lag_ms: int
    backfill_s: int
    window_s: int = 0


BINANCE = "crypto_prices"
TOPICS = {
    topic.name: topic
    for topic in (
        SimTopic(BINANCE, "usdt", 180, 120),
        SimTopic("crypto_prices_chainlink", "/usd", 1350, 60),
        SimTopic("crypto_prices_twap_thirty", "/usd", 1380, 60, 30),
        SimTopic("crypto_prices_twap_sixty", "/usd", 1360, 60, 60),
    )
}


class Rtds:
    """Source of the socket's frames; those of the last seconds are cached for other connections."""

    def __init__(self, seed: int, prices: Prices) -> None:
        self.seed = seed
        self._prices = prices
        self._seconds: dict[tuple[str, int], list[tuple[int, str, bytes]]] = {}

    def updates(self, topic: SimTopic, second: int) -> list[tuple[int, str, bytes]]:
        """Return (publication, symbol, text of the frame from `"payload"` on) of each point of a Unix second.

        The publication is in Unix ms.
        """
        key = (topic.name, second)
        if (found := self._seconds.get(key)) is None:
            found = self._seconds[key] = [self._update(topic, asset, second) for asset in ASSETS]
            if len(self._seconds) > _SECONDS_KEPT * len(TOPICS):
                del self._seconds[next(iter(self._seconds))]
        return found

    def _update(self, topic: SimTopic, asset: str, second: int) -> tuple[int, str, bytes]:
        ms = self._published(topic, asset, second)
        exact, value = self._point(topic, asset, second)
        payload: dict[str, Any] = {
            "full_accuracy_value": exact,
            "symbol": _symbol(topic, asset),
            "timestamp": second * 1000,
            "value": value,
        }
        if topic.window_s:
            payload["window_s"] = topic.window_s
        whole = {"payload": payload, "timestamp": ms, "topic": topic.name, "type": "update"}
        return ms, payload["symbol"], msgspec.json.encode(whole)[1:]

    def backfill(self, topic: SimTopic, now_ns: int) -> Iterator[Frame]:
        """Yield the answer to a subscription: a frame for each symbol with its recent points.

        now_ns: simulated wall clock, ns.
        """
        ms = now_ns // _MS
        for asset in ASSETS:
            seconds = range(ms // 1000 - topic.backfill_s + 1, ms // 1000 + 1)
            data = [
                self._backfilled(topic, asset, second)
                for second in seconds
                if self._published(topic, asset, second) <= ms
            ]
            payload: dict[str, Any] = {"data": data, "symbol": _symbol(topic, asset)}
            if topic.window_s:
                payload["window_s"] = topic.window_s
            whole = {"payload": payload, "timestamp": ms, "topic": topic.name, "type": "subscribe"}
            yield Frame(
                ns=now_ns,
                kind="backfill",
                payload=msgspec.json.encode(whole),
                topic=topic.name,
                symbol=payload["symbol"],
            )

    def _backfilled(self, topic: SimTopic, asset: str, second: int) -> dict[str, Any]:
        exact, value = self._point(topic, asset, second)
        point = {"timestamp": second * 1000, "value": value}
        return {"full_accuracy_value": exact, **point} if topic.window_s else point

    def _published(self, topic: SimTopic, asset: str, second: int) -> int:
        jitter = bits(self.seed, topic.name, asset, second) % _JITTER_MS - _JITTER_MS // 2
        return second * 1000 + topic.lag_ms + jitter

    def _point(self, topic: SimTopic, asset: str, second: int) -> tuple[str, float]:
        """Return full_accuracy_value and value of a point. second: Unix second of its observation."""
        if topic.name == BINANCE:
            value = self._prices.exchange(asset, second)
            return f"{value // E18}.{value % E18 // 10**10:08d}", value / E18
        if topic.window_s:
            value = self._prices.twap(asset, second, topic.window_s)
        else:
            value = self._prices.spot(asset, second)
        return str(value), value / E18


class SimRtdsSession:
    """The venue's side of one connection: it replies to the client's texts and makes frames when due."""

    def __init__(self, rtds: Rtds, number: int, now_ns: int) -> None:
        self._rtds = rtds
        self.name = connection_id(rtds.seed, number)
        self._topics: dict[str, SimTopic] = {}
        self._pinged_ns = now_ns
        self._is_deaf = False

    def received(self, text: str, now_ns: int) -> SocketReply:
        if text == "PING":
            self._pinged_ns = now_ns
            return SocketReply("ping", (Frame(now_ns, "pong", b""),))
        message = message_of(text)
        wanted = message.get("subscriptions")
        action = message.get("action")
        if action not in ("subscribe", "unsubscribe") or not isinstance(wanted, list) or not wanted:
            return SocketReply("refused", (self._invalid(now_ns),))
        if not all(_is_plain(each) for each in wanted):
            return SocketReply("refused", (self._invalid(now_ns),))
        for each in wanted:  # one unknown topic makes the venue ignore the whole message
            if each["topic"] not in TOPICS or each.get("type", "update") not in ("update", "*"):
                return SocketReply("refused", (_not_found(each, now_ns),))
        topics = {each["topic"]: TOPICS[each["topic"]] for each in wanted}
        if action == "unsubscribe":
            self._topics = {name: topic for name, topic in self._topics.items() if name not in topics}
            return SocketReply("unsubscribed")
        self._topics |= topics
        return SocketReply(
            "subscribed",
            [frame for topic in topics.values() for frame in self._rtds.backfill(topic, now_ns)],
        )

    def due(self, from_ns: int, to_ns: int) -> list[Frame]:
        return updates(self._rtds, list(self._topics), from_ns, to_ns, self.name)

    def end(self, now_ns: int) -> tuple[int, str] | None:
        del now_ns
        return None

    def is_deaf(self, now_ns: int) -> bool:
        self._is_deaf = self._is_deaf or now_ns - self._pinged_ns > SILENT_AFTER_NS
        return self._is_deaf

    def dated_ahead(self, frame: Frame, ns: int) -> bytes:
        def later(found: re.Match[bytes]) -> bytes:
            return b"%b%d" % (found[1], int(found[2]) + ns // _MS)

        return re.sub(rb'("timestamp":)(\d+)', later, frame.payload)

    def place(self, market: str) -> int | None:
        del market
        return None

    def _invalid(self, now_ns: int) -> Frame:
        document = {
            "message": "Invalid request body",
            "connectionId": self.name,
            "requestId": connection_id(self._rtds.seed, now_ns),
        }
        return Frame(now_ns, "error", msgspec.json.encode(document))


def connection_id(seed: int, number: int) -> str:
    """Return the venue's id of a connection. number: of the connection in this run, from 1."""
    return base64.b64encode(digest(13, seed, "connection", number)).decode()


def updates(rtds: Rtds, topics: list[str], from_ns: int, to_ns: int, name: str) -> list[Frame]:
    """Return the updates of `topics` with from_ns < ns <= to_ns, as sent on the connection with id `name`."""
    head = f'{{"connection_id":"{name}",'.encode()
    found = []
    for topic in (TOPICS[each] for each in topics):
        longest = (topic.lag_ms + _JITTER_MS) // 1000 + 1
        for second in range(from_ns // SECOND - longest, -(-to_ns // SECOND)):
            for ms, symbol, rest in rtds.updates(topic, second):
                if from_ns < ms * _MS <= to_ns:
                    found.append(Frame(ms * _MS, "update", head + rest, topic=topic.name, symbol=symbol))
    found.sort(key=lambda frame: frame.ns)
    return found


def frames(rtds: Rtds, topics: list[str], from_ns: int, to_ns: int, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield (simulated ns, payload) of `updates`."""
    for frame in updates(rtds, topics, from_ns, to_ns, name):
        yield frame.ns, frame.payload


def _symbol(topic: SimTopic, asset: str) -> str:
    return f"{asset.lower()}{topic.quote}"


def _is_plain(wanted: Any) -> bool:
    """Return whether the venue understands a subscription.

    It does not understand filters and the dotted names of its own library.
    """
    return (
        isinstance(wanted, dict)
        and set(wanted) <= {"topic", "type"}
        and "." not in str(wanted.get("topic", "."))
    )


def _not_found(wanted: dict[str, Any], now_ns: int) -> Frame:
    what = f"topic: {wanted['topic']} and type: {wanted.get('type', 'update')} not found"
    text = f"leger GetTopics error: rpc error: code = NotFound desc = {what}, status: rpc error: "
    text += f"code = NotFound desc = {what}, message: {what}"
    return Frame(now_ns, "error", msgspec.json.encode({"body": {"message": text}, "statusCode": 401}))
