"""Rows of the tables `books` and `trades` from Kalshi's archived answers; all prices are of YES."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from marketarchive.venues.kalshi.books import Book
from marketarchive.venues.kalshi.freshness import Freshness
from marketarchive.venues.kalshi.parse import parse
from marketarchive.venues.kalshi.tickers import market_facts
from marketarchive.venues.messages import Received
from marketarchive.venues.table_rows import BooksRow, TableRow, TradesRow, UnreadableRow
from marketarchive.venues.venue import RowMaker

TRADES_KEPT = 100_000
"""Trades of a run whose ids are remembered: successive requests for trades overlap."""
OUTCOME = "yes"


class BookRows(RowMaker):
    """Maker of `books` rows; nothing verifies a book.

    An answer may be a cached copy, so each row states the greatest age of its book.
    """

    def __init__(self) -> None:
        self._freshness = Freshness()

    def rows(self, received: Received) -> Iterator[TableRow]:
        """Yield the rows of an answer. Raises ParseError."""
        parsed = parse(received)
        for book in parsed.books:
            yield BooksRow(
                market=book.ticker,
                asset=market_facts(book.ticker).asset,
                outcome=OUTCOME,
                route=received.canonical_url.rpartition("/")[2],
                bids=book.bids,
                asks=book.asks,
                verified="not_available",
                age_ms=self._age_ms(book, received),
            )
        for error in parsed.errors:
            yield UnreadableRow("books", error)

    def _age_ms(self, book: Book, received: Received) -> int:
        age_s, _ = self._freshness.age(book, received.received_at, received.headers)
        return round(max(age_s, 0.0) * 1000)  # negative after our clock was set back


class TradeRows(RowMaker):
    """Maker of `trades` rows, one for each trade of a run."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    def rows(self, received: Received) -> Iterator[TableRow]:
        """Yield the rows of an answer. Raises ParseError."""
        parsed = parse(received)
        for trade in parsed.trades:
            if trade.id in self._known:
                continue
            self._known[trade.id] = None
            if len(self._known) > TRADES_KEPT:
                self._known.popitem(last=False)
            yield TradesRow(
                market=trade.ticker,
                asset=market_facts(trade.ticker).asset,
                outcome=OUTCOME,
                event_time=trade.at,
                price=trade.price,
                size=trade.size,
                side=trade.side,
                trade_id=trade.id,
                source="block" if trade.is_block else "rest",
                verified="not_available",
            )
        for error in parsed.errors:
            yield UnreadableRow("trades", error)
