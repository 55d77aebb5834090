"""Gemini as the simulator serves it, read with the collector's own wire format."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from marketarchive.exceptions import ParseError
from marketarchive.simulator.gemini import DEPTH, HOST, simulated
from marketarchive.simulator.messages import SimRequest
from marketarchive.simulator.sockets import SimSession
from marketarchive.times import SECOND
from marketarchive.venues.exchange_books import ExchangeBooks
from marketarchive.venues.gemini.socket import CHANNEL, WIRE, decode, resync, subscribe, unsubscribe
from marketarchive.venues.market_messages import BookMessage, QuoteMessage, TradeMessage
from tests.simulator.requesting import NOW

VENUE = simulated(1)


def connected(path: str = "/", snapshot: str | None = "-1") -> SimSession | None:
    query = () if snapshot is None else (("snapshot", snapshot),)
    return VENUE.connect(SimRequest("GET", HOST, path, query), 1, NOW)


def opened(snapshot: str | None = "-1") -> SimSession:
    session = connected(snapshot=snapshot)
    assert session is not None
    return session


def messages(session: SimSession, seconds: int) -> list[Any]:
    due = session.due(NOW, NOW + seconds * SECOND)
    assert [frame.ns for frame in due] == sorted(frame.ns for frame in due)
    return [message for frame in due for message in decode(frame.payload, frame.ns).messages]


def test_a_subscription_begins_with_the_book_and_is_confirmed_after_it() -> None:
    (text,) = subscribe(["ethusd"])
    book, ticker, confirmed = opened().received(text, NOW).frames
    (message,) = decode(book.payload, NOW).messages
    assert isinstance(message, BookMessage)
    assert message.is_snapshot
    assert (book.kind, len(message.bids), len(message.asks)) == ("books", DEPTH, DEPTH)
    assert ticker.kind == "ticker"
    assert msgspec.json.decode(confirmed.payload) == {"id": "ethusd-subscribe", "status": 200}


@pytest.mark.parametrize(("snapshot", "levels"), [("20", [20]), ("0", []), (None, []), ("x", [])])
def test_the_url_says_how_much_of_the_book_comes_first(snapshot: str | None, levels: list[int]) -> None:
    (text,) = subscribe(["ethusd"])
    frames = opened(snapshot).received(text, NOW).frames
    books = [decode(frame.payload, NOW).messages[0] for frame in frames if frame.kind == "books"]
    assert [len(book.bids) for book in books if isinstance(book, BookMessage)] == levels


def test_deltas_lead_from_book_to_book_over_seconds() -> None:
    session = opened()
    (text,) = subscribe(["btcusd"])
    books = ExchangeBooks(WIRE)
    books.apply(session.received(text, NOW).frames[0].payload, NOW)
    applied = 0
    for frame in session.due(NOW, NOW + 30 * SECOND):
        for taken in books.apply(frame.payload, frame.ns):
            if isinstance(taken.message, BookMessage):
                applied += 1
                assert taken.verdict == "ok"
                bids, asks = VENUE.world.book("btcusd", frame.ns)
                held = books.books["btcusd"]
                assert (str(held.best_bid), str(held.best_ask)) == (bids[0][0], asks[0][0])
                assert (len(held.bids.keys), len(held.asks.keys)) == (len(bids), len(asks))
    assert applied > 60


def test_trades_and_best_prices_are_those_of_the_world() -> None:
    session = opened()
    (text,) = subscribe(["xrpusd"])
    session.received(text, NOW)
    told = messages(session, 20)
    steps = [step for second in range(20) for step in VENUE.world.steps("xrpusd", NOW // SECOND + second)]
    trades = [each for each in told if isinstance(each, TradeMessage)]
    expected = [(step.ns, step.trade.side, step.trade.price, step.trade.size) for step in steps if step.trade]
    assert [(each.at, each.side, each.price, each.size) for each in trades] == expected
    assert {each.side for each in trades} == {"BUY", "SELL"}
    quotes = [each for each in told if isinstance(each, QuoteMessage)]
    assert len(quotes) > 5
    for quote in quotes:
        bids, asks = VENUE.world.book("xrpusd", quote.at)
        assert (quote.bid, quote.ask) == (bids[0][0], asks[0][0])


def test_a_resync_brings_a_new_book() -> None:
    session = opened()
    (text,) = subscribe(["btcusd"])
    session.received(text, NOW)
    told = [session.received(each, NOW + SECOND) for each in resync(["btcusd"])]
    assert [each.event for each in told] == ["unsubscribed", "subscribed"]
    assert [frame.kind for each in told for frame in each.frames] == ["nothing", "books", "nothing"]


def test_an_ended_subscription_sends_nothing_more() -> None:
    session = opened()
    for text in subscribe(["btcusd", "ethusd"]):
        session.received(text, NOW)
    for text in unsubscribe(["btcusd"]):
        assert session.received(text, NOW).event == "unsubscribed"
    assert {message.market for message in messages(session, 3)} == {"ethusd"}


def test_a_ping_is_answered() -> None:
    assert CHANNEL.heartbeat is not None
    (pong,) = opened().received(CHANNEL.heartbeat, NOW).frames
    assert (pong.kind, decode(pong.payload, NOW).messages) == ("pong", ())


@pytest.mark.parametrize(
    "text",
    [
        "PING",
        '{"id":"1","method":"bogus"}',
        '{"id":"1","method":"subscribe","params":["dogeusd@trade"]}',
        '{"id":"1","method":"subscribe","params":["btcusd@trade","btcusd@candles"]}',
    ],
)
def test_what_is_not_understood_is_refused_as_a_whole(text: str) -> None:
    session = opened()
    told = session.received(text, NOW)
    assert told.event == "refused"
    with pytest.raises(ParseError, match="refused"):
        decode(told.frames[0].payload, NOW)
    assert session.due(NOW, NOW + SECOND) == []


def test_there_is_nothing_else() -> None:
    assert connected("/v2") is None
    assert VENUE.answer(SimRequest("GET", HOST, "/v1/book/btcusd"), NOW).status == 404


def test_a_frame_can_be_dated_ahead() -> None:
    session = opened()
    (text,) = subscribe(["btcusd"])
    session.received(text, NOW)
    frame = session.due(NOW, NOW + SECOND)[0]
    (message,) = decode(session.dated_ahead(frame, 600 * SECOND), NOW).messages
    assert isinstance(message, BookMessage | TradeMessage | QuoteMessage)
    assert message.at == frame.ns + 600 * SECOND
