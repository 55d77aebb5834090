"""Table rows from the market channel: books, deltas, trades and quotes, verified as they are replayed.

Archived frames of each connection are applied to the same kind of books as when they were received. Snapshots
in REST answers and `book_state` lines start a book for which no snapshot came on the connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Verdict
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import DAY, from_seconds, to_ms
from marketarchive.venues.book import price_of
from marketarchive.venues.channel import AHEAD_S
from marketarchive.venues.messages import ConnectionLine, Received
from marketarchive.venues.polymarket import clob
from marketarchive.venues.polymarket.book_rows import NO_BOOK, answered, book_row, sent_row
from marketarchive.venues.polymarket.event_values import (
    mapping,
    nanoseconds,
    side,
    string,
    string_or_none,
    time,
)
from marketarchive.venues.polymarket.live_books import AppliedEvent, ChannelBooks
from marketarchive.venues.polymarket.market_channel import (
    BestBidAsk,
    BookEvent,
    Event,
    LastTrade,
    PriceChanges,
    UnreadableEvent,
    decode,
)
from marketarchive.venues.table_rows import (
    BookChangesRow,
    QuotesRow,
    TableRow,
    TradesRow,
    UnreadableRow,
)
from marketarchive.venues.venue import RowMaker

NO_EVENT = "not an event of the market channel"
TABLES = ("books", "book_changes", "trades", "quotes")
SOURCE = "market_channel"
_AHEAD = from_seconds(AHEAD_S)

_TABLE_OF = {
    "book": "books",
    "price_change": "book_changes",
    "last_trade_price": "trades",
    "best_bid_ask": "quotes",
}
_Top = tuple[str | None, str | None]


class PolymarketStreamRows(RowMaker):
    """Maker of the table rows of one run, from the frames of all connections and from REST snapshots."""

    def __init__(self) -> None:
        self._books: dict[str, ChannelBooks] = {}  # connection -> its books
        # connection -> token -> time of its subscription, wall clock, ns
        self._subscribed: dict[str, dict[str, int]] = {}
        self._closed: set[str] = set()
        self._quotes = _Quotes()

    def rows(self, received: Received) -> Iterable[TableRow]:
        """Return the table rows of a frame or an answer, with an `UnreadableRow` for what cannot be read."""
        if received.connection is None:
            return self._answer(received)
        rows: list[TableRow] = []
        frame = _FrameRows(received, rows, self._quotes)
        try:
            if self.verify:
                latest_ms = to_ms(received.received_at + _AHEAD)
                books = self._books_of(received.connection)
                frame.add_applied(books.apply(received.payload, latest_ms=latest_ms))
            else:
                for index, event in enumerate(decode(received.payload), 1):
                    frame.add(event, index)
        except ParseError as error:
            frame.add_loose(error, 1)
        return rows

    def restore(self, received: Received, key: str) -> Iterable[TableRow]:  # noqa: ARG002  (its payload has it)
        """Return the row of a `book_state` line, and start the connection's book from it."""
        name = received.connection
        if self.verify and name is not None and name not in self._closed:
            self._load([received.payload], [self._books_of(name)])
        return [sent_row(received.payload, "state", 1, verify=self.verify)]

    def connect(self, line: ConnectionLine) -> None:
        """Apply the subscriptions in a connection line, and drop books that can receive no more frames."""
        name = line.connection
        if line.event == "closed":
            self._closed.add(name)
            self._books.pop(name, None)
            self._subscribed.pop(name, None)
        elif line.event == "unsubscribed":
            for token in line.keys:
                self._subscribed.get(name, {}).pop(token, None)
            if name in self._books:
                self._books[name].drop(line.keys)
        else:
            self._closed.discard(name)
            self._books_of(name)
            self._subscribed.setdefault(name, {}).update(dict.fromkeys(line.keys, line.received_at))

    def _answer(self, received: Received) -> Iterator[TableRow]:
        sound = []
        for row, raw in answered(received, verify=self.verify):
            if raw is not None:
                sound.append(raw)
            yield row
        if self.verify and self._books:
            self._load(sound, self._books.values(), received.requested_at)

    def _books_of(self, connection: str) -> ChannelBooks:
        books = self._books.get(connection)
        if books is None:
            books = self._books[connection] = ChannelBooks()
        return books

    def _load(
        self, sent: list[Any], channels: Iterable[ChannelBooks], requested_at: int | None = None
    ) -> None:
        """Start books from snapshots that were not received on the connection.

        sent: books as bytes or decoded JSON; channels: books of the connections that may use them;
        requested_at: time of their REST request, wall clock, ns. Only a connection that had subscribed a
        token by then can have received the deltas since.
        """
        for raw in sent:
            try:
                book = clob.parse_book(raw)
            except ParseError:
                continue  # no deltas can be applied to it
            for channel in channels:
                if requested_at is None or self._was_subscribed(channel, book.token, requested_at):
                    channel.load_snapshot(book)

    def _was_subscribed(self, channel: ChannelBooks, token: str, requested_at: int) -> bool:
        if token in channel.books:
            return True
        name = next(name for name, each in self._books.items() if each is channel)
        since = self._subscribed.get(name, {}).get(token)
        return since is not None and since <= requested_at


class _Quotes:
    """The newest best prices of each token on each connection.

    They are forgotten at the start of a UTC day.
    """

    def __init__(self) -> None:
        self._day = -1
        self._texts: dict[tuple[str | None, str], _Top] = {}

    def begin(self, received_at: int) -> None:
        """Prepare for a message: forget all best prices if it is the first of a UTC day.

        received_at: receipt, wall clock, ns.
        """
        if received_at // DAY != self._day:
            self._day = received_at // DAY
            self._texts.clear()

    def is_new(self, connection: str | None, token: str, top: _Top) -> bool:
        """Return whether best prices differ from the last ones of the token on the connection.

        top: best bid and ask as text. Raises InvalidOperation for texts that are no numbers.
        """
        key = (connection, token)
        before = self._texts.get(key)
        if before == top:
            return False
        self._texts[key] = top
        numbers = _number(top[0]), _number(top[1])
        return before is None or numbers != (_number(before[0]), _number(before[1]))


class _FrameRows:
    """Maker of the table rows of one frame, which it appends to a list."""

    def __init__(self, received: Received, rows: list[TableRow], quotes: _Quotes) -> None:
        self._received = received
        self._rows = rows
        self._quotes = quotes
        self._connection = received.connection
        quotes.begin(received.received_at)

    def add_applied(self, taken: Sequence[AppliedEvent]) -> None:
        """Append the rows of the applied events of the frame."""
        place, count = 0, len(taken)
        while place < count:
            one = taken[place]
            if isinstance(one.event, PriceChanges):
                until = place + len(one.event.price_changes)
                self._add(one.event, one.index, taken[place:until])
                place = until
            else:
                self._add(one.event, one.index, (one,))
                place += 1

    def add(self, event: Event, index: int) -> None:
        """Append the rows of an event that was not applied to any book.

        index: its place in the frame, from 1.
        """
        self._add(event, index, None)

    def _add(self, event: Event, index: int, taken: Sequence[AppliedEvent] | None) -> None:
        try:
            if isinstance(event, PriceChanges):
                self._add_changes(event, index, taken)
            elif isinstance(event, BookEvent):
                self._add_book(event, index, taken)
            elif isinstance(event, LastTrade):
                self._add_trade(event, index)
            elif isinstance(event, BestBidAsk):
                top = (event.best_bid or None, event.best_ask or None)
                at = nanoseconds(event.timestamp_ms)
                self._add_quote(event.market, event.token, at, top, "best_bid_ask", "not_available", index, 1)
            elif isinstance(event, UnreadableEvent):
                self.add_loose(event.error, index)
        except ParseError as error:
            self._rows.append(UnreadableRow(_table_of(event), error, index, NO_EVENT))

    def _add_changes(self, event: PriceChanges, index: int, taken: Sequence[AppliedEvent] | None) -> None:
        at, market, rows = nanoseconds(event.timestamp_ms), event.market, self._rows
        verdict: Verdict = "unchecked"
        is_stale: bool | None = None
        for position, change in enumerate(event.price_changes, 1):
            if taken is not None:
                one = taken[position - 1]
                verdict, is_stale = one.verdict, one.is_stale
            bid, ask = change.best_bid or None, change.best_ask or None
            rows.append(
                BookChangesRow(
                    market=market,
                    token=change.token,
                    event_time=at,
                    side=change.side,
                    price=change.price,
                    size=change.size,
                    hash=change.hash or None,
                    best_bid=bid,
                    best_ask=ask,
                    verified=verdict,
                    is_stale=is_stale,
                    index=index,
                    position=position,
                )
            )
            self._add_quote(market, change.token, at, (bid, ask), "price_change", verdict, index, position)

    def _add_book(self, event: BookEvent, index: int, taken: Sequence[AppliedEvent] | None) -> None:
        book, verdict = event.book, "unchecked" if taken is None else taken[0].verdict
        recipe = clob.CURRENT_RECIPE if verdict == "ok" else ""
        row = book_row(book, "ws", index, 1, verdict, recipe)
        self._rows.append(row)
        top = (_text(book.best_bid), _text(book.best_ask))
        self._add_quote(book.market, book.token, row.event_time or 0, top, "book", verdict, index, 1)

    def _add_trade(self, event: LastTrade, index: int) -> None:
        self._rows.append(
            TradesRow(
                market=event.market,
                token=event.token,
                event_time=nanoseconds(event.timestamp_ms),
                source=SOURCE,
                side=event.side,
                price=event.price,
                size=event.size,
                transaction_hash=event.transaction_hash or None,
                fee_rate_bps=event.fee_rate_bps or None,
                verified="not_available",
                index=index,
                position=1,
            )
        )

    def _add_quote(
        self,
        market: str,
        token: str,
        at: int,
        top: _Top,
        source: str,
        verdict: Verdict,
        index: int,
        position: int,
    ) -> None:
        try:
            if not self._quotes.is_new(self._connection, token, top):
                return
        except InvalidOperation:
            if source != "best_bid_ask":
                return  # counted with its delta
        self._rows.append(
            QuotesRow(
                market=market,
                token=token,
                event_time=at,
                source=source,
                best_bid=top[0],
                best_ask=top[1],
                verified=verdict,
                index=index,
                position=position,
            )
        )

    # ---- events that are not as documented ----------------------------------------------------------------

    def add_loose(self, error: ParseError, index: int) -> None:
        """Append rows made of the readable fields of an event without the shape of its type.

        error: of the typed decoder; index: place of the event in the frame, from 1.
        """
        try:
            event = _element(self._received.payload, index)
        except ParseError:
            self._rows += [
                UnreadableRow(table, ParseError(error.item, str(error)), 0, NO_EVENT) for table in TABLES
            ]
            return
        kind = event.get("event_type") if isinstance(event, dict) else None
        if not isinstance(kind, str):
            found = ParseError("Frame", f"no event_type: {str(event)[:60]!r}")
            self._rows += [UnreadableRow(table, found, index, NO_EVENT) for table in TABLES]
        elif kind in _TABLE_OF:
            try:
                self._add_mapping(kind, event, index)
            except ParseError as wrong:
                self._rows.append(UnreadableRow(_TABLE_OF[kind], wrong, index, NO_EVENT))

    def _add_mapping(self, kind: str, event: dict[str, Any], index: int) -> None:
        if kind == "book":
            self._add_loose_book(event, index)
            return
        market, at = string(event, "market"), time(event)
        if kind == "price_change":
            self._add_loose_changes(event, market, at, index)
            return
        token = string(event, "asset_id")
        if kind == "best_bid_ask":
            self._add_quote(market, token, at, _top(event), kind, "not_available", index, 1)
            return
        self._rows.append(
            TradesRow(
                market=market,
                token=token,
                event_time=at,
                source=SOURCE,
                side=side(event),
                price=string(event, "price"),
                size=string(event, "size"),
                transaction_hash=string_or_none(event, "transaction_hash"),
                fee_rate_bps=string_or_none(event, "fee_rate_bps"),
                verified="not_available",
                index=index,
                position=1,
            )
        )

    def _add_loose_book(self, event: dict[str, Any], index: int) -> None:
        """Append the row of a book with impossible prices.

        No book is started from it; the row shows why.
        """
        try:
            row = book_row(clob.decode_book(event), "ws", index, 1, "unchecked", "")
        except ParseError as error:
            self._rows.append(UnreadableRow("books", error, index, NO_BOOK))
            return
        self._rows.append(row)
        top = _best(row.bids, max), _best(row.asks, min)
        self._add_quote(
            row.market or "", row.token or "", row.event_time or 0, top, "book", "unchecked", index, 1
        )

    def _add_loose_changes(self, event: dict[str, Any], market: str, at: int, index: int) -> None:
        sent = event.get("price_changes")
        if not isinstance(sent, list):
            raise ParseError("PriceChanges", f"price_changes={sent!r} is not a list", ("price_changes",))
        rows = [
            BookChangesRow(
                market=market,
                token=string(change, "asset_id"),
                event_time=at,
                side=side(change),
                price=string(change, "price"),
                size=string(change, "size"),
                hash=string_or_none(change, "hash"),
                best_bid=string_or_none(change, "best_bid"),
                best_ask=string_or_none(change, "best_ask"),
                verified="unchecked",
                index=index,
                position=position,
            )
            for position, change in enumerate((mapping(each, "PriceChange") for each in sent), 1)
        ]
        for row in rows:
            self._rows.append(row)
            top = (row.best_bid, row.best_ask)
            token, position = row.token or "", row.position
            self._add_quote(market, token, at, top, "price_change", "unchecked", index, position)  # type: ignore[arg-type]  # texts, see above


def _element(payload: bytes, index: int) -> Any:
    """Return one event of a frame as decoded JSON of any shape. Raises ParseError.

    index: place of the event in the frame, from 1.
    """
    elements = clob.split_books(payload, "Frame") if payload.lstrip()[:1] == b"[" else None
    raw = msgspec.Raw(payload) if elements is None else elements[index - 1]
    if not isinstance(raw, msgspec.Raw):
        return raw
    try:
        clob.refuse_deep(bytes(raw), "Frame")
        return msgspec.json.decode(raw)
    except NOT_JSON as error:
        raise ParseError("Frame", str(error)) from error


def _table_of(event: Event) -> str:
    if isinstance(event, PriceChanges):
        return "book_changes"
    if isinstance(event, BookEvent):
        return "books"
    return "trades" if isinstance(event, LastTrade) else "quotes"


def _number(text: str | None) -> Decimal | None:
    return None if text is None else price_of(text)


def _text(number: Decimal | None) -> str | None:
    return None if number is None else f"{number:f}"


def _top(event: dict[str, Any]) -> _Top:
    return string_or_none(event, "best_bid"), string_or_none(event, "best_ask")


def _best(levels: Any, choose: Any) -> str | None:
    """Return the best price among levels; None without levels, or when one of the prices is no number.

    choose: `max` for bids, `min` for asks.
    """
    try:
        return choose((price for price, _ in levels), key=price_of, default=None)  # type: ignore[no-any-return]
    except InvalidOperation:
        return None
