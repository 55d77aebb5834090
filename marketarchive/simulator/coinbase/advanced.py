"""Advanced Trade's socket, which numbers all frames of a connection, heartbeats and acknowledgements too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from marketarchive.simulator.sockets import Frame, SocketReply, message_of
from marketarchive.simulator.spot_session import SpotSession
from marketarchive.simulator.spot_world import SpotTrade, SpotWorld, Step
from marketarchive.times import SECOND, iso

BOOK = "level2"
CHANNELS = (BOOK, "market_trades", "ticker")
HEARTBEATS = "heartbeats"
TRADES = 50
"""Number of past trades that are sent after a subscription."""

_UNDATED = "1970-01-01T00:00:00Z"
_NUMBER = b'"sequence_num":0'


class AdvancedSession(SpotSession):
    """The venue's side of one connection: it replies to the client's texts and makes frames when due."""

    def __init__(self, world: SpotWorld, now_ns: int) -> None:
        super().__init__(world, now_ns)
        self._has_heartbeats = False

    def received(self, text: str, now_ns: int) -> SocketReply:
        message = message_of(text)
        kind, channel = message.get("type"), message.get("channel")
        products = message.get("product_ids", [])
        if kind not in ("subscribe", "unsubscribe"):
            return _refused(now_ns, f"unknown message type {kind}")
        if channel not in (*CHANNELS, HEARTBEATS):
            return _refused(now_ns, f"unknown channel {channel}")
        if not isinstance(products, list) or (unknown := [p for p in products if p not in self.world.assets]):
            return _refused(now_ns, f"unknown product {unknown}")
        frames: list[Frame] = []
        if channel == HEARTBEATS:
            self._has_heartbeats = kind == "subscribe"
        elif kind == "subscribe":
            for symbol in products:
                self.subscribe(channel, symbol, now_ns)
                frames.append(self._first(channel, symbol, now_ns))
        else:
            for symbol in products or self._subscribed(channel):
                self.unsubscribe(channel, symbol)
        return SocketReply(f"{kind}d", self.counted([*frames, self._acknowledged(now_ns)], now_ns))

    def frames(self, symbol: str, step: Step) -> Iterable[tuple[str, Frame]]:
        if step.trade is not None:
            trades = [_trade(symbol, step.ns, step.trade)]
            yield "market_trades", _trades(symbol, "update", step.ns, trades)
            yield "ticker", self._ticker(symbol, "update", step.ns)
            return
        changes = [_change(side, iso(step.ns), price, size) for side, price, size in step.changes]
        yield BOOK, _book(symbol, "update", step.ns, changes)

    def beats(self, second: int) -> Iterable[Frame]:
        if self._has_heartbeats:
            ns = second * SECOND + 500_000_000
            beat = {"current_time": iso(ns), "heartbeat_counter": second - self.opened_ns // SECOND}
            yield _sent(HEARTBEATS, ns, "pong", beat)

    def numbered(self, frame: Frame, number: int) -> Frame:
        payload = frame.payload.replace(_NUMBER, b'"sequence_num":%d' % number, 1)
        return replace(frame, payload=payload)

    def _first(self, channel: str, symbol: str, now_ns: int) -> Frame:
        if channel == BOOK:
            bids, asks = self.world.book(symbol, now_ns)
            sides = [("bid", bids), ("ask", asks)]
            levels = [_change(side, _UNDATED, *level) for side, levels in sides for level in levels]
            return _book(symbol, "snapshot", now_ns, levels)
        if channel == "ticker":
            return self._ticker(symbol, "snapshot", now_ns)
        newest = reversed(self.world.trades_before(symbol, now_ns, TRADES))
        return _trades(symbol, "snapshot", now_ns, [_trade(symbol, ns, trade) for ns, trade in newest])

    def _ticker(self, symbol: str, kind: str, ns: int) -> Frame:
        bids, asks = self.world.book(symbol, ns)
        ticker = {
            "type": "ticker",
            "product_id": symbol,
            "price": self.world.trades_before(symbol, ns, 1)[0][1].price,
            "best_bid": bids[0][0],
            "best_bid_quantity": bids[0][1],
            "best_ask": asks[0][0],
            "best_ask_quantity": asks[0][1],
        }
        return _sent("ticker", ns, "ticker", {"type": kind, "tickers": [ticker]}, symbol)

    def _acknowledged(self, ns: int) -> Frame:
        named = {channel: found for channel in CHANNELS if (found := self._subscribed(channel))}
        beats = {HEARTBEATS: [HEARTBEATS]} if self._has_heartbeats else {}
        return _sent("subscriptions", ns, "nothing", {"subscriptions": {**named, **beats}})

    def _subscribed(self, channel: str) -> list[str]:
        return [symbol for name, symbol in self.channels if name == channel]


def _book(symbol: str, kind: str, ns: int, updates: Sequence[dict[str, str]]) -> Frame:
    event = {"type": kind, "product_id": symbol, "updates": updates}
    return _sent("l2_data", ns, "books" if kind == "snapshot" else "book", event, symbol)


def _change(side: str, time: str, price: str, size: str) -> dict[str, str]:
    named = "bid" if side == "bid" else "offer"
    return {"side": named, "event_time": time, "price_level": price, "new_quantity": size}


def _trades(symbol: str, kind: str, ns: int, trades: Sequence[dict[str, str]]) -> Frame:
    event = {"type": kind, "trades": trades}
    return _sent("market_trades", ns, "backfill" if kind == "snapshot" else "trade", event, symbol)


def _trade(symbol: str, ns: int, trade: SpotTrade) -> dict[str, str]:
    return {
        "trade_id": str(trade.number),
        "product_id": symbol,
        "price": trade.price,
        "size": trade.size,
        "side": "SELL" if trade.side == "BUY" else "BUY",  # the maker's
        "time": iso(ns),
    }


def _sent(channel: str, ns: int, kind: str, event: dict[str, Any], symbol: str = "") -> Frame:
    document = {"channel": channel, "timestamp": iso(ns), "sequence_num": 0, "events": [event]}
    return Frame(ns, kind, msgspec.json.encode(document), (symbol,) if symbol else ())


def _refused(ns: int, why: str) -> SocketReply:
    document = {"type": "error", "message": why}
    return SocketReply("refused", (Frame(ns, "error", msgspec.json.encode(document)),))
