"""Simulated Coinbase: what its sockets say, read with what collectors read it with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache

import pytest

from marketarchive.simulator.coinbase import EXCHANGE_HOST, HOST, Coinbase, simulated
from marketarchive.simulator.messages import SimRequest
from marketarchive.simulator.sockets import Frame, SimSession
from marketarchive.simulator.spot_world import Levels
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.book import BookSide
from marketarchive.venues.coinbase import exchange_feed, socket
from marketarchive.venues.exchange_books import ExchangeBooks, level_of
from marketarchive.venues.market_messages import BookMessage, QuoteMessage, TradeMessage, WireFormat

SECONDS = 1_795_255_300
NOW = SECONDS * SECOND
BTC, ETH = "BTC-USD", "ETH-USD"
WIRES = {HOST: socket.WIRE, EXCHANGE_HOST: exchange_feed.WIRE}


@cache
def venue() -> Coinbase:
    return simulated(1)


def connect(host: str, now_ns: int = NOW) -> SimSession:
    session = venue().connect(SimRequest("GET", host, "/"), 1, now_ns)
    assert session is not None
    return session


class Client:
    """A connection as the server drives it: what is due is made a second ahead, and again after a text."""

    def __init__(self, host: str, now_ns: int = NOW) -> None:
        self.session = connect(host, now_ns)
        self.received: list[Frame] = []
        self._now = now_ns
        self._pending: list[Frame] = []

    def say(self, texts: Iterable[str], expected: str | None = None) -> None:
        for text in texts:
            told = self.session.received(text, self._now)
            assert told.event == (expected or f"{json.loads(text)['type']}d")
            self.received += told.frames
            if told.event != "refused":
                self._pending = self.session.due(self._now, (self._now // SECOND + 1) * SECOND)

    def wait(self, until_ns: int) -> None:
        while self._now < until_ns:
            horizon = (self._now // SECOND + 1) * SECOND
            if self._now % SECOND == 0:
                self._pending = self.session.due(self._now, horizon)
            self._now = min(until_ns, horizon)
            self.received += [frame for frame in self._pending if frame.ns <= self._now]
            self._pending = [frame for frame in self._pending if frame.ns > self._now]


def numbers(frames: Sequence[Frame]) -> list[int]:
    return [json.loads(frame.payload)["sequence_num"] for frame in frames if frame.kind != "error"]


def replayed(wire: WireFormat, frames: Sequence[Frame]) -> ExchangeBooks:
    books = ExchangeBooks(wire)
    for frame in frames:
        if frame.kind != "error":
            taken = books.apply(frame.payload, frame.ns)
            assert {one.verdict for one in taken} <= {"ok", "not_available"}, frame.payload
    return books


def levels(side: BookSide) -> Levels:
    return tuple((price.decode(), size.decode()) for price, size in map(level_of, reversed(side.levels)))


def test_numbers_have_no_hole_whatever_is_said_in_the_middle_of_a_second() -> None:
    client = Client(HOST, NOW + 200_000_000)
    client.say(socket.subscribe([BTC]))
    client.wait(NOW + 1_300_000_000)
    client.say(socket.subscribe([ETH]))
    client.wait(NOW + 2_700_000_000)
    client.say(socket.resync([BTC, ETH]))
    client.say(['{"type":"subscribe","channel":"level3"}'], "refused")
    client.wait(NOW + 3_100_000_000)
    client.say(socket.unsubscribe([BTC]))
    client.wait(NOW + 5 * SECOND)
    assert numbers(client.received) == list(range(len(client.received) - 1))  # an error has none
    assert [frame.ns for frame in client.received] == sorted(frame.ns for frame in client.received)
    assert len(client.received) > 60


@pytest.mark.parametrize("host", [HOST, EXCHANGE_HOST])
def test_snapshot_and_deltas_are_the_book_of_the_world(host: str) -> None:
    wire = WIRES[host]
    client = Client(host, NOW + 300_000_000)
    client.say(wire.subscribe([BTC, ETH]))
    for quarter in range(2, 40):
        until = NOW + quarter * SECOND // 4
        client.wait(until)
        books = replayed(wire, client.received)
        for market in (BTC, ETH):
            held = books.books[market]
            assert (levels(held.bids), levels(held.asks)) == venue().world.book(market, until)
        if quarter == 17:
            client.say(wire.resync([BTC]))


@pytest.mark.parametrize(("host", "repeated"), [(HOST, 50), (EXCHANGE_HOST, 1)])
def test_trades_go_on_where_those_of_the_subscription_end(host: str, repeated: int) -> None:
    wire = WIRES[host]
    client = Client(host)
    client.say(wire.subscribe([BTC]))
    client.wait(NOW + 20 * SECOND)
    said = [message for frame in client.received for message in wire.decode(frame.payload, frame.ns).messages]
    trades = [message for message in said if isinstance(message, TradeMessage)]
    told = [(each.at, each.number, each.side, each.price, each.size) for each in trades]
    true = venue().world.trades_before(BTC, NOW + 20 * SECOND, len(trades))
    assert told == [(ns, trade.number, trade.side, trade.price, trade.size) for ns, trade in true]
    assert [each.is_backfill for each in trades] == [True] * repeated + [False] * (len(trades) - repeated)
    assert len(trades) == repeated + 12


@pytest.mark.parametrize("host", [HOST, EXCHANGE_HOST])
def test_a_ticker_comes_with_each_trade_and_shows_the_book(host: str) -> None:
    wire = WIRES[host]
    client = Client(host)
    client.say(wire.subscribe([ETH]))
    client.wait(NOW + 10 * SECOND)
    said = [message for frame in client.received for message in wire.decode(frame.payload, frame.ns).messages]
    quotes = [message for message in said if isinstance(message, QuoteMessage)]
    assert len(quotes) == 1 + 6
    for quote in quotes:
        bids, asks = venue().world.book(ETH, quote.at)
        assert (quote.bid, quote.ask) == (bids[0][0], asks[0][0])


def test_what_faults_are_ordered_by() -> None:
    for host, wire in WIRES.items():
        client = Client(host)
        client.say(wire.subscribe([BTC]))
        client.wait(NOW + 3 * SECOND)
        kinds = {frame.kind for frame in client.received}
        assert kinds == {"books", "book", "trade", "ticker", "backfill", "pong", "nothing"}
        for frame in client.received:
            named = {message.market for message in wire.decode(frame.payload, frame.ns).messages}
            assert set(frame.markets) >= named
            assert bool(frame.markets) or frame.kind in ("pong", "nothing")


def test_heartbeats_come_each_second_once_they_are_subscribed() -> None:
    client = Client(HOST)
    client.say(socket.subscribe([BTC])[:1])
    client.wait(NOW + 3 * SECOND)
    assert "pong" not in {frame.kind for frame in client.received}
    client.say(socket.subscribe([BTC])[-1:])
    client.wait(NOW + 6 * SECOND)
    beats = [frame for frame in client.received if frame.kind == "pong"]
    assert [frame.ns for frame in beats] == [NOW + second * SECOND + SECOND // 2 for second in (3, 4, 5)]
    counters = [json.loads(frame.payload)["events"][0]["heartbeat_counter"] for frame in beats]
    assert counters == [3, 4, 5]


def test_a_heartbeat_of_the_exchange_feed_names_the_last_trade() -> None:
    client = Client(EXCHANGE_HOST)
    client.say(exchange_feed.subscribe([BTC, ETH]))
    client.wait(NOW + 2 * SECOND)
    beats = [json.loads(frame.payload) for frame in client.received if frame.kind == "pong"]
    assert [beat["product_id"] for beat in beats] == [BTC, ETH] * 2
    for beat in beats:
        [(_, trade)] = venue().world.trades_before(beat["product_id"], from_iso(beat["time"]), 1)
        assert beat["last_trade_id"] == trade.number


def test_acknowledgements_list_what_is_subscribed() -> None:
    client = Client(HOST)
    client.say(socket.subscribe([BTC]))
    client.say(socket.unsubscribe([BTC])[:1])
    listed = [json.loads(frame.payload) for frame in client.received if frame.kind == "nothing"]
    assert listed[-1]["channel"] == "subscriptions"
    assert listed[-1]["events"] == [
        {"subscriptions": {"market_trades": [BTC], "ticker": [BTC], "heartbeats": ["heartbeats"]}}
    ]
    client = Client(EXCHANGE_HOST)
    client.say(exchange_feed.subscribe([BTC]))
    named = json.loads(client.received[0].payload)["channels"]
    assert [each["name"] for each in named] == ["level2_50", "matches", "ticker", "heartbeat"]


def test_an_unsubscription_without_products_ends_a_channel() -> None:
    client = Client(HOST)
    client.say(socket.subscribe([BTC, ETH])[:1])
    client.say(['{"type":"unsubscribe","channel":"level2"}'])
    before = len(client.received)
    client.wait(NOW + 2 * SECOND)
    assert len(client.received) == before


@pytest.mark.parametrize(
    ("host", "text"),
    [
        (HOST, '{"type":"subscribe","channel":"level2","product_ids":["DOGE-XYZ"]}'),
        (HOST, '{"type":"subscribe","channel":"full","product_ids":["BTC-USD"]}'),
        (HOST, '{"type":"hello"}'),
        (HOST, "PING"),
        (EXCHANGE_HOST, '{"type":"subscribe","channels":["level2"],"product_ids":["BTC-USD"]}'),
        (EXCHANGE_HOST, '{"type":"subscribe","channels":["matches"],"product_ids":["DOGE-XYZ"]}'),
        (EXCHANGE_HOST, '{"type":"subscribe","channels":["trades"],"product_ids":["BTC-USD"]}'),
        (EXCHANGE_HOST, "{}"),
    ],
)
def test_what_is_not_understood_is_an_error(host: str, text: str) -> None:
    told = connect(host).received(text, NOW)
    assert told.event == "refused"
    assert [(frame.kind, json.loads(frame.payload)["type"]) for frame in told.frames] == [("error", "error")]


def test_a_frame_dated_ahead_is_later_by_as_much() -> None:
    for host, wire in WIRES.items():
        client = Client(host)
        client.say(wire.subscribe([BTC]))
        client.wait(NOW + SECOND)
        frame = next(frame for frame in client.received if frame.kind == "book")
        [before] = wire.decode(frame.payload, frame.ns).messages
        [after] = wire.decode(client.session.dated_ahead(frame, 600 * SECOND), frame.ns).messages
        assert isinstance(before, BookMessage)
        assert after.at == before.at + 600 * SECOND


def test_other_paths_and_questions_are_not_served() -> None:
    assert venue().connect(SimRequest("GET", HOST, "/v2"), 1, NOW) is None
    assert venue().answer(SimRequest("GET", HOST, "/products"), NOW).status == 404
