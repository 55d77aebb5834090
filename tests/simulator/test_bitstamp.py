"""Bitstamp as the simulator serves it, read with the collector's own wire format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.simulator.bitstamp import DEPTH, REST_HOST, SENT, SOCKET_HOST, simulated
from marketarchive.simulator.messages import SimRequest
from marketarchive.simulator.sockets import SimSession
from marketarchive.times import SECOND
from marketarchive.venues.bitstamp.socket import CHANNEL, decode, order_book, parse, subscribe, unsubscribe
from marketarchive.venues.market_messages import BookMessage, TradeMessage
from marketarchive.venues.messages import Received
from tests.simulator.requesting import NOW

VENUE = simulated(1)


def connected(host: str = SOCKET_HOST, path: str = "/") -> SimSession | None:
    return VENUE.connect(SimRequest("GET", host, path), 1, NOW)


def subscribed(*markets: str) -> SimSession:
    session = connected()
    assert session is not None
    for text in subscribe(markets):
        assert session.received(text, NOW).event == "subscribed"
    return session


def answered(path: str, host: str = REST_HOST, at: int = NOW) -> tuple[int, bytes]:
    reply = VENUE.answer(SimRequest("GET", host, path, (("group", "1"),)), at)
    return reply.status, reply.body


def rest_book(market: str, at: int) -> BookMessage:
    query = order_book(market)
    status, body = answered(query.url.removeprefix(f"https://{REST_HOST}"), at=at)
    assert status == 200
    (book,) = parse(Received.answer("bitstamp", "spot", query, status, body, at, 1)).books
    assert isinstance(book, BookMessage)
    return book


def messages(session: SimSession, seconds: int) -> list[Any]:
    due = session.due(NOW, NOW + seconds * SECOND)
    assert [frame.ns for frame in due] == sorted(frame.ns for frame in due)
    return [message for frame in due for message in decode(frame.payload, frame.ns).messages]


def test_a_subscription_is_confirmed_and_begins_with_the_book() -> None:
    session = connected()
    assert session is not None
    first, second = subscribe(["ethusd"])
    confirmed, book = session.received(first, NOW).frames
    assert json.loads(confirmed.payload) == {
        "data": {},
        "channel": "order_book_ethusd",
        "event": "bts:subscription_succeeded",
    }
    (message,) = decode(book.payload, NOW).messages
    assert isinstance(message, BookMessage)
    assert message.at <= NOW
    assert book.kind == "books"
    assert [frame.kind for frame in session.received(second, NOW).frames] == ["nothing"]


def test_books_are_those_of_the_world_at_their_time() -> None:
    books = [each for each in messages(subscribed("btcusd"), 20) if isinstance(each, BookMessage)]
    assert len(books) > 40
    for book in books:
        bids, asks = VENUE.world.book("btcusd", book.at)
        assert (tuple(book.bids), tuple(book.asks)) == (bids[:SENT], asks[:SENT])
        assert book.state == str(book.at // 1000)
    assert len({book.state for book in books}) == len(books)


def test_trades_are_those_of_the_world() -> None:
    trades = [each for each in messages(subscribed("xrpusd"), 20) if isinstance(each, TradeMessage)]
    steps = [step for second in range(20) for step in VENUE.world.steps("xrpusd", NOW // SECOND + second)]
    told = [(step.ns, step.trade.side, step.trade.price, step.trade.size) for step in steps if step.trade]
    assert [(each.at, each.side, each.price, each.size) for each in trades] == told
    assert {each.side for each in trades} == {"BUY", "SELL"}


def test_the_book_over_rest_is_the_one_that_was_sent_last() -> None:
    books = [each for each in messages(subscribed("solusd"), 5) if isinstance(each, BookMessage)]
    stated = rest_book("solusd", NOW + 5 * SECOND)
    assert stated.state == books[-1].state
    assert tuple(stated.bids[:SENT]) == tuple(books[-1].bids)
    assert len(stated.bids) == DEPTH


@pytest.mark.parametrize(
    ("host", "path"),
    [(REST_HOST, "/api/v2/order_book/dogeusd/"), (REST_HOST, "/api/v2/x/"), (SOCKET_HOST, "/")],
)
def test_what_is_not_there_is_not_found(host: str, path: str) -> None:
    assert answered(path, host)[0] == 404


def test_the_socket_is_at_the_root_of_its_host() -> None:
    assert connected(REST_HOST) is None
    assert connected(SOCKET_HOST, "/v2") is None


def test_a_heartbeat_is_answered() -> None:
    session = connected()
    assert session is not None
    assert CHANNEL.heartbeat is not None
    (pong,) = session.received(CHANNEL.heartbeat, NOW).frames
    assert pong.kind == "pong"
    assert decode(pong.payload, NOW).messages == ()


@pytest.mark.parametrize(
    "text",
    [
        "PING",
        '{"event":"bts:subscribe"}',
        '{"event":"bts:subscribe","data":{"channel":"order_book_dogeusd"}}',
        '{"event":"bts:subscribe","data":{"channel":"detail_order_book_btcusd"}}',
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    session = connected()
    assert session is not None
    told = session.received(text, NOW)
    assert told.event == "refused"
    with pytest.raises(ParseError, match="refused"):
        decode(told.frames[0].payload, NOW)


def test_an_ended_subscription_sends_nothing_more() -> None:
    session = subscribed("btcusd", "ethusd")
    for text in unsubscribe(["btcusd"]):
        assert session.received(text, NOW).event == "unsubscribed"
    assert {message.market for message in messages(session, 3)} == {"ethusd"}


def test_a_frame_can_be_dated_ahead() -> None:
    session = subscribed("btcusd")
    frame = session.due(NOW, NOW + SECOND)[0]
    (message,) = decode(session.dated_ahead(frame, 600 * SECOND), NOW).messages
    assert isinstance(message, BookMessage | TradeMessage)
    assert message.at == frame.ns + 600 * SECOND
