"""Spider base for exchanges' sockets: books, trades and tickers, and one row per second and market."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from marketarchive.collecting.arguments import Argument, Arguments
from marketarchive.collecting.live_books import BookSource, LiveBook
from marketarchive.collecting.spider import Answer, PendingRequest
from marketarchive.collecting.streams.pool import ConnectionPool
from marketarchive.collecting.streams.second_books import SecondBooks
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.collecting.together.listener import Observation
from marketarchive.exceptions import ArgumentError
from marketarchive.items import BookRow
from marketarchive.scope import LOOKUP, Scope
from marketarchive.times import from_seconds, utc
from marketarchive.venues.channel import Channel, Statement, Update
from marketarchive.venues.endpoint import Query
from marketarchive.venues.exchange import SPOT
from marketarchive.venues.exchange_session import BookTop, ExchangeSession
from marketarchive.venues.market_messages import TradeMessage, WireFormat
from marketarchive.venues.symbols import symbols

STATEMENT_S = 5.0
"""Seconds after which a request for a REST snapshot is no longer sent or retried: a newer one follows."""
CHANNEL = Argument(
    "channel",
    lambda _, text: text.strip().lower(),
    "exchange",
    "name of the venue's socket to listen to",
)
"""Argument of spiders that have several `sockets`: the name of the one to use."""


class ExchangeStreamSpider(StreamSpider):
    """Base class of spiders of an exchange's socket.

    Markets are in the column `symbol` of the venue's `symbols.csv`.
    """

    feed = SPOT
    kind = SPOT
    wire: WireFormat
    sockets: ClassVar[Mapping[str, tuple[Channel, WireFormat]]] = {}  # by value of the argument `channel`
    statement: ClassVar[Any] = None  # (market) -> Query for a REST snapshot; None: REST has none to compare

    def __init__(self, name: str | None = None, **given: Any) -> None:
        super().__init__(name, **given)
        if (chosen := self.arguments.others.get(CHANNEL.name)) is not None:
            self.channel, self.wire = self.sockets[chosen]

    @classmethod
    def check_arguments(cls, given: Mapping[str, Any]) -> Arguments:
        arguments = super().check_arguments(given)
        chosen = arguments.others.get(CHANNEL.name)
        if chosen is not None and chosen not in cls.sockets:
            raise ArgumentError(f"{CHANNEL.name}={chosen!r} is not one of {', '.join(cls.sockets)}")
        return arguments

    @classmethod
    def channels(cls) -> tuple[Channel, ...]:
        return tuple(dict.fromkeys((cls.channel, *(channel for channel, _ in cls.sockets.values()))))

    async def main(self) -> None:
        await super().main()
        self.put(*self._rows.due(self.now()))

    async def prepare(self) -> None:
        chosen = self.arguments.assets or tuple(symbols(self.venue))
        self._markets = {symbols(self.venue)[asset]["symbol"]: asset for asset in chosen}
        self._rows = SpotRows(self, self._markets)
        self._newest_at: dict[str, int] = {}  # market -> receipt of its newest message, wall ns
        self.run.process.notify(BookSource(self.venue, self.feed, self.live_books))
        self.subscribe(self._markets)

    def upkeep(self) -> list[asyncio.Task[None]]:
        return [self.spawn(self._rows.keep())]

    def new_session(self) -> ExchangeSession:
        return ExchangeSession(self.wire)

    def applied(self, at: int, seq: int, updates: Sequence[Update]) -> None:  # noqa: ARG002  (a hook)
        for update in updates:
            self._newest_at[update.key] = at
            if update.kind == "trade":
                self._rows.trade(update.value)
            elif update.kind != "mark" and update.key in self._markets:
                asset = self._markets[update.key]
                self.run.process.notify(Observation(self.venue, self.feed, asset, update.at, update.value))

    def live_books(self) -> Iterator[LiveBook]:
        """Yield the book of each market that is followed without a gap at this moment."""
        for market, asset in self._markets.items():
            pool = self.pool_of(market)
            if pool is None or not pool.completeness.is_live(market) or market not in self._newest_at:
                continue
            for connection in reversed(pool.connections):  # the newest that has the book
                session = connection.session
                book = session.books.books.get(market) if isinstance(session, ExchangeSession) else None
                if book is not None and book.verdict != "failed":
                    yield LiveBook(asset, book.bids, book.asks, self._newest_at[market])
                    break

    def request_statements(self, pool: ConnectionPool, keys: Sequence[str]) -> None:
        requested = self.run.clock.mono_ns()
        for market in keys:
            self.run.stats.inc_value("stream/resyncs")
            scope = Scope(self.venue, self.feed, (market,), kind=LOOKUP)
            on_complete = partial(self._stated, pool, market, requested)
            deadline = requested + from_seconds(STATEMENT_S)
            query: Query = self.statement(market)
            self.submit(PendingRequest(query, on_complete, self.feed, scope, deadline=deadline))

    def _stated(self, pool: ConnectionPool, market: str, requested: int, answer: Answer) -> Iterable[Any]:
        if answer.parsed is None:
            pool.request_failed([market])
            return ()
        at, seq = answer.received_at, answer.seq
        books = answer.parsed.books
        pool.stated([Statement(book.market, book.at, book.state, book, at, seq) for book in books], requested)
        return ()


class SpotRows(SecondBooks[BookRow]):
    """Rows of best bid and ask, a second apart, with the newest trade up to each second."""

    def __init__(self, spider: ExchangeStreamSpider, markets: dict[str, str]) -> None:
        """Make rows of the markets of `spider`; markets: market -> asset."""
        super().__init__(spider)
        self._spider = spider
        self._markets = markets
        self._trades: dict[str, deque[TradeMessage]] = {market: deque() for market in markets}
        self._last: dict[str, TradeMessage] = {}  # market -> newest trade of seconds whose rows are made

    def markets(self, tick: int) -> Iterable[str]:  # noqa: ARG002  (they do not change)
        return self._markets

    def trade(self, trade: TradeMessage) -> None:
        """Keep a trade for the row of its second and later ones."""
        if trade.market in self._trades:  # one that is sent again on another connection comes late
            insort(self._trades[trade.market], trade, key=_order)

    def row(self, tick: int, market: str, shown: BookTop | None) -> BookRow:
        spider = self._spider
        last = self._last_trade(market, tick)
        return BookRow(
            venue=spider.venue,
            feed=spider.feed,
            received_at=spider.run.clock.now_ns() if shown is None else shown.received_at,
            seq=0 if shown is None else shown.seq,
            timestamp=utc(tick),
            asset=self._markets[market],
            bid=None if shown is None else shown.best_bid,
            ask=None if shown is None else shown.best_ask,
            last=None if shown is None or last is None else last.price,
            is_observed=0 if shown is None else 1,
            source="book",
            kind=spider.kind,
        )

    def _last_trade(self, market: str, tick: int) -> TradeMessage | None:
        trades = self._trades[market]
        while trades and trades[0].at <= tick:
            trade = trades.popleft()
            self._last[market] = max(self._last.get(market, trade), trade, key=_order)
        return self._last.get(market)


def _order(trade: TradeMessage) -> tuple[int, int]:
    return trade.at, trade.number or 0
