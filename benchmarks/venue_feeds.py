"""What Polymarket sends, as the simulated venue makes it: levels, hashes and prices belong together."""

from __future__ import annotations

import msgspec

from marketarchive.simulator.polymarket import market_channel, rtds
from marketarchive.simulator.polymarket.books import SimBooks
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.polymarket.trades import Trades
from marketarchive.simulator.polymarket.world import World
from marketarchive.times import SECOND, from_iso

START = from_iso("2026-11-21T10:00:00Z")
AHEAD_S = 600
"""Rounds that begin within this time are listened to before."""
TRADES_EVERY_S = 10
TRADES_PER_PAGE = 100

Sent = list[tuple[int, bytes]]
"""(wall ns, payload), in order."""


class Feeds:
    """All of it is of the rounds under way at START, and of those that begin soon."""

    def __init__(self, seconds: int) -> None:
        self.books = SimBooks(World(7))
        self.seconds = seconds
        self.until = START + seconds * SECOND
        now = START // SECOND
        self.markets: list[SimMarket] = [
            market
            for market in self.books.world.rounds_between(now - 86_400, now + AHEAD_S)
            if market.start is not None
            and market.start <= now + AHEAD_S
            and market.end > now
            and market.is_listed(now)
        ]

    @property
    def tokens(self) -> list[str]:
        return [token for market in self.markets for token in market.tokens]

    def stream(self) -> Sent:
        """The market channel: the first books, then every change and trade."""
        first = market_channel.MarketChannel(self.books).first(self.markets, START)
        found = [
            frame
            for market in self.markets
            for frame in market_channel.frames(self.books, market, START, self.until)
        ]
        return [(first.ns, first.payload), *sorted(found, key=lambda frame: frame[0])]

    def reference(self) -> Sent:
        """RTDS, all topics and symbols."""
        made = rtds.Rtds(7, self.books.world.prices)
        return list(rtds.frames(made, list(rtds.TOPICS), START, self.until, rtds.connection_id(7, 1)))

    def orderbook(self) -> Sent:
        """Answers of POST /books for all tokens, one a second."""
        return [
            (
                second * SECOND,
                b"[%b]"
                % b",".join(
                    self.books.body(market, side, second)
                    for market in self.markets
                    if market.is_listed(second) and not market.is_closed(second)
                    for side in (0, 1)
                ),
            )
            for second in self._whole_seconds()
        ]

    def trades(self) -> Sent:
        """Pages of the newest trades, each TRADES_EVERY_S seconds."""
        trades, found = Trades(self.books.world, self.books.tape), []
        for second in self._whole_seconds()[::TRADES_EVERY_S]:
            rows, has_more = trades.page(self.markets, "", second, 0, TRADES_PER_PAGE)
            pagination = {"limit": TRADES_PER_PAGE, "offset": 0, "has_more": has_more, "next_cursor": None}
            found.append((second * SECOND, msgspec.json.encode({"data": rows, "pagination": pagination})))
        return found

    def _whole_seconds(self) -> range:
        return range(START // SECOND, self.until // SECOND)
