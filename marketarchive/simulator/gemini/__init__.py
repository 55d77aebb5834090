"""Simulated Gemini: the WebSocket API at the root of ws.gemini.com."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from marketarchive.simulator.messages import Reply, SimRequest, json_reply
from marketarchive.simulator.sockets import Frame, SimSession, SocketReply, message_of
from marketarchive.simulator.spot_session import SpotSession
from marketarchive.simulator.spot_world import Levels, SpotTrade, SpotWorld, Step
from marketarchive.venues.exchange import assets_of

HOST = "ws.gemini.com"
DEPTH = 120
"""Levels per side of the simulated book."""

_STREAM = re.compile(r"([a-z]+)@(depth@100ms|trade|bookTicker)")
_TIME = re.compile(rb'"E":(\d+)')


class Gemini:
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = frozenset({HOST})

    def __init__(self, seed: int) -> None:
        self.world = SpotWorld(seed, "gemini", assets_of("gemini"), DEPTH)

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        del request, now_ns
        return json_reply({"result": "error", "reason": "EndpointNotFound"}, 404)

    def limit(self, request: SimRequest) -> tuple[str, int]:
        del request
        return "socket", 1000

    def connect(self, request: SimRequest, number: int, now_ns: int) -> SimSession | None:
        del number
        if request.path.strip("/"):
            return None
        snapshot = request.first("snapshot", "0")
        return GeminiSession(self.world, now_ns, int(snapshot) if snapshot.lstrip("-").isdigit() else 0)

    def truth(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        del start_ns, end_ns
        return []


class GeminiSession(SpotSession):
    """The venue's side of one connection: it replies to the client's texts and makes frames when due."""

    def __init__(self, world: SpotWorld, now_ns: int, snapshot: int) -> None:
        """Prepare a connection.

        snapshot: levels per side of the first book, negative = all, 0 = no first book.
        """
        super().__init__(world, now_ns)
        self._snapshot = snapshot

    def received(self, text: str, now_ns: int) -> SocketReply:
        message = message_of(text)
        request, method, params = message.get("id"), message.get("method"), message.get("params")
        if method == "ping":
            return SocketReply("ping", (_answer(now_ns, "pong", request),))
        if method not in ("subscribe", "unsubscribe") or not isinstance(params, list):
            return _refused(now_ns, request, -1020, "Unsupported operation")
        streams = []
        for name in map(str, params):
            found = _STREAM.fullmatch(name)
            if found is None or found[1] not in self.world.assets:
                return _refused(now_ns, request, -1013, f"Invalid stream name: {name}")
            streams.append((found[2], found[1]))
        frames: list[Frame] = []
        for channel, symbol in streams:
            if method == "unsubscribe":
                self.unsubscribe(channel, symbol)
            else:
                self.subscribe(channel, symbol, now_ns)
                frames += self._first(channel, symbol, now_ns)
        return SocketReply(f"{method}d", (*frames, _answer(now_ns, "nothing", request)))

    def _first(self, channel: str, symbol: str, now_ns: int) -> Iterable[Frame]:
        step = self.world.changed(symbol, now_ns)
        if channel == "depth@100ms" and self._snapshot:
            levels = None if self._snapshot < 0 else self._snapshot
            bids, asks = step.bids[:levels], step.asks[:levels]
            yield _depth(symbol, now_ns, "books", (step.number, step.number), bids, asks)
        elif channel == "bookTicker":
            yield _ticker(symbol, now_ns, step)

    def frames(self, symbol: str, step: Step) -> Iterable[tuple[str, Frame]]:
        if step.trade is not None:
            yield "trade", _trade(symbol, step.ns, step.trade)
            return
        before = self.world.changed(symbol, step.ns - 1)
        bids, asks = (
            tuple((price, size) for side, price, size in step.changes if side == each)
            for each in ("bid", "ask")
        )
        yield "depth@100ms", _depth(symbol, step.ns, "book", (before.number, step.number), bids, asks)
        if (before.bids[0], before.asks[0]) != (step.bids[0], step.asks[0]):
            yield "bookTicker", _ticker(symbol, step.ns, step)

    def later(self, payload: bytes, ns: int) -> bytes:
        return _TIME.sub(lambda found: b'"E":%d' % (int(found[1]) + ns), payload)


def _depth(symbol: str, ns: int, kind: str, ids: tuple[int, int], bids: Levels, asks: Levels) -> Frame:
    first, last = ids
    document = {"e": "depthUpdate", "E": ns, "s": symbol, "U": first, "u": last, "b": bids, "a": asks}
    return _frame(ns, kind, document, symbol)


def _ticker(symbol: str, ns: int, step: Step) -> Frame:
    (bid, bid_size), (ask, ask_size) = step.bids[0], step.asks[0]
    document = {"u": step.number, "E": ns, "s": symbol, "b": bid, "B": bid_size, "a": ask, "A": ask_size}
    return _frame(ns, "ticker", document, symbol)


def _trade(symbol: str, ns: int, trade: SpotTrade) -> Frame:
    document = {"E": ns, "s": symbol, "t": trade.number, "p": trade.price, "q": trade.size}
    return _frame(ns, "trade", {**document, "m": trade.side == "SELL"}, symbol)


def _answer(ns: int, kind: str, request: Any) -> Frame:
    return _frame(ns, kind, {"id": request, "status": 200})


def _refused(ns: int, request: Any, code: int, why: str) -> SocketReply:
    frame = _frame(ns, "error", {"id": request, "status": 400, "error": {"code": code, "msg": why}})
    return SocketReply("refused", (frame,))


def _frame(ns: int, kind: str, document: dict[str, Any], *symbols: str) -> Frame:
    return Frame(ns, kind, msgspec.json.encode(document), symbols)


def simulated(seed: int) -> Gemini:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Gemini(seed)
