"""Books of one connection to an exchange, built from snapshots and deltas, verified by checksum or number.

A matching checksum proves a book. Consecutive sequence numbers prove that no message is missing; they count
either all frames of a connection or those of each of its sequences. Live sessions and tables use the same
code.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from decimal import Decimal

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Verdict, is_bounded
from marketarchive.json_lines import NOT_JSON
from marketarchive.venues.book import BookSide
from marketarchive.venues.market_messages import (
    BookMessage,
    Decoded,
    IndexMessage,
    Level,
    MarketMessage,
    SubscriptionError,
    TradeMessage,
    WireFormat,
)


class Applied(msgspec.Struct, frozen=True, gc=False):
    """The result of applying one message to the books of a connection."""

    # None: the result is about the frame as a whole, such as its number or a demand to reconnect
    message: MarketMessage | None
    verdict: Verdict
    is_known: bool = False  # True: the message is a repeat or older than the book, and was not applied
    detail: str = ""  # of a failure
    before: int = 0  # of a failure: time (ns) of the trade or frame after which others are missing
    sequence: str = ""  # whose number it is, of a trade or a frame
    # True: a snapshot equal to the book held, which the sequence numbers had already proven
    is_confirmed: bool = False
    at: int = 0  # venue's time (ns) of the book after a delta, or of a frame without messages; else 0
    is_renewal: bool = False  # True: the venue asks to have the connection replaced
    # formatted bids and asks that left the book's depth with a delta, of which the venue says nothing
    cut: tuple[Sequence[bytes], Sequence[bytes]] = ((), ())


class MarketBook:
    """The current book of one market."""

    __slots__ = ("asks", "at", "base_at", "bids", "dated_at", "last", "verdict")

    def __init__(self, message: BookMessage, verdict: Verdict) -> None:
        self.bids = _side(message.bids, is_bid=True)
        self.asks = _side(message.asks, is_bid=False)
        self.at = self.base_at = message.at
        # newest time that the venue stated, ns; 0: it stated none
        self.dated_at = message.at if message.is_dated else 0
        self.last = message.last  # number of the newest update that the book contains
        self.verdict = verdict

    @property
    def best_bid(self) -> Decimal | None:
        return self.bids.best

    @property
    def best_ask(self) -> Decimal | None:
        return self.asks.best

    def absolute(self, message: BookMessage) -> BookMessage:
        """Return a relative delta (sizes to add) as an absolute one (resulting sizes).

        Raises ValueError when a resulting size is negative or too large.
        """
        bids = [_sum(self.bids, *level) for level in message.bids]
        asks = [_sum(self.asks, *level) for level in message.asks]
        return msgspec.structs.replace(message, bids=bids, asks=asks)

    def equals(self, other: MarketBook) -> bool:
        """Return whether both books have the same levels."""
        return (self.bids.levels, self.asks.levels) == (other.bids.levels, other.asks.levels)

    def change(self, message: BookMessage, depth: int | None) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Apply a delta with absolute sizes, and return the formatted bids and asks that left the depth.

        depth: levels per side that are kept afterwards; None: all.
        """
        for price, size in message.bids:
            self.bids.set(price, size)
        for price, size in message.asks:
            self.asks.set(price, size)
        gone = ((), ()) if depth is None else (self.bids.cut(depth), self.asks.cut(depth))
        self.at = max(self.at, message.at)
        if message.is_dated:
            self.dated_at = max(self.dated_at, message.at)
        self.last = message.last
        return gone

    def payload(self) -> bytes:
        """Return the book as the JSON of a `book_state` line, best levels first."""
        bids, asks = (b",".join(reversed(side.levels)) for side in (self.bids, self.asks))
        last = b"null" if self.last is None else b"%d" % self.last
        return b'{"at":%d,"last":%b,"bids":[%b],"asks":[%b]}' % (self.at, last, bids, asks)


class _State(msgspec.Struct):
    at: int
    last: int | None
    bids: list[Level]
    asks: list[Level]


class ExchangeBooks:
    """The books of all markets of one connection, with its sequence numbers."""

    def __init__(self, wire: WireFormat) -> None:
        self.books: dict[str, MarketBook] = {}
        self._wire = wire
        self._newest: dict[str, tuple[int, int]] = {}  # sequence -> number and time (ns) of its newest frame
        self._sequences: dict[str, str] = {}  # market -> name of the sequence that numbers its books
        # market with a new book requested -> number of the newest update received before
        self._ended: dict[str, int] = {}
        self._trades: dict[str, TradeMessage] = {}  # market -> its newest trade

    def apply(
        self, payload: bytes, received_at: int, *, verify: bool = True, latest: int | None = None
    ) -> list[Applied]:
        """Apply one frame to the books and return the result of each of its messages, in order.

        received_at: receipt, ns since the Unix epoch, by which a frame without a time is dated; verify: False
        = compute no checksums; latest: a book
        with a later venue time (ns) is reported as failed and not applied. Raises ParseError for an
        unreadable frame; nothing is applied then, but the number of a refusal counts.
        """
        try:
            decoded = self._wire.decode(payload, received_at)
        except SubscriptionError as refusal:
            if refusal.numbered is not None:
                refusal.taken = self._apply(refusal.numbered, received_at, verify=verify, latest=latest)
            raise
        return self._apply(decoded, received_at, verify=verify, latest=latest)

    def _apply(
        self, decoded: Decoded, received_at: int, *, verify: bool, latest: int | None
    ) -> list[Applied]:
        taken: list[Applied] = []
        if decoded.number is not None:
            newest, _ = self._newest.get(decoded.sequence, (None, 0))
            if newest is not None and decoded.number <= newest:
                # a repeat, or a late frame: its absence was reported when a later number arrived
                return [Applied(_bare(message), "unchecked", is_known=True) for message in decoded.messages]
            if (broken := self._count(decoded, received_at)) is not None:
                taken.append(broken)
        if decoded.is_renewal:
            taken.append(Applied(None, "not_available", is_renewal=True))
        for message in decoded.messages:
            if isinstance(message, BookMessage | IndexMessage):
                self._sequences[message.market] = decoded.sequence
            if isinstance(message, BookMessage):
                if (unseen := self._unseen(message)) is not None:
                    taken.append(unseen)
                taken.append(self._apply_book(message, decoded, verify=verify, latest=latest))
            elif isinstance(message, TradeMessage):
                taken.append(self._apply_trade(message, decoded))
            else:
                taken.append(Applied(message, self._of_number(decoded)))
        # a frame without a number proves nothing about any book
        if not decoded.messages and decoded.number is not None:
            taken.append(Applied(None, "ok", at=decoded.at, sequence=decoded.sequence))
        return taken

    def sequence_of(self, market: str) -> str:
        """Return the name of the sequence that numbers a market's books.

        "" is the sequence of the whole connection.
        """
        return self._sequences.get(market, "")

    def carries_states(self, sequence: str) -> bool:
        """Return whether `sequence` numbers the book of any market.

        "", the sequence of the whole connection, always does.
        """
        return not sequence or sequence in self._sequences.values()

    def load(self, message: BookMessage) -> bool:
        """Replace a market's book by a REST snapshot if that is newer; return whether it was."""
        held = self.books.get(message.market)
        if held is not None and message.at <= held.at:
            return False
        self.books[message.market] = MarketBook(message, "unchecked")
        return True

    def restore(self, market: str, payload: bytes) -> BookMessage:
        """Restore a market's book from what `MarketBook.payload` wrote, and return it as a snapshot.

        Raises ParseError for an unreadable payload.
        """
        try:
            state = msgspec.json.decode(payload, type=_State)
        except NOT_JSON as error:
            raise ParseError("BookState", str(error), ("payload",)) from error
        message = BookMessage(
            market, state.at, state.bids, state.asks, is_snapshot=True, is_dated=False, last=state.last
        )  # not dated: the time may have been a receipt, and later messages must not be compared with it
        self.books[market] = MarketBook(message, "unchecked")
        return message

    def drop(self, markets: Iterable[str]) -> None:
        """Drop the books of `markets`."""
        for market in markets:
            self.books.pop(market, None)
            self._ended.pop(market, None)

    def forget_others(self, markets: Container[str]) -> None:
        """Forget everything about markets that are not among `markets`."""
        for held in (self.books, self._sequences, self._ended, self._trades):
            for market in [name for name in held if name not in markets]:
                del held[market]

    def restart(self, markets: Iterable[str]) -> None:
        """Drop the books of `markets`, because new snapshots are being requested.

        The number of the newest update of each is kept: the new snapshot then shows whether updates never
        came.
        """
        for market in markets:
            book = self.books.pop(market, None)
            if book is not None and book.last is not None:
                self._ended[market] = book.last

    def payloads(self) -> Iterator[tuple[str, bytes]]:
        """Yield (market, serialized book) of every book held, for the `book_state` lines of the archive."""
        for market, book in self.books.items():
            yield market, book.payload()

    # ---- frames ------------------------------------------------------------------------------------------

    def _count(self, decoded: Decoded, received_at: int) -> Applied | None:
        """Record the number of a frame; return a failure when frames before it are missing, else None.

        All books that the sequence numbers are dropped then, since any of them may lack an update.
        """
        number, sequence = decoded.number or 0, decoded.sequence
        before, at = self._newest.get(sequence, (None, 0))
        self._newest[sequence] = number, decoded.at or received_at
        if before is None or number == before + 1:
            return None
        # the newest trades are kept: trade numbers of their own show which trades are missing
        for market in [name for name in self.books if self._sequences.get(name, sequence) == sequence]:
            del self.books[market]
        missing = f"frames {before + 1} to {number - 1}{sequence and f' of {sequence}'} are missing"
        return Applied(None, "failed", detail=missing, at=decoded.at, before=at, sequence=sequence)

    def _of_number(self, decoded: Decoded) -> Verdict:
        return "not_available" if decoded.number is None else "ok"

    # ---- messages ----------------------------------------------------------------------------------------

    def _apply_book(
        self, message: BookMessage, decoded: Decoded, *, verify: bool, latest: int | None
    ) -> Applied:
        market = message.market
        if latest is not None and message.at > latest:
            self.books.pop(market, None)  # the book lacks this update from now on
            return Applied(_bare(message), "failed", detail="dated ahead")
        held = self.books.get(market)
        if message.is_snapshot:
            return self._apply_snapshot(message, held, decoded, verify=verify)
        if held is None:
            return Applied(_bare(message), "unchecked")
        if message.first is not None and message.last is not None and held.last is not None:
            if message.last <= held.last:
                return Applied(message, "unchecked", is_known=True)
            if message.first > held.last + 1:
                del self.books[market]
                detail = f"updates {held.last + 1} to {message.first - 1} are missing"
                return Applied(message, "failed", detail=detail)
        is_older = message.is_dated and message.at < held.dated_at
        if is_older and self._wire.checksum is not None:
            return Applied(message, "unchecked", is_known=True)
        if message.is_relative:
            try:
                message = held.absolute(message)
            except ValueError as error:
                del self.books[market]
                return Applied(_bare(message), "failed", detail=str(error))
        cut = held.change(message, self._wire.depth)
        held.verdict, detail = self._judge(message, held, decoded, verify=verify)
        # a sequence number proves the order whatever the dates; without one only dates reveal a wrong order
        at = message.at if is_older and held.verdict != "ok" else held.at
        return Applied(message, held.verdict, detail=detail, at=at, cut=cut)

    def _unseen(self, message: BookMessage) -> Applied | None:
        """Return the failure that a newly requested snapshot reveals: updates in it were never received.

        Returns None when there is no such failure, or no new snapshot was requested.
        """
        ended = self._ended.get(message.market)
        if ended is None or message.last is None:
            return None
        if not message.is_snapshot:  # a delta that was in flight when the snapshot was requested
            if message.first is not None and message.first <= ended + 1:
                self._ended[message.market] = max(ended, message.last)
            return None
        del self._ended[message.market]
        if message.last <= ended:
            return None
        change = msgspec.structs.replace(message, is_snapshot=False, bids=(), asks=())
        return Applied(change, "failed", detail=f"updates {ended + 1} to {message.last} never came")

    def _apply_snapshot(
        self, message: BookMessage, held: MarketBook | None, decoded: Decoded, *, verify: bool
    ) -> Applied:
        is_numbered = decoded.number is not None or message.last is not None
        newest = None if held is None else held.last
        if message.last is not None and newest is not None and message.last < newest:
            return Applied(message, "unchecked", is_known=True)  # a late snapshot: the book held is newer
        if held is not None and message.is_dated and message.at < held.dated_at and not is_numbered:
            return Applied(message, "unchecked", is_known=True)
        book = MarketBook(message, "unchecked")
        book.verdict, detail = self._judge(message, book, decoded, verify=verify)
        self.books[message.market] = book
        is_confirmed = held is not None and decoded.number is not None and book.equals(held)
        return Applied(message, book.verdict, detail=detail, is_confirmed=is_confirmed)

    def _judge(
        self, message: BookMessage, book: MarketBook, decoded: Decoded, *, verify: bool
    ) -> tuple[Verdict, str]:
        """Return the verdict on `book` after `message` was applied, and what does not match.

        The text is "" when everything matches.
        """
        if self._wire.checksum is not None and message.checksum is not None:
            if not verify:
                return "unchecked", ""
            found = self._wire.checksum(book.bids, book.asks)
            if found == message.checksum:
                return "ok", ""
            return "failed", f"the checksum is {found}, not {message.checksum}"
        if message.last is not None:
            return "ok", ""
        return self._of_number(decoded), ""

    def _apply_trade(self, message: TradeMessage, decoded: Decoded) -> Applied:
        before = self._trades.get(message.market)
        if before is not None and message.number is not None and before.number is not None:
            if message.number <= before.number:
                return Applied(message, "unchecked", is_known=True)
            if message.number > before.number + 1:
                self._trades[message.market] = message
                missing = f"trades {before.number + 1} to {message.number - 1} are missing"
                return Applied(message, "failed", detail=missing, before=before.at)
        self._trades[message.market] = message
        is_counted = before is not None and message.number is not None
        verdict = "ok" if is_counted else self._of_number(decoded)
        return Applied(message, verdict, sequence=decoded.sequence)


def _bare(message: MarketMessage) -> MarketMessage:
    """Remove the levels of a relative delta that was not applied: the resulting sizes are unknown.

    Other messages are returned unchanged.
    """
    if isinstance(message, BookMessage) and message.is_relative:
        return msgspec.structs.replace(message, bids=(), asks=())
    return message


def _sum(side: BookSide, price: str, change: str) -> Level:
    held = side.level(price)
    size = Decimal(change) if held is None else Decimal(level_of(held)[1].decode()) + Decimal(change)
    if size < 0 or not is_bounded(size):
        raise ValueError(f"the level at {price} would hold {size}")
    return price, f"{size:f}"


def _side(levels: Iterable[Level], *, is_bid: bool) -> BookSide:
    return BookSide(levels, is_bid=is_bid, text=_level, separator=b",")


def _level(price: str, size: str) -> bytes:
    return f'["{price}","{size}"]'.encode()


def level_of(text: bytes) -> tuple[bytes, bytes]:
    """Return price and size, each as ASCII bytes, of one formatted level of `BookSide.levels`."""
    price, _, size = text[2:-2].partition(b'","')
    return price, size
