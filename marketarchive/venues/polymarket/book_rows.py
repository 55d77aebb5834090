"""Rows of `books` from whole books: of answers of the CLOB, of events, and of states of our own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Verdict
from marketarchive.venues.messages import Received
from marketarchive.venues.polymarket import clob
from marketarchive.venues.polymarket.clob import ClobBook
from marketarchive.venues.polymarket.endpoints import BOOK, BOOKS
from marketarchive.venues.polymarket.event_values import nanoseconds
from marketarchive.venues.table_rows import BooksRow, TableRow, UnreadableRow
from marketarchive.venues.venue import RowMaker

NO_BOOKS = "the answer is not what /book or /books promise"
NO_BOOK = "not a book"
_ROUTES = {BOOK: "book", BOOKS: "books"}
_UNCHECKED: tuple[Verdict, str] = ("unchecked", "")


class PolymarketBookRows(RowMaker):
    """Maker of rows from the books in responses of /book and /books, each checked by its own hash."""

    def rows(self, received: Received) -> list[TableRow]:
        """Return a row for each book."""
        return [row for row, _ in answered(received, verify=self.verify)]


def answered(received: Received, *, verify: bool) -> Iterator[tuple[TableRow, Any]]:
    """Yield the row of each book in an answer, and the book as it was sent; None where it is not sound."""
    route = _ROUTES.get(received.canonical_url)
    if route is None:
        return
    try:
        sent = clob.split_books(received.payload) if route == "books" else [received.payload]
    except ParseError as error:
        yield UnreadableRow("books", ParseError(error.item, str(error)), 0, NO_BOOKS), None
        return
    for position, raw in enumerate(sent, 1):
        row = sent_row(raw, route, position, verify=verify)
        is_sound = isinstance(row, BooksRow) and row.verified != "failed"
        yield row, raw if is_sound else None


def sent_row(raw: Any, route: str, position: int, *, verify: bool) -> TableRow:
    """Return the row of a book as it was sent, as bytes or decoded, whatever its prices."""
    verdict = _verdict(raw) if verify else _UNCHECKED
    try:
        return book_row(clob.decode_book(raw), route, 1, position, *verdict)
    except ParseError as error:
        return UnreadableRow("books", error, position, NO_BOOK)


def book_row(
    book: ClobBook, route: str, index: int, position: int, verdict: Verdict, recipe: str
) -> BooksRow:
    """Return the row of a book. Raises ParseError."""
    return BooksRow(
        market=book.market,
        token=book.token,
        event_time=nanoseconds(book.timestamp_ms),
        route=route,
        hash=book.hash,
        verified=verdict,
        recipe=recipe,
        tick_size=book.tick_size or None,
        last_trade_price=book.last_trade_price or None,
        bids=[(level.price, level.size) for level in reversed(book.bids)],
        asks=[(level.price, level.size) for level in reversed(book.asks)],
        index=index,
        position=position,
    )


def _verdict(raw: Any) -> tuple[Verdict, str]:
    try:
        return clob.verify_text(raw if isinstance(raw, bytes | msgspec.Raw) else msgspec.json.encode(raw))
    except ParseError:
        return _UNCHECKED
