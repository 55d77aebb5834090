"""Books of one connection: what becomes of each message, and what proves the book after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ParseError
from marketarchive.venues.book import BookSide
from marketarchive.venues.channel import Update
from marketarchive.venues.exchange_books import Applied, ExchangeBooks, MarketBook, level_of
from marketarchive.venues.exchange_rows import ExchangeRows
from marketarchive.venues.exchange_session import ExchangeSession
from marketarchive.venues.market_messages import (
    BookMessage,
    Decoded,
    Level,
    MarketMessage,
    QuoteMessage,
    TradeMessage,
    WireFormat,
)
from marketarchive.venues.messages import Received
from marketarchive.venues.table_rows import BookChangesRow, QuotesRow, TableRow, TradesRow
from tests.properties import examples

A, B = "A-USD", "B-USD"
NOW = 10**18


class Tape:
    """A made-up venue: a frame is the place of what it says."""

    def __init__(self, **more: Any) -> None:
        self._said: list[Decoded] = []
        self.wire = WireFormat(self._decode, list, list, **more)

    def frame(self, *messages: MarketMessage, number: int | None = None, at: int = 0) -> bytes:
        self._said.append(Decoded(messages, number, at))
        return b"%d" % (len(self._said) - 1)

    def _decode(self, payload: bytes, received_at: int) -> Decoded:
        del received_at
        return self._said[int(payload)]


class Books(Tape):
    """And its books."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.books = ExchangeBooks(self.wire)

    def apply(
        self, *messages: MarketMessage, number: int | None = None, at: int = 0, **more: Any
    ) -> list[Applied]:
        return self.books.apply(self.frame(*messages, number=number, at=at), NOW, **more)

    def one(self, message: MarketMessage, **more: Any) -> Applied:
        [taken] = self.apply(message, **more)
        return taken


def snapshot(market: str = A, at: int = 1, bid: str = "99", ask: str = "101", **more: Any) -> BookMessage:
    return BookMessage(market, at, [(bid, "1")], [(ask, "1")], is_snapshot=True, **more)


def delta(market: str = A, at: int = 2, bid: str = "100", size: str = "1", **more: Any) -> BookMessage:
    return BookMessage(market, at, [(bid, size)], [], **more)


def trade(number: int | None = 1, market: str = A, at: int = 5, **more: Any) -> TradeMessage:
    return TradeMessage(market, at, "BUY", "100", "1", str(number), number, **more)


def levels(side: BookSide) -> list[Level]:
    return [(price.decode(), size.decode()) for price, size in map(level_of, reversed(side.levels))]


# ---- numbered frames -------------------------------------------------------------------------------------


def test_frames_without_a_hole_prove_what_they_say() -> None:
    books = Books()
    assert books.one(snapshot(), number=7).verdict == "ok"
    assert books.one(delta(), number=8).verdict == "ok"
    assert books.one(QuoteMessage(A, 3, "100", "101"), number=9).verdict == "ok"
    assert books.apply(number=10, at=77) == [Applied(None, "ok", at=77)]
    assert books.books.books[A].best_bid == Decimal(100)


def test_a_hole_is_reported_once_and_ends_all_books() -> None:
    books = Books()
    books.apply(snapshot(A), snapshot(B), number=1)
    broken, after = books.apply(delta(), number=4)
    assert (broken.message, broken.verdict, broken.detail) == (None, "failed", "frames 2 to 3 are missing")
    assert after.verdict == "unchecked"
    assert books.books.books == {}
    assert [each.verdict for each in books.apply(snapshot(A, 3), number=5)] == ["ok"]
    assert books.one(delta(at=4), number=6).verdict == "ok"


def test_after_a_hole_trades_tell_by_themselves_which_of_them_are_missing() -> None:
    books = Books()
    books.apply(trade(1, A), trade(1, B), number=1)
    _, whole = books.apply(trade(2, A), number=3)
    _, hole = books.apply(trade(3, B, at=9), number=5)
    assert (whole.verdict, hole.verdict, hole.before) == ("ok", "failed", 5)


def test_a_frame_that_comes_again_or_late_changes_nothing_and_keeps_its_messages() -> None:
    """Tables are made of what was archived: the trade of a late frame is in no other one."""
    books = Books()
    books.apply(snapshot(), number=1)
    books.apply(delta(bid="98"), number=3)  # 2 is late
    books.apply(snapshot(), number=4)
    late = books.apply(delta(bid="100"), trade(9), number=2)
    assert [(each.verdict, each.is_known) for each in late] == [("unchecked", True)] * 2
    assert books.apply(number=4) == []
    assert books.books.books[A].best_bid == Decimal(99)


def test_where_numbers_prove_the_order_a_date_may_go_back() -> None:
    books = Books()
    books.apply(snapshot(at=10), number=1)
    taken = books.one(delta(at=9), number=2)
    assert (taken.verdict, taken.at) == ("ok", 10)


# ---- dates -----------------------------------------------------------------------------------------------


def test_without_numbers_a_date_that_goes_back_is_given_as_it_is() -> None:
    books = Books()
    books.apply(snapshot(at=10))
    taken = books.one(delta(at=9))
    assert (taken.verdict, taken.at) == ("not_available", 9)


@pytest.mark.parametrize("checksum", [None, lambda bids, asks: 5])
def test_a_snapshot_dated_by_its_receipt_makes_nothing_look_old(checksum: Any) -> None:
    """Our clock may be ahead of the venue's."""
    books = Books(checksum=checksum)
    books.apply(snapshot(at=1000, is_dated=False, checksum=5))
    taken = books.one(delta(at=400, checksum=5))
    assert (taken.is_known, taken.at) == (False, 1000)
    assert books.books.books[A].best_bid == Decimal(100)


def test_a_snapshot_dated_by_its_receipt_is_new_even_if_our_clock_is_behind() -> None:
    books = Books()
    books.apply(snapshot(at=1000))
    assert not books.one(snapshot(at=600, bid="97", is_dated=False)).is_known
    assert books.books.books[A].best_bid == Decimal(97)


def test_an_older_message_is_known_where_a_checksum_tells() -> None:
    books = Books(checksum=lambda bids, asks: 5)
    books.apply(snapshot(at=10, checksum=5))
    assert books.one(delta(at=9, checksum=6)).is_known
    assert books.one(snapshot(at=9, checksum=6)).is_known
    assert books.one(delta(at=10, checksum=6)).verdict == "failed"


def test_a_book_that_lacks_what_was_dated_ahead_is_held_no_more() -> None:
    """Else the next number would prove a book in which a level is missing."""
    books = Books()
    books.apply(snapshot(A), snapshot(B), number=1)
    ahead = books.one(delta(at=10**9), number=2, latest=10**6)
    assert (ahead.verdict, ahead.detail) == ("failed", "dated ahead")
    assert books.one(delta(at=3), number=3, latest=10**6).verdict == "unchecked"
    assert books.one(delta(B, at=3), number=4, latest=10**6).verdict == "ok"


# ---- updates numbered by market --------------------------------------------------------------------------


def test_updates_numbered_by_market_break_that_market_alone() -> None:
    books = Books()
    books.apply(snapshot(A, last=10), snapshot(B, last=70))
    assert books.one(delta(A, first=8, last=10)).is_known
    assert books.one(delta(A, first=9, last=12)).verdict == "ok"
    broken = books.one(delta(A, first=14, last=15))
    assert (broken.verdict, broken.detail) == ("failed", "updates 13 to 13 are missing")
    assert list(books.books.books) == [B]
    assert books.one(delta(A, first=16, last=16)).verdict == "unchecked"


# ---- checksums and depth ---------------------------------------------------------------------------------


def test_a_checksum_decides_and_is_not_worked_out_without_time() -> None:
    books = Books(checksum=lambda bids, asks: len(bids.levels))
    assert books.one(snapshot(checksum=1)).verdict == "ok"
    assert books.one(delta(checksum=2)).verdict == "ok"
    failed = books.one(delta(at=3, bid="98", checksum=2))
    assert (failed.verdict, failed.detail) == ("failed", "the checksum is 3, not 2")
    assert books.one(delta(at=4, bid="97", checksum=9), verify=False).verdict == "unchecked"


def test_a_book_is_cut_to_its_depth() -> None:
    books = Books(depth=2)
    books.apply(snapshot())
    for at, bid in enumerate(("98", "100", "97"), 2):
        books.apply(delta(at=at, bid=bid))
    assert levels(books.books.books[A].bids) == [("100", "1"), ("99", "1")]


# ---- trades ----------------------------------------------------------------------------------------------


def test_numbers_of_trades_show_what_is_missing_between_two() -> None:
    books = Books()
    assert books.one(trade(1, at=5)).verdict == "not_available"
    assert books.one(trade(2, at=6)).verdict == "ok"
    assert books.one(trade(2, at=6)).is_known
    hole = books.one(trade(5, at=9))
    assert (hole.verdict, hole.detail, hole.before) == ("failed", "trades 3 to 4 are missing", 6)
    assert books.one(trade(6, at=9)).verdict == "ok"
    assert books.one(trade(1, market=B)).verdict == "not_available"


def test_trades_without_numbers_prove_nothing() -> None:
    books = Books()
    assert [books.one(trade(None)).verdict for _ in range(2)] == ["not_available"] * 2


# ---- kept and loaded books -------------------------------------------------------------------------------

_AMOUNTS = st.decimals("0.00000001", "99999", places=8, allow_nan=False).map("{:f}".format)
_SIDES = st.dictionaries(_AMOUNTS.map(Decimal), _AMOUNTS, max_size=20)


@given(_SIDES, _SIDES, st.integers(0, 2**62), st.none() | st.integers(0, 2**62))
@examples(60)
def test_a_book_that_was_kept_comes_back_as_it_was(
    bids: Mapping[Decimal, str], asks: Mapping[Decimal, str], at: int, last: int | None
) -> None:
    sides = [
        [(f"{price:f}", size) for price, size in sorted(side.items(), reverse=is_bid)]
        for side, is_bid in ((bids, True), (asks, False))
    ]
    book = MarketBook(BookMessage(A, at, sides[0], sides[1], is_snapshot=True, last=last), "ok")
    books = Books().books
    message = books.restore(A, book.payload())
    assert [list(map(tuple, side)) for side in (message.bids, message.asks)] == sides
    assert (message.market, message.at, message.last, message.is_snapshot) == (A, at, last, True)
    assert list(books.payloads()) == [(A, book.payload())]
    assert [levels(books.books[A].bids), levels(books.books[A].asks)] == sides


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"at":1,"last":null,"bids":[["1"]],"asks":[]}'])
def test_a_damaged_book_is_refused(payload: bytes) -> None:
    with pytest.raises(ParseError):
        Books().books.restore(A, payload)


def test_a_book_from_elsewhere_counts_only_if_it_is_newer() -> None:
    books = Books().books
    assert books.load(snapshot(at=5))
    assert not books.load(snapshot(at=5, bid="1"))
    assert books.load(snapshot(at=6, bid="98"))
    assert books.books[A].best_bid == Decimal(98)
    books.drop([A, B])
    assert books.books == {}


def test_nothing_is_applied_of_a_frame_that_cannot_be_read() -> None:
    def fail(payload: bytes, received_at: int) -> Decoded:
        raise ParseError("Frame", "unreadable")

    books = ExchangeBooks(WireFormat(fail, list, list))
    with pytest.raises(ParseError):
        books.apply(b"", NOW)
    assert books.books == {}


# ---- what the live session makes of it -------------------------------------------------------------------


class Live(Tape):
    """And a session that follows it."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.session = ExchangeSession(self.wire)
        self.session.subscribe([A, B], is_first=True)

    def apply(self, *messages: MarketMessage, number: int | None = None, at: int = 0) -> list[Update]:
        payload = self.frame(*messages, number=number, at=at)
        return self.session.apply(NOW, 1, payload, latest=2 * NOW, verify=True)


def test_a_number_alone_says_that_the_venue_was_there() -> None:
    live = Live()
    [dated] = live.apply(number=1, at=77)
    [undated] = live.apply(number=2)
    assert [(each.kind, each.key, each.at, each.integrity) for each in (dated, undated)] == [
        ("mark", "", 77, "ok"),
        ("mark", "", NOW, "ok"),
    ]
    assert Live().apply(at=5) == []


def test_a_trade_does_not_begin_a_book_and_a_missing_one_is_told() -> None:
    live = Live()
    assert [each.is_known for each in live.apply(trade(1), number=1)] == [True]
    [hole] = live.apply(trade(3, at=9), number=2)
    assert (hole.is_known, hole.integrity, hole.base, hole.at) == (False, "failed", 5, 9)
    live.apply(snapshot(), number=3)
    assert [each.is_known for each in live.apply(trade(4), number=4)] == [False]


def test_trades_sent_again_on_subscription_prove_nothing_but_do_not_hide_a_hole() -> None:
    live = Live()
    live.apply(snapshot(), number=1)
    updates = live.apply(trade(1, is_backfill=True), trade(4, at=9, is_backfill=True), number=2)
    assert [(each.is_known, each.integrity) for each in updates] == [(True, "unchecked"), (False, "failed")]


def test_a_book_that_fails_takes_no_other_out() -> None:
    """Numbers are of the connection; what is dated ahead was not missing among them."""
    live = Live()
    live.apply(snapshot(A), snapshot(B), number=1)
    [ahead] = live.apply(delta(A, at=3 * NOW), number=2)
    assert (ahead.integrity, ahead.group) == ("failed", A)
    assert [(each.integrity, each.group) for each in live.apply(delta(B), number=3)] == [("ok", "")]


def test_rows_of_a_market_never_go_back_behind_its_numbers() -> None:
    live = Live()
    live.apply(snapshot(at=10), number=1)
    assert [each.at for each in live.apply(delta(at=8), number=2)] == [10]


# ---- what the tables make of it --------------------------------------------------------------------------


def rows_of(tape: Tape, frames: Sequence[bytes]) -> list[TableRow]:
    rows = ExchangeRows(tape.wire, {A: "A"})
    received = [Received("x", "spot", "wss://x", {}, None, 0, frame, NOW, 1, "c1") for frame in frames]
    return [row for each in received for row in rows.rows(each)]


def test_a_late_frame_is_in_the_tables_once() -> None:
    tape = Tape()
    frames = [
        tape.frame(snapshot(), number=1),
        tape.frame(delta(bid="98"), number=3),
        late := tape.frame(delta(), trade(9), QuoteMessage(A, 4, "1", "2"), number=2),
        late,
    ]
    rows = rows_of(tape, frames)
    assert len([row for row in rows if isinstance(row, TradesRow)]) == 1
    assert [row.is_stale for row in rows if isinstance(row, BookChangesRow)] == [False, True, True]
    assert not [row for row in rows if isinstance(row, QuotesRow) and row.source == "ticker"]


def test_a_numbered_book_that_comes_late_does_not_replace_a_newer_one() -> None:
    """It was requested again meanwhile, and what follows stands on the newer one."""
    books = Books()
    books.apply(snapshot(last=20, bid="98"))
    assert books.one(snapshot(last=10, bid="97")).is_known
    assert books.one(delta(first=21, last=21)).verdict == "ok"
    assert books.books.books[A].best_bid == Decimal(100)
