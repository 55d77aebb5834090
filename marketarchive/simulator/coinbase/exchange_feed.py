"""The Exchange feed's socket: frames have no number; trades and heartbeats are numbered for each product."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from marketarchive.simulator.sockets import Frame, SocketReply, message_of
from marketarchive.simulator.spot_session import SpotSession
from marketarchive.simulator.spot_world import Levels, SpotTrade, Step
from marketarchive.times import SECOND, iso

BOOK = "level2_batch"
BOOK_NAME = "level2_50"
"""Name of the book channel in acknowledgements."""
CHANNELS = (BOOK, "matches", "ticker", "heartbeat")
KEYED = ("level2", "level3", "full")

_KEYED_WHY = "level2, level3, and full channels now require authentication."


class ExchangeFeedSession(SpotSession):
    """The venue's side of one connection: it replies to the client's texts and makes frames when due."""

    def received(self, text: str, now_ns: int) -> SocketReply:
        message = message_of(text)
        kind, products, channels = (message.get(name) for name in ("type", "product_ids", "channels"))
        if kind not in ("subscribe", "unsubscribe") or not isinstance(channels, list):
            return _refused(now_ns, "Type has to be either subscribe or unsubscribe")
        if any(channel in KEYED for channel in channels):
            return _refused(now_ns, _KEYED_WHY)
        if unknown := [channel for channel in channels if channel not in CHANNELS]:
            return _refused(now_ns, f"{unknown[0]} is not a valid channel")
        if unknown := [product for product in products or [] if product not in self.world.assets]:
            return _refused(now_ns, f"{unknown[0]} is not a valid product")
        frames: list[Frame] = []
        for symbol in products or []:
            for channel in channels:
                if kind == "subscribe":
                    self.subscribe(channel, symbol, now_ns)
                    frames += self._first(channel, symbol, now_ns)
                else:
                    self.unsubscribe(channel, symbol)
        return SocketReply(f"{kind}d", [self._acknowledged(now_ns), *frames])

    def frames(self, symbol: str, step: Step) -> Iterable[tuple[str, Frame]]:
        if step.trade is not None:
            yield "matches", _match(symbol, step.ns, step.number, step.trade, "match")
            yield "ticker", self._ticker(symbol, step.ns, step.number, step.trade)
            return
        changes = [
            ("buy" if side == "bid" else "sell", price, "0.00000000" if size == "0" else size)
            for side, price, size in step.changes
        ]
        yield BOOK, _sent(step.ns, "book", symbol, "l2update", changes=changes, time=iso(step.ns))

    def beats(self, second: int) -> Iterable[Frame]:
        ns = second * SECOND + 500_000_000
        for channel, symbol in self.channels:
            if channel == "heartbeat":
                last = self.world.trades_before(symbol, ns, 1)[0][1].number
                sequence = self.world.newest(symbol, ns)
                more: dict[str, Any] = {"sequence": sequence, "last_trade_id": last, "time": iso(ns)}
                yield _sent(ns, "pong", symbol, "heartbeat", **more)

    def _first(self, channel: str, symbol: str, now_ns: int) -> Iterable[Frame]:
        sequence = self.world.newest(symbol, now_ns)
        [(ns, trade)] = self.world.trades_before(symbol, now_ns, 1)
        if channel == BOOK:
            bids, asks = self.world.book(symbol, now_ns)
            yield _sent(now_ns, "books", symbol, "snapshot", bids=bids, asks=asks)
        elif channel == "matches":
            yield _match(symbol, now_ns, sequence, trade, "last_match", traded_ns=ns)
        elif channel == "ticker":
            yield self._ticker(symbol, now_ns, sequence, trade)

    def _ticker(self, symbol: str, ns: int, sequence: int, trade: SpotTrade) -> Frame:
        bids, asks = self.world.book(symbol, ns)
        return _sent(
            ns,
            "ticker",
            symbol,
            "ticker",
            sequence=sequence,
            price=trade.price,
            best_bid=_best(bids),
            best_ask=_best(asks),
            side=trade.side.lower(),  # the taker's
            time=iso(ns),
            trade_id=trade.number,
            last_size=trade.size,
        )

    def _acknowledged(self, ns: int) -> Frame:
        named: dict[str, list[str]] = {}
        for channel, symbol in self.channels:
            named.setdefault(BOOK_NAME if channel == BOOK else channel, []).append(symbol)
        listed = [
            {"name": name, "product_ids": products, "account_ids": None} for name, products in named.items()
        ]
        payload = msgspec.json.encode({"type": "subscriptions", "channels": listed})
        return Frame(ns, "nothing", payload)


def _best(levels: Levels) -> str:
    return levels[0][0]


def _match(
    symbol: str, ns: int, sequence: int, trade: SpotTrade, kind: str, traded_ns: int | None = None
) -> Frame:
    """Return the frame of a trade.

    ns: when it is due; sequence: number of the product's update; kind: type of the frame; traded_ns: time of
    the trade, None = the same as `ns`.
    """
    return _sent(
        ns,
        "trade" if kind == "match" else "backfill",
        symbol,
        kind,
        trade_id=trade.number,
        side="sell" if trade.side == "BUY" else "buy",  # the maker's
        size=trade.size,
        price=trade.price,
        sequence=sequence,
        time=iso(ns if traded_ns is None else traded_ns),
    )


def _sent(ns: int, kind: str, symbol: str, name: str, **more: Any) -> Frame:
    payload = msgspec.json.encode({"type": name, "product_id": symbol, **more})
    return Frame(ns, kind, payload, (symbol,))


def _refused(ns: int, why: str) -> SocketReply:
    document = {"type": "error", "message": "Failed to subscribe", "reason": why}
    return SocketReply("refused", (Frame(ns, "error", msgspec.json.encode(document)),))
