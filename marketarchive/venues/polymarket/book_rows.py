"""Rows of the table `books` from snapshots in REST answers, in socket events and in `book_state` lines."""

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
    """Maker of `books` rows from the answers of /book and /books; each book is verified by its own hash."""

    def rows(self, received: Received) -> list[TableRow]:
        """Return one row for each book in an answer."""
        return [row for row, _ in answered(received, verify=self.verify)]


def answered(received: Received, *, verify: bool) -> Iterator[tuple[TableRow, Any]]:
    """Yield the row of each book in an answer, with the book as sent (bytes or decoded JSON).

    The second is None for a book that is unreadable or whose hash does not match. verify: False = compute no
    hashes.
    """
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
    """Return the row of one book as sent, even if its prices are impossible.

    raw: bytes or decoded JSON; route: text for the column of that name; position: place in the answer's list,
    from 1; verify: False = compute no hash. A book that cannot be read gives an `UnreadableRow`.
    """
    verdict = _verdict(raw) if verify else _UNCHECKED
    try:
        return book_row(clob.decode_book(raw), route, 1, position, *verdict)
    except ParseError as error:
        return UnreadableRow("books", error, position, NO_BOOK)


def book_row(
    book: ClobBook, route: str, index: int, position: int, verdict: Verdict, recipe: str
) -> BooksRow:
    """Return the row of a decoded book. Raises ParseError.

    route: text for the column of that name; index: place of the event in its message; position: place in its
    list; verdict, recipe: result of the verification and the hash recipe that matched.
    """
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
