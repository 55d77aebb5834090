"""Table rows from an exchange's archived frames; the books are rebuilt and verified on the way."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial

from marketarchive.items import Verdict
from marketarchive.times import from_seconds
from marketarchive.venues.book import KeptBook
from marketarchive.venues.channel import AHEAD_S
from marketarchive.venues.exchange_books import Applied, ExchangeBooks, level_of
from marketarchive.venues.market_messages import (
    BookMessage,
    MarketMessage,
    QuoteMessage,
    TradeMessage,
    WireFormat,
)
from marketarchive.venues.messages import ConnectionLine, Parsed, Received
from marketarchive.venues.table_rows import BookChangesRow, BooksRow, QuotesRow, TableRow, TradesRow
from marketarchive.venues.venue import RowMaker

TRADES_KEPT = 10_000
"""Newest trades of a market whose ids are kept to recognise repeats: two connections send a trade twice."""

_AHEAD = from_seconds(AHEAD_S)

Best = tuple[Decimal | None, Decimal | None, bool]


class ExchangeRows(RowMaker):
    """Maker of the table rows of one run of an exchange's feed."""

    # outcome that prices are of, for markets with several; None: markets have none
    outcome: str | None = None

    def __init__(
        self,
        wire: WireFormat,
        assets: Mapping[str, str],
        parse: Callable[[Received], Parsed] | None = None,
    ) -> None:
        """Create a maker of rows.

        wire: how frames are decoded; assets: market -> asset; parse: reads the books of REST answers, None
        when the feed has no such answers.
        """
        self._wire = wire
        self._assets = assets
        self._parse = parse
        self._connections: dict[str, ExchangeBooks] = {}
        # (connection, market) -> receipt of the newest message about it, ns
        self._received: dict[tuple[str, str], int] = {}
        # (connection, market) -> best prices in its last row, and whether its book had failed
        self._bests: dict[tuple[str, str], Best] = {}
        self._trades: dict[str, OrderedDict[str, None]] = {}

    def asset(self, market: str) -> str | None:
        """Return the asset of a market; None when it is not known."""
        return self._assets.get(market)

    def others(self, one: Applied, index: int) -> Iterable[TableRow]:  # noqa: ARG002  (a hook)
        """Return the rows of a message other than a book, trade or quote; by default none.

        index: place of the message in its frame, from 1.
        """
        return ()

    def rows(self, received: Received) -> Iterator[TableRow]:
        name = received.connection
        if name is None:
            for book in [] if self._parse is None else self._parse(received).books:
                yield self._book(book, "unchecked", "rest", 1)
            return
        books, latest = self._books(name), received.received_at + _AHEAD
        for index, one in enumerate(
            books.apply(received.payload, received.received_at, verify=self.verify, latest=latest), 1
        ):
            message = one.message
            if isinstance(message, MarketMessage) and not one.is_known:
                self._received[name, message.market] = received.received_at
            if isinstance(message, BookMessage):
                yield from self._of_book(name, books, one, message, index)
            elif isinstance(message, TradeMessage):
                if self._is_new(message):
                    yield self._trade(message, one.verdict, index)
            elif isinstance(message, QuoteMessage) and not one.is_known:
                yield QuotesRow(
                    market=message.market,
                    asset=self.asset(message.market),
                    outcome=self.outcome,
                    event_time=message.at,
                    best_bid=message.bid,
                    best_ask=message.ask,
                    source="ticker",
                    verified=one.verdict,
                    index=index,
                )
            else:
                yield from self.others(one, index)

    def restore(self, received: Received, key: str) -> Iterable[TableRow]:
        name = received.connection or ""
        message = self._books(name).restore(key, received.payload)
        yield self._book(message, "unchecked", "state", 1)
        yield from self._quote(name, self._books(name), message, "unchecked", 1)

    def connect(self, line: ConnectionLine) -> None:
        if line.event == "closed":
            self._connections.pop(line.connection, None)
            self._bests = {key: best for key, best in self._bests.items() if key[0] != line.connection}
            self._received = {key: at for key, at in self._received.items() if key[0] != line.connection}

    def books(self) -> Iterator[KeptBook]:
        """Return the books of all open connections.

        A book that was only restored from a `book_state` line, with no message since, is left out.
        """
        for name, books in self._connections.items():
            for market, book in books.books.items():
                if (at := self._received.get((name, market))) is not None:
                    asset = self.asset(market)
                    yield KeptBook(market, asset, name, book.bids, book.asks, book.verdict, at)

    def _books(self, name: str) -> ExchangeBooks:
        if name not in self._connections:
            self._connections[name] = ExchangeBooks(self._wire)
        return self._connections[name]

    def _of_book(
        self, name: str, books: ExchangeBooks, one: Applied, message: BookMessage, index: int
    ) -> Iterator[TableRow]:
        if message.is_snapshot:
            yield self._book(message, one.verdict, "snapshot", index)
        else:
            yield from self._changes(books, one, message, index)
        if not one.is_known:
            yield from self._quote(name, books, message, one.verdict, index)

    def _book(self, message: BookMessage, verdict: Verdict, route: str, index: int) -> BooksRow:
        return BooksRow(
            market=message.market,
            asset=self.asset(message.market),
            outcome=self.outcome,
            event_time=_venue_time(message, is_state=route == "state"),
            route=route,
            hash=message.state or (None if message.checksum is None else str(message.checksum)),
            verified=verdict,
            recipe=self._wire.recipe if verdict == "ok" else None,
            bids=message.bids,
            asks=message.asks,
            index=index,
        )

    def _changes(
        self, books: ExchangeBooks, one: Applied, message: BookMessage, index: int
    ) -> Iterator[BookChangesRow]:
        held = books.books.get(message.market)
        bid, ask = (None, None) if held is None or one.is_known else (held.best_bid, held.best_ask)
        row = partial(
            BookChangesRow,
            market=message.market,
            asset=self.asset(message.market),
            outcome=self.outcome,
            event_time=_venue_time(message),
            hash=None if message.checksum is None else str(message.checksum),
            best_bid=bid,
            best_ask=ask,
            verified=one.verdict,
            is_stale=one.is_known,
            index=index,
        )
        for side, levels in (("BUY", message.bids), ("SELL", message.asks)):
            for price, size in levels:
                yield row(side=side, price=price, size=size)
        # the venue reports no level that leaves the subscribed depth: without these rows a replay keeps it
        for side, gone in zip(("BUY", "SELL"), one.cut, strict=True):
            for level in gone:
                yield row(side=side, price=level_of(level)[0].decode(), size="0")

    def _quote(
        self, name: str, books: ExchangeBooks, message: BookMessage, verdict: Verdict, index: int
    ) -> Iterator[QuotesRow]:
        """Yield a row of best prices, if they differ from those of the last such row, or only one has failed.

        name: of the connection; index: place of the message in its frame, from 1.
        """
        held = books.books.get(message.market)
        if held is None:
            return
        key, best = (name, message.market), (held.best_bid, held.best_ask)
        stated = (*best, verdict == "failed")
        if self._bests.get(key) != stated:
            self._bests[key] = stated
            yield QuotesRow(
                market=message.market,
                asset=self.asset(message.market),
                outcome=self.outcome,
                event_time=_venue_time(message),
                best_bid=best[0],
                best_ask=best[1],
                source="book",
                verified=verdict,
                index=index,
            )

    def _is_new(self, message: TradeMessage) -> bool:
        known = self._trades.setdefault(message.market, OrderedDict())
        if message.id in known:
            return False
        known[message.id] = None
        if len(known) > TRADES_KEPT:
            known.popitem(last=False)
        return True

    def _trade(self, message: TradeMessage, verdict: Verdict, index: int) -> TradesRow:
        return TradesRow(
            market=message.market,
            asset=self.asset(message.market),
            outcome=self.outcome,
            event_time=message.at,
            trade_id=message.id,
            side=message.side,
            price=message.price,
            size=message.size,
            source="backfill" if message.is_backfill else "trade",
            verified=verdict,
            index=index,
        )


def _venue_time(message: BookMessage, *, is_state: bool = False) -> int | None:
    """Return the venue's time of a message in ns; None when it states none.

    is_state: it is of a `book_state` line, whose time is that of the newest message that the book contains.
    """
    return message.at if message.is_dated or is_state else None
