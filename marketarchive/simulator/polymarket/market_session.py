"""One connection to the market channel: its subscriptions, and the frames that they make due.

Both tokens of a market are subscribed and unsubscribed together. Beyond a number of tokens first books are
silently left out. A client that sends no PING is cut off. When all its markets have settled, the venue closes
the connection with code 1000.
"""

from __future__ import annotations

from typing import Any

from marketarchive.simulator.polymarket.market_channel import CUSTOM, MarketChannel
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.sockets import ABNORMAL, Frame, SocketReply, message_of
from marketarchive.times import SECOND

TOKENS_WITH_FIRST_BOOKS = 500
PING_WITHIN_NS = 60 * SECOND
ALL_RESOLVED = (1000, "all subscribed assets resolved")


class SimMarketSession:
    """The venue's side of one connection to /ws/market."""

    name = ""

    def __init__(self, channel: MarketChannel, now_ns: int) -> None:
        self._channel = channel
        self._tokens: dict[str, SimMarket] = {}  # token as the client named it -> its market
        self._places: dict[str, int] = {}
        self._custom = False
        self._pinged_ns = now_ns

    def received(self, text: str, now_ns: int) -> SocketReply:
        if text == "PING":
            self._pinged_ns = now_ns
            return SocketReply("ping", (Frame(now_ns, "pong", b"PONG"),))
        message = message_of(text)
        named = [token for token in message.get("assets_ids") or () if isinstance(token, str)]
        if message.get("operation") == "unsubscribe":
            for token in named:
                self._tokens.pop(token, None)
            return SocketReply("unsubscribed")
        if message.get("operation") != "subscribe" and message.get("type") != "market":
            return SocketReply()
        return SocketReply("subscribed", self._subscribe(named, message, now_ns))

    def _subscribe(self, named: list[str], message: dict[str, Any], now_ns: int) -> list[Frame]:
        if any(token in self._tokens for token in named):
            self._custom = not self._custom
        elif "custom_feature_enabled" in message:
            self._custom = bool(message["custom_feature_enabled"])
        second = now_ns // SECOND
        found: dict[str, SimMarket] = {}
        for token in named:
            known = self._channel.world.by_token(token)
            if known is None or not known[0].is_listed(second) or known[0].is_closed(second):
                continue
            self._tokens[token] = found[known[0].slug] = known[0]
            self._places.setdefault(known[0].slug, len(self._places))
        open_tokens = sum(not market.is_closed(second) for market in self._tokens.values())
        if message.get("initial_dump") is False or open_tokens > TOKENS_WITH_FIRST_BOOKS:
            return []
        return [self._channel.first(list(found.values()), now_ns)]

    def due(self, from_ns: int, to_ns: int) -> list[Frame]:
        """Return the frames due in from_ns < ns <= to_ns; markets are listed and closed at whole seconds."""
        found: list[Frame] = []
        markets = {market.number: market for market in self._tokens.values()}.values()
        for second in range(from_ns // SECOND, -(-to_ns // SECOND)):
            for market in markets:
                if not market.is_closed(second):
                    found += self._channel.frames(market, second)
            if self._custom:
                found += self._channel.of_all(second)
        chosen = [
            frame
            for frame in found
            if from_ns < frame.ns <= to_ns and (self._custom or frame.kind not in CUSTOM)
        ]
        chosen.sort(key=lambda frame: frame.ns)
        return chosen

    def end(self, now_ns: int) -> tuple[int, str] | None:
        if now_ns - self._pinged_ns > PING_WITHIN_NS:
            return ABNORMAL, "no PING"
        second = now_ns // SECOND - 1  # a resolution is sent within a second of the close of its market
        if self._tokens and all(market.is_closed(second) for market in self._tokens.values()):
            return ALL_RESOLVED
        return None

    def is_deaf(self, now_ns: int) -> bool:
        del now_ns
        return False

    def dated_ahead(self, frame: Frame, ns: int) -> bytes:
        return self._channel.dated_ahead(frame, ns)

    def place(self, market: str) -> int | None:
        return self._places.get(market)
