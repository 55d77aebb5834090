"""Simulated Bitstamp: WebSocket API v2, and the order book over REST."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from marketarchive.simulator.messages import Reply, SimRequest, json_reply
from marketarchive.simulator.sockets import Frame, SimSession, SocketReply, message_of
from marketarchive.simulator.spot_session import SpotSession
from marketarchive.simulator.spot_world import SpotTrade, SpotWorld, Step
from marketarchive.times import SECOND
from marketarchive.venues.exchange import assets_of

SOCKET_HOST = "ws.bitstamp.net"
REST_HOST = "www.bitstamp.net"
DEPTH = 120
"""Levels per side of the simulated book."""
SENT = 100
"""Levels per side that a frame contains."""

_CHANNEL = re.compile(r"(order_book|live_trades)_([a-z]+)")
_ORDER_BOOK = re.compile(r"/api/v2/order_book/([a-z]+)/")
_TIMES = re.compile(rb'"(timestamp|microtimestamp)":"(\d+)"')
_MICROSECOND = SECOND // 1_000_000


class Bitstamp:
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = frozenset({SOCKET_HOST, REST_HOST})

    def __init__(self, seed: int) -> None:
        self.world = SpotWorld(seed, "bitstamp", assets_of("bitstamp"), DEPTH)

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        found = _ORDER_BOOK.fullmatch(request.path) if request.host == REST_HOST else None
        if found is None or found[1] not in self.world.assets:
            return json_reply({"status": "error", "reason": "Not found", "code": "API0006"}, 404)
        return json_reply(_book(self.world.changed(found[1], now_ns), DEPTH))

    def limit(self, request: SimRequest) -> tuple[str, int]:
        del request
        return "rest", 4000

    def connect(self, request: SimRequest, number: int, now_ns: int) -> SimSession | None:
        del number
        is_socket = request.host == SOCKET_HOST and not request.path.strip("/")
        return BitstampSession(self.world, now_ns) if is_socket else None

    def truth(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        del start_ns, end_ns
        return []


class BitstampSession(SpotSession):
    """The venue's side of one connection: it replies to the client's texts and makes frames when due."""

    def received(self, text: str, now_ns: int) -> SocketReply:
        message = message_of(text)
        event, data = message.get("event"), message.get("data")
        if event == "bts:heartbeat":
            return SocketReply("ping", (_frame(now_ns, "pong", "bts:heartbeat", "", {"status": "success"}),))
        named = str(data.get("channel")) if isinstance(data, dict) else ""
        found = _CHANNEL.fullmatch(named)
        if event not in ("bts:subscribe", "bts:unsubscribe") or found is None:
            return _refused(now_ns, "Incorrect JSON format.")
        channel, symbol = found.groups()
        if symbol not in self.world.assets:
            return _refused(now_ns, f"Bad subscription string: {named}")
        if event == "bts:unsubscribe":
            self.unsubscribe(channel, symbol)
            ended = _frame(now_ns, "nothing", "bts:unsubscription_succeeded", named, {})
            return SocketReply("unsubscribed", (ended,))
        self.subscribe(channel, symbol, now_ns)
        frames = [_frame(now_ns, "nothing", "bts:subscription_succeeded", named, {})]
        if channel == "order_book":
            frames.append(_sent_book(symbol, now_ns, "books", self.world.changed(symbol, now_ns)))
        return SocketReply("subscribed", frames)

    def frames(self, symbol: str, step: Step) -> Iterable[tuple[str, Frame]]:
        if step.trade is None:
            yield "order_book", _sent_book(symbol, step.ns, "book", step)
        else:
            data = _trade(step.ns, step.trade)
            yield "live_trades", _frame(step.ns, "trade", "trade", f"live_trades_{symbol}", data, symbol)

    def later(self, payload: bytes, ns: int) -> bytes:
        def moved(found: re.Match[bytes]) -> bytes:
            unit = SECOND if found[1] == b"timestamp" else _MICROSECOND
            return b'"%b":"%d"' % (found[1], int(found[2]) + ns // unit)

        return _TIMES.sub(moved, payload)


def _sent_book(symbol: str, ns: int, kind: str, step: Step) -> Frame:
    return _frame(ns, kind, "data", f"order_book_{symbol}", _book(step, SENT), symbol)


def _book(step: Step, depth: int) -> dict[str, Any]:
    return {**_times(step.ns), "bids": step.bids[:depth], "asks": step.asks[:depth]}


def _trade(ns: int, trade: SpotTrade) -> dict[str, Any]:
    return {
        "id": trade.number,
        **_times(ns),
        "amount": float(trade.size),
        "amount_str": trade.size,
        "price": float(trade.price),
        "price_str": trade.price,
        "type": 0 if trade.side == "BUY" else 1,
        "buy_order_id": 2 * trade.number,
        "sell_order_id": 2 * trade.number + 1,
    }


def _times(ns: int) -> dict[str, str]:
    return {"timestamp": str(ns // SECOND), "microtimestamp": str(ns // _MICROSECOND)}


def _frame(ns: int, kind: str, event: str, channel: str, data: dict[str, Any], *symbols: str) -> Frame:
    payload = msgspec.json.encode({"data": data, "channel": channel, "event": event})
    return Frame(ns, kind, payload, symbols)


def _refused(ns: int, why: str) -> SocketReply:
    frame = _frame(ns, "error", "bts:error", "", {"code": None, "message": why})
    return SocketReply("refused", (frame,))


def simulated(seed: int) -> Bitstamp:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Bitstamp(seed)
