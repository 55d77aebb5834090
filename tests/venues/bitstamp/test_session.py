"""What a connection to Bitstamp makes of frames: the neutral session with this venue's wire format."""

from __future__ import annotations

from decimal import Decimal

from marketarchive.times import SECOND
from marketarchive.venues.bitstamp.socket import WIRE, parse
from marketarchive.venues.bitstamp.venue import ASSETS
from marketarchive.venues.channel import Update
from marketarchive.venues.exchange_rows import ExchangeRows
from marketarchive.venues.exchange_session import BookTop, ExchangeSession
from marketarchive.venues.messages import Received
from marketarchive.venues.table_rows import BooksRow, QuotesRow
from tests.venues.bitstamp.test_socket import BOOK, READ_BOOK, TRADE, answer

NOW = 1_788_481_330 * SECOND


def session() -> ExchangeSession:
    made = ExchangeSession(WIRE)
    made.subscribe(["btcusd", "ethusd"], is_first=True)
    return made


def applied(to: ExchangeSession, payload: bytes) -> Update:
    (update,) = to.apply(NOW, 1, payload, latest=NOW + 5 * SECOND, verify=True)
    return update


def test_a_book_is_a_state_of_its_own() -> None:
    update = applied(session(), BOOK)
    assert (update.key, update.kind, update.state) == ("btcusd", "snapshot", "1788481325406795")
    assert (update.at, update.integrity) == (READ_BOOK.at, "not_available")
    assert isinstance(update.value, BookTop)
    assert (update.value.best_bid, update.value.best_ask) == (Decimal("81254.37"), Decimal("81263.98"))


def test_a_book_that_is_older_than_the_one_held_is_known() -> None:
    one = session()
    applied(one, BOOK)
    assert applied(one, BOOK.replace(b"1788481325406795", b"1788481325406794")).is_known


def test_a_trade_proves_nothing_of_the_book() -> None:
    assert applied(session(), TRADE).integrity == "unchecked"


def test_a_request_to_connect_anew_is_of_no_market() -> None:
    update = applied(session(), b'{"event":"bts:request_reconnect","channel":"","data":""}')
    assert (update.key, update.kind) == ("", "renew")


def test_a_damaged_frame_concerns_the_market_of_its_channel() -> None:
    one = session()
    assert one.concerned(BOOK.replace(b'"bids"', b'"bid"')) == ["btcusd"]
    assert one.concerned(BOOK[:60]) is None


def test_a_book_of_an_answer_is_loaded_where_it_is_newer() -> None:
    one = session()
    loaded = one.load(NOW, 2, READ_BOOK)
    assert loaded is not None
    assert (loaded.state, loaded.integrity) == (READ_BOOK.state, "unchecked")
    assert one.load(NOW, 3, READ_BOOK) is None


def test_rows_are_made_of_frames_and_of_answers() -> None:
    maker = ExchangeRows(WIRE, ASSETS, parse)
    frame = Received("bitstamp", "spot", "wss://ws.bitstamp.net", {}, None, 0, BOOK, NOW, 1, "c1")
    book, quote = maker.rows(frame)
    assert isinstance(book, BooksRow)
    assert (book.asset, book.route, book.hash, book.verified) == (
        "BTC",
        "snapshot",
        READ_BOOK.state,
        "not_available",
    )
    assert isinstance(quote, QuotesRow)
    assert (quote.best_bid, quote.best_ask) == (Decimal("81254.37"), Decimal("81263.98"))
    data = BOOK.partition(b'"data":')[2].partition(b',"channel"')[0]
    (stated,) = maker.rows(answer(data))
    assert isinstance(stated, BooksRow)
    assert (stated.route, stated.hash, stated.bids) == ("rest", READ_BOOK.state, READ_BOOK.bids)
    requested = Received(
        "bitstamp", "spot", "wss://ws.bitstamp.net", {}, None, 0, b'{"event":"bts:heartbeat"}', NOW, 3, "c1"
    )
    assert list(maker.rows(requested)) == []
    renewal = b'{"event":"bts:request_reconnect","channel":"","data":""}'
    assert list(maker.rows(Received("bitstamp", "spot", "", {}, None, 0, renewal, NOW, 4, "c1"))) == []
