"""Simulated Kraken: WebSocket API v2 with correct checksums.

Books are cut to the subscribed depth: a level that drops out of it is not reported, one that enters it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import msgspec

from marketarchive.simulator.messages import Reply, SimRequest, json_reply
from marketarchive.simulator.sockets import Frame, SimSession, SocketReply, message_of
from marketarchive.simulator.spot_session import SpotSession
from marketarchive.simulator.spot_world import Levels, SpotTrade, SpotWorld, Step
from marketarchive.times import SECOND, iso
from marketarchive.venues.exchange import assets_of

HOST = "ws.kraken.com"
DEPTHS = (10, 25, 100, 500, 1000)
DEPTH = 120
"""Levels per side of the simulated book, more than collectors subscribe."""
TRADES = 50
"""Number of past trades that are sent after a subscription."""


class Kraken:
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = frozenset({HOST})

    def __init__(self, seed: int) -> None:
        self.world = SpotWorld(seed, "kraken", assets_of("kraken"), DEPTH)

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        del request, now_ns
        return json_reply({"error": ["EGeneral:Unknown method"]}, 404)

    def limit(self, request: SimRequest) -> tuple[str, int]:
        del request
        return "socket", 1000

    def connect(self, request: SimRequest, number: int, now_ns: int) -> SimSession | None:
        del number
        return KrakenSession(self.world, now_ns) if request.path.rstrip("/") == "/v2" else None

    def truth(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        del start_ns, end_ns
        return []


class KrakenSession(SpotSession):
    """The venue's side of one connection: it replies to the client's texts and makes frames when due."""

    def __init__(self, world: SpotWorld, now_ns: int) -> None:
        super().__init__(world, now_ns)
        self._depth = DEPTHS[0]

    def received(self, text: str, now_ns: int) -> SocketReply:
        message = message_of(text)
        method, params = message.get("method"), message.get("params") or {}
        if method == "ping":
            return SocketReply("ping", (_frame(now_ns, "pong", {"method": "pong", "time_in": iso(now_ns)}),))
        channel, symbols = params.get("channel"), params.get("symbol")
        if method not in ("subscribe", "unsubscribe") or not isinstance(symbols, list):
            return SocketReply("refused", (_refusal(now_ns, str(method), "Unsupported method"),))
        frames: list[Frame] = []
        for symbol in symbols:
            if symbol not in self.world.assets or channel not in ("book", "trade", "ticker"):
                frames.append(_refusal(now_ns, method, f"Currency pair not supported {symbol}"))
                continue
            result = {"channel": channel, "symbol": symbol}
            frames.append(_frame(now_ns, "nothing", {"method": method, "result": result, "success": True}))
            if method == "unsubscribe":
                self.unsubscribe(channel, symbol)
                continue
            self._depth = params.get("depth", self._depth)
            self.subscribe(channel, symbol, now_ns)
            frames += self._first(channel, symbol, now_ns)
        return SocketReply(f"{method}d", frames)

    def _first(self, channel: str, symbol: str, now_ns: int) -> Iterable[Frame]:
        bids, asks = self.world.book(symbol, now_ns)
        if channel == "book":
            yield self._book(symbol, "snapshot", now_ns, bids, asks, bids[: self._depth], asks[: self._depth])
        elif channel == "trade":
            newest = self.world.trades_before(symbol, now_ns, TRADES)
            trades = [_trade(symbol, ns, trade) for ns, trade in newest]
            yield _sent("trade", "snapshot", symbol, now_ns, "backfill", trades)
        else:
            yield _ticker(symbol, "snapshot", now_ns, bids, asks)

    def frames(self, symbol: str, step: Step) -> Iterable[tuple[str, Frame]]:
        if step.trade is not None:
            yield (
                "trade",
                _sent("trade", "update", symbol, step.ns, "trade", [_trade(symbol, step.ns, step.trade)]),
            )
            return
        before = self.world.book(symbol, step.ns - 1)
        bids = _seen(before[0], step.bids, self._depth)
        asks = _seen(before[1], step.asks, self._depth)
        if bids or asks:
            yield "book", self._book(symbol, "update", step.ns, step.bids, step.asks, bids, asks)
        if (before[0][0], before[1][0]) != (step.bids[0], step.asks[0]):
            yield "ticker", _ticker(symbol, "update", step.ns, step.bids, step.asks)

    def beats(self, second: int) -> Iterable[Frame]:
        yield _frame(second * SECOND + 500_000_000, "pong", {"channel": "heartbeat"})

    def _book(
        self,
        symbol: str,
        kind: str,
        ns: int,
        bids: Levels,
        asks: Levels,
        changed_bids: Levels,
        changed_asks: Levels,
    ) -> Frame:
        book = {
            "symbol": symbol,
            "bids": list(map(_level, changed_bids)),
            "asks": list(map(_level, changed_asks)),
            "checksum": _checksum(bids, asks),
            "timestamp": iso(ns),
        }
        return _sent("book", kind, symbol, ns, "books" if kind == "snapshot" else "book", [book])


def _seen(before: Levels, after: Levels, depth: int) -> Levels:
    """Return the delta of one side within `depth`: new and changed levels, and removed ones with size zero.

    before, after: all levels of the side, best price first.
    """
    if before == after:
        return ()
    had, has = dict(before[:depth]), dict(after[:depth])
    whole = dict(after)
    gone = [(price, "0.00000000") for price in had if price not in whole]
    return (*gone, *((price, size) for price, size in has.items() if had.get(price) != size))


def _checksum(bids: Levels, asks: Levels) -> int:
    """Return the CRC32 of the ten best levels of each side.

    It is computed from the texts alone, independently of the code under test.
    """
    digits = "".join(
        text.replace(".", "").lstrip("0") for level in (*asks[:10], *bids[:10]) for text in level
    )
    return zlib.crc32(digits.encode())


def _level(level: tuple[str, str]) -> dict[str, msgspec.Raw]:
    return {"price": _raw(level[0]), "qty": _raw(level[1])}


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _trade(symbol: str, ns: int, trade: SpotTrade) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "side": trade.side.lower(),
        "price": _raw(trade.price),
        "qty": _raw(trade.size),
        "ord_type": "limit",
        "trade_id": trade.number,
        "timestamp": iso(ns),
    }


def _ticker(symbol: str, kind: str, ns: int, bids: Levels, asks: Levels) -> Frame:
    document = {
        "symbol": symbol,
        "bid": _raw(bids[0][0]),
        "bid_qty": _raw(bids[0][1]),
        "ask": _raw(asks[0][0]),
        "ask_qty": _raw(asks[0][1]),
        "last": _raw(bids[0][0]),
        "timestamp": iso(ns),
    }
    return _sent("ticker", kind, symbol, ns, "ticker", [document])


def _sent(channel: str, kind: str, symbol: str, ns: int, event: str, data: list[Any]) -> Frame:
    payload = msgspec.json.encode({"channel": channel, "type": kind, "data": data})
    return Frame(ns, event, payload, (symbol,))


def _frame(ns: int, event: str, document: dict[str, Any]) -> Frame:
    return Frame(ns, event, msgspec.json.encode(document))


def _refusal(ns: int, method: str, why: str) -> Frame:
    return _frame(ns, "error", {"method": method, "success": False, "error": why})


def simulated(seed: int) -> Kraken:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Kraken(seed)
