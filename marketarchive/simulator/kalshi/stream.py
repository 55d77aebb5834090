"""Kalshi's side of a connection: subscriptions, their numbered frames, and answers to commands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec

from marketarchive.simulator.kalshi.books import Level, SimTrade, dollars
from marketarchive.simulator.kalshi.lifecycle import LIFECYCLE, Lifecycle, LifeEvent
from marketarchive.simulator.kalshi.rounds import SimRound
from marketarchive.simulator.kalshi.stream_world import (
    INDEX_LAG,
    IndexPrice,
    LevelChange,
    SimTicker,
    StreamWorld,
)
from marketarchive.simulator.noise import digest
from marketarchive.simulator.sockets import Frame, SocketReply, message_of
from marketarchive.times import MILLISECOND, SECOND, from_iso, iso, to_ms

BOOK, TICKER, TRADE, INDEX = "orderbook_delta", "ticker", "trade", "cfbenchmarks_value"
BRTI = "BRTI"
BRTI_DECIMALS, DECIMALS = 2, 8
"""Decimals of the published BRTI and of other indices. No source states those of the others; with 2 most
of XRP's price would be lost."""
CHANNELS = (BOOK, TICKER, TRADE, INDEX, LIFECYCLE)
_NUMBERED = (BOOK, TRADE, INDEX, LIFECYCLE)
LIFE_LAG = 700 * MILLISECOND
_SENT_AFTER_MS = 2
"""Milliseconds from an event to the queueing of its frame."""

_ISO = re.compile(rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)"')
_MS = re.compile(rb'((?:"ts_ms"|"sending_ts_ms"|"received_at"|\\"time\\"):)(\d{13})')

Key = str
"""A key of a subscription: the ticker of a market, or the id of an index."""


class StreamSession:
    """The venue's side of one connection.

    Each subscribed channel has an id, `sid`, and numbers its frames from 1.
    """

    name = ""

    def __init__(
        self,
        world: StreamWorld,
        lives: Lifecycle,
        find: Callable[[str], SimRound | None],
        indices: Mapping[str, str],
    ) -> None:
        """Prepare a connection.

        world: books, trades and indices; lives: lifecycle events; find: returns the round of a ticker, None
        if there is none; indices: id of an index -> asset.
        """
        self._world = world
        self._lives = lives
        self._find = find
        self._indices = indices
        self._keys: dict[str, dict[Key, None]] = {}  # channel -> its subscribed keys, in order
        self._sids: dict[str, int] = {}
        # channel -> (ns, number) of recently numbered frames
        self._numbers: dict[str, list[tuple[int, int]]] = {}
        self._places: dict[Key, int] = {}
        self._has_yes_prices = False

    # ---- commands ----------------------------------------------------------------------------------------

    def received(self, text: str, now_ns: int) -> SocketReply:
        message = message_of(text)
        command, params = message.get("id", 0), message.get("params", {})
        if not isinstance(command, int) or not isinstance(params, dict):
            return _error(now_ns, 0, 1, "Unable to process message")
        match message.get("cmd"):
            case "subscribe":
                return self._subscribe(command, params, now_ns)
            case "update_subscription":
                return self._update(command, params, now_ns)
            case "unsubscribe":
                return self._unsubscribe(command, params, now_ns)
            case "list_subscriptions":
                listed = [{"channel": channel, "sid": sid} for channel, sid in self._sids.items()]
                return SocketReply(
                    "listed", [_frame(now_ns, "nothing", {"id": command, "type": "ok", "msg": listed})]
                )
        return _error(now_ns, command, 5, "Unknown command")

    def _subscribe(self, command: int, params: dict[str, Any], now_ns: int) -> SocketReply:
        channels = params.get("channels")
        if not isinstance(channels, list) or not channels:
            return _error(now_ns, command, 3, "Channels required")
        if any(channel not in CHANNELS for channel in channels):
            return _error(now_ns, command, 8, "Unknown channel name")
        markets = _listed(params, "market_tickers", "market_ticker")
        indices = [each for each in _listed(params, "index_ids") if each in self._indices]
        if BOOK in channels:
            if not markets:
                return _error(now_ns, command, 14, "Market Ticker required")
            self._has_yes_prices = bool(params.get("use_yes_price", False))
        answers: list[Frame] = []
        first: list[Frame] = []
        for channel in channels:
            is_new = channel not in self._sids
            sid = self._sids.setdefault(channel, len(self._sids) + 1)
            keys = {INDEX: indices, LIFECYCLE: []}.get(channel, markets)
            if is_new:
                message = {"channel": channel, "sid": sid}
                answers.append(
                    _frame(now_ns, "nothing", {"type": "subscribed", "id": command, "msg": message})
                )
            else:
                first += self._ok(channel, command, [*self._keys[channel], *keys], now_ns)
            new = self._add(channel, keys)
            if channel == BOOK or (channel == TICKER and params.get("send_initial_snapshot")):
                first += self._snapshots(channel, new, now_ns)
        return SocketReply("subscribed", [*answers, *first])

    def _update(self, command: int, params: dict[str, Any], now_ns: int) -> SocketReply:
        sids = _listed(params, "sids", "sid")
        if len(sids) != 1:
            return _error(now_ns, command, 12, "Exactly one subscription ID is required")
        channel = next((name for name, sid in self._sids.items() if sid == sids[0]), None)
        if channel is None:
            return _error(now_ns, command, 7, "Unknown subscription ID")
        markets, indices = _listed(params, "market_tickers", "market_ticker"), _listed(params, "index_ids")
        match params.get("action"):
            case "get_snapshot" if channel == BOOK:
                return SocketReply("snapshot", self._snapshots(channel, markets, now_ns, command))
            case "add_markets" | "subscribe_indices":
                new = self._add(channel, indices if channel == INDEX else markets)
                shown = self._snapshots(channel, new, now_ns) if channel == BOOK else []
                return SocketReply(
                    "subscribed", [*self._ok(channel, command, list(self._keys[channel]), now_ns), *shown]
                )
            case "delete_markets" | "unsubscribe_indices":
                for key in (*markets, *indices):
                    self._keys[channel].pop(key, None)
                return SocketReply(
                    "unsubscribed", self._ok(channel, command, list(self._keys[channel]), now_ns)
                )
            case None:
                return self._refuse(channel, command, 15, "Action required", now_ns)
        return self._refuse(channel, command, 13, "Unsupported action", now_ns)

    def _refuse(self, channel: str, command: int, code: int, why: str, now_ns: int) -> SocketReply:
        """Refuse a command about a subscription, by a frame that is numbered like its others."""
        document: dict[str, Any] = {"id": command, "sid": self._sids[channel], "type": "error"}
        if channel in _NUMBERED:
            document["seq"] = 0
        frame = _frame(now_ns, "error", {**document, "msg": {"code": code, "msg": why}})
        return SocketReply("refused", self._counted(channel, [frame], now_ns))

    def _unsubscribe(self, command: int, params: dict[str, Any], now_ns: int) -> SocketReply:
        frames: list[Frame] = []
        for sid in _listed(params, "sids"):
            channel = next((name for name, each in self._sids.items() if each == sid), None)
            if channel is None:
                return _error(now_ns, command, 7, "Unknown subscription ID")
            frame = _frame(now_ns, "nothing", {"id": command, "sid": sid, "seq": 0, "type": "unsubscribed"})
            frames += self._counted(channel, [frame], now_ns)
            del self._sids[channel], self._keys[channel]
        return SocketReply("unsubscribed", frames)

    def _add(self, channel: str, keys: Sequence[Key]) -> list[Key]:
        known = self._keys.setdefault(channel, {})
        new = [key for key in dict.fromkeys(keys) if key not in known]
        for key in new:
            known[key] = None
            self._places.setdefault(key, len(self._places))
        return new

    def _ok(self, channel: str, command: int, keys: Sequence[Key], now_ns: int) -> list[Frame]:
        name = "index_ids" if channel == INDEX else "market_tickers"
        document = {
            "id": command,
            "sid": self._sids[channel],
            "seq": 0,
            "type": "ok",
            "msg": {name: list(dict.fromkeys(keys))},
        }
        return self._counted(channel, [_frame(now_ns, "nothing", document)], now_ns)

    def _snapshots(
        self, channel: str, markets: Sequence[Key], now_ns: int, command: int | None = None
    ) -> list[Frame]:
        make = self._book if channel == BOOK else self._first_ticker
        found = [make(each, now_ns) for market in markets if (each := self._find(market)) is not None]
        if command is not None:
            found = [replace(each, payload=_with_id(each.payload, command)) for each in found]
        return self._counted(channel, found, now_ns)

    # ---- frames ------------------------------------------------------------------------------------------

    def due(self, from_ns: int, to_ns: int) -> list[Frame]:
        found: list[Frame] = []
        for channel in CHANNELS:
            frames = [
                frame
                for second in range(from_ns // SECOND, -(-to_ns // SECOND))
                for frame in self._of_second(channel, second)
                if from_ns < frame.ns <= to_ns
            ]
            frames.sort(key=lambda frame: frame.ns)
            found += self._counted(channel, frames, from_ns)
        found.sort(key=lambda frame: frame.ns)
        return found

    def _of_second(self, channel: str, second: int) -> Iterator[Frame]:
        if channel == LIFECYCLE and channel in self._keys:
            yield from map(self._life, self._lives.at(second))
        for key in self._keys.get(channel, ()):
            if channel == INDEX:
                yield self._index(key, self._world.index(self._indices[key], second))
                continue
            market = self._find(key)
            if market is None or not market.start - 1 <= second <= market.end:
                continue
            if channel == BOOK:
                for change in self._world.changes(market, second):
                    yield self._delta(market, change)
            elif channel == TRADE:
                for trade in self._world.trades(market, second):
                    yield self._trade(market, trade)
            elif (ticker := self._world.ticker(market, second)) is not None:
                yield self._ticker(market, ticker)

    def _counted(self, channel: str, frames: Sequence[Frame], now_ns: int) -> list[Frame]:
        """Return `frames` with consecutive numbers after those that the channel sent by `now_ns`.

        Numbers given to frames that were queued for later are taken back, because these frames are queued
        anew.
        """
        if channel not in _NUMBERED:
            return list(frames)
        given = self._numbers.setdefault(channel, [])
        while given and given[-1][0] > now_ns:
            given.pop()
        del given[:-1]
        number = given[-1][1] if given else 0
        found = []
        for frame in frames:
            number += 1
            found.append(replace(frame, payload=frame.payload.replace(b'"seq":0', b'"seq":%d' % number, 1)))
            given.append((max(frame.ns, now_ns), number))
        return found

    def _book(self, market: SimRound, ns: int) -> Frame:
        book = self._world.book(market, ns)
        message = {
            "market_ticker": market.ticker,
            "market_id": _market_id(market),
            "yes_dollars_fp": book.yes,
            "no_dollars_fp": [(self._no_price(price), size) for price, size in book.no],
        }
        message = {name: value for name, value in message.items() if value or not name.endswith("_fp")}
        return self._sent(BOOK, "orderbook_snapshot", ns, "books", message, market)

    def _delta(self, market: SimRound, change: LevelChange) -> Frame:
        price = change.price if change.side == "yes" else self._no_price(change.price)
        message = {
            "market_ticker": market.ticker,
            "market_id": _market_id(market),
            "price_dollars": price,
            "delta_fp": change.change,
            "side": change.side,
            "ts": iso(change.ns),
            "ts_ms": to_ms(change.ns),
        }
        return self._sent(BOOK, "orderbook_delta", change.ns, "book", message, market)

    def _no_price(self, price: str) -> str:
        """Return the price of a bid for NO in the form that the subscription requested: of NO or of YES."""
        return _rest(price) if self._has_yes_prices else price

    def _first_ticker(self, market: SimRound, ns: int) -> Frame:
        return self._ticker(market, self._world.state(market, ns))

    def _ticker(self, market: SimRound, ticker: SimTicker) -> Frame:
        bid, ask = ticker.book.yes_bid, ticker.book.yes_ask
        amount = int(Decimal(ticker.volume))
        message = {
            "market_id": _market_id(market),
            "market_ticker": market.ticker,
            "price_dollars": "" if ticker.last is None else dollars(ticker.last.price),
            "yes_bid_dollars": bid[0] if bid else "0.0000",
            "yes_ask_dollars": ask[0] if ask else "1.0000",
            "volume_fp": ticker.volume,
            "open_interest_fp": ticker.volume,
            "dollar_volume": amount // 2,
            "dollar_open_interest": amount // 2,
            "yes_bid_size_fp": _size(bid),
            "yes_ask_size_fp": _size(ask),
            "last_trade_size_fp": "0.00" if ticker.last is None else ticker.last.size,
            "ts": ticker.ns // SECOND,
            "ts_ms": to_ms(ticker.ns),
            "time": iso(ticker.ns),
        }
        return self._sent(TICKER, "ticker", ticker.ns, "ticker", message, market)

    def _trade(self, market: SimRound, trade: SimTrade) -> Frame:
        ns = trade.at_us * 1000
        price = dollars(trade.price)
        message = {
            "trade_id": trade.id,
            "market_ticker": market.ticker,
            "yes_price_dollars": price,
            "no_price_dollars": _rest(price),
            "count_fp": trade.size,
            "taker_side": trade.taker,
            "taker_outcome_side": trade.taker,
            "taker_book_side": "bid" if trade.taker == "yes" else "ask",
            "is_block_trade": False,
            "ts": ns // SECOND,
            "ts_ms": to_ms(ns),
        }
        return self._sent(TRADE, "trade", ns, "trade", message, market)

    def _index(self, index: str, price: IndexPrice) -> Frame:
        ns = price.second * SECOND + INDEX_LAG
        value = f"{price.value:.{BRTI_DECIMALS if index == BRTI else DECIMALS}f}"
        data = {"type": "value", "id": index, "time": price.second * 1000, "value": value}
        message: dict[str, Any] = {
            "index_id": index,
            "received_at": to_ms(ns) - 20,
            "data": json.dumps(data, separators=(",", ":")),
            "avg_60s_data": _mean(*price.trailing),
        }
        if price.settling is not None:
            message["last_60s_windowed_average_15min"] = _mean(*price.settling)
        return self._sent(INDEX, INDEX, ns, "index", message, symbol=index)

    def _life(self, event: LifeEvent) -> Frame:
        ns = event.second * SECOND + LIFE_LAG
        return self._sent(LIFECYCLE, LIFECYCLE, ns, "lifecycle", event.message, symbol=event.ticker)

    def _sent(
        self,
        channel: str,
        kind: str,
        ns: int,
        event: str,
        message: dict[str, Any],
        market: SimRound | None = None,
        symbol: str | None = None,
    ) -> Frame:
        document: dict[str, Any] = {"type": kind, "sending_ts_ms": to_ms(ns) + _SENT_AFTER_MS}
        document["sid"] = self._sids[channel]
        if channel in _NUMBERED:
            document["seq"] = 0
        payload = msgspec.json.encode({**document, "msg": message}) + b"\n"
        return Frame(ns, event, payload, () if market is None else (market.ticker,), symbol=symbol)

    # ---- what sessions implement --------------------------------------------------------------------------

    def end(self, now_ns: int) -> tuple[int, str] | None:
        del now_ns
        return None

    def is_deaf(self, now_ns: int) -> bool:
        del now_ns
        return False

    def dated_ahead(self, frame: Frame, ns: int) -> bytes:
        moved = _ISO.sub(
            lambda found: b'"%b"' % iso(from_iso(found[1].decode()) + ns).encode(), frame.payload
        )
        return _MS.sub(lambda found: found[1] + b"%d" % (int(found[2]) + to_ms(ns)), moved)

    def place(self, market: str) -> int | None:
        return self._places.get(market)


def _listed(params: dict[str, Any], *names: str) -> list[Any]:
    """Return a list parameter of a command; `names` are its plural and singular form.

    The value of a singular form becomes a list of one.
    """
    for name in names:
        value = params.get(name)
        if value is not None:
            return value if isinstance(value, list) else [value]
    return []


def _mean(value: Decimal, count: int, first: int, last: int) -> dict[str, Any]:
    return {
        "value": f"{value:.8f}",
        "window_size": count,
        "window_start_ts_ms": first * 1000,
        "window_end_ts_exclusive": last * 1000,
    }


def _rest(price: str) -> str:
    """Return 1 minus a price, as text."""
    return dollars(1000 - round(Decimal(price) * 1000))


def _size(level: Level | None) -> str:
    return level[1] if level else "0.00"


def _market_id(market: SimRound) -> str:
    text = digest(16, "kalshi market id", market.ticker).hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _with_id(payload: bytes, command: int) -> bytes:
    return payload.replace(b'{"type"', b'{"id":%d,"type"' % command, 1)


def _frame(ns: int, event: str, document: dict[str, Any]) -> Frame:
    return Frame(ns, event, msgspec.json.encode(document) + b"\n")


def _error(ns: int, command: int, code: int, why: str) -> SocketReply:
    document: dict[str, Any] = {"type": "error", "msg": {"code": code, "msg": why}}
    return SocketReply("refused", [_frame(ns, "error", {"id": command, **document} if command else document)])
