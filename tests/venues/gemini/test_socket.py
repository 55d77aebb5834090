"""What Gemini's frames say, and what is sent to it."""

from __future__ import annotations

import json

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.venues.gemini.socket import SOCKET, decode, resync, subscribe, unsubscribe
from marketarchive.venues.market_messages import BookMessage, Decoded, QuoteMessage, TradeMessage

# frames of perpetuals on the same socket, as a public profile of 2026-09-15 has them
SNAPSHOT = (
    b'{"e":"depthUpdate","E":1789456740173524809,"s":"avaxgusdperp","U":1764527605191349,"u":1764527605191349,'
    b'"b":[["7.487000","140.40000"],["7.479000","570.50000"]],"a":[["7.503000","142.60000"]]}'
)
DELTA = (
    b'{"e":"depthUpdate","E":1789456742337187316,"s":"ethgusdperp","U":1764527605192323,"u":1764527605192686,'
    b'"b":[["2482.5500","0.000"]],"a":[["2483.5000","0.000"],["2483.4500","1.047"]]}'
)
NEXT_DELTA = (
    b'{"e":"depthUpdate","E":1789456742362015387,"s":"ethgusdperp","U":1764527605192686,"u":1764527605192712,'
    b'"b":[["2482.5500","1.047"]],"a":[]}'
)
TRADE = (
    b'{"E":1790401261620000000,"s":"btcusd","t":2840141029940425,"p":"83955.14","q":"0.0011912","m":false}'
)
TICKER = (
    b'{"u":1764559146470614,"E":1790401258816000000,"s":"btcusd","b":"83948.70","B":"0.10350843",'
    b'"a":"83948.71","A":"0.06738727"}'
)


def book(payload: bytes) -> BookMessage:
    (message,) = decode(payload, 1).messages
    assert isinstance(message, BookMessage)
    return message


def test_a_frame_with_one_id_is_the_whole_book() -> None:
    assert book(SNAPSHOT) == BookMessage(
        "avaxgusdperp",
        1_789_456_740_173_524_809,
        [("7.487000", "140.40000"), ("7.479000", "570.50000")],
        [("7.503000", "142.60000")],
        is_snapshot=True,
        first=1764527605191349,
        last=1764527605191349,
    )


def test_a_delta_covers_the_ids_after_its_first() -> None:
    first, second = book(DELTA), book(NEXT_DELTA)
    assert not first.is_snapshot
    assert not second.is_snapshot
    assert first.last is not None
    assert (first.first, first.last) == (1764527605192324, 1764527605192686)
    assert second.first == first.last + 1
    assert (first.bids, first.asks) == (
        [("2482.5500", "0.000")],
        [("2483.5000", "0.000"), ("2483.4500", "1.047")],
    )


def test_a_trade_has_the_side_of_its_taker() -> None:
    at = 1_790_401_261_620_000_000
    bought = TradeMessage("btcusd", at, "BUY", "83955.14", "0.0011912", "2840141029940425")
    assert decode(TRADE, 1).messages == [bought]
    (sold,) = decode(TRADE.replace(b"false", b"true"), 1).messages
    assert isinstance(sold, TradeMessage)
    assert sold.side == "SELL"


def test_a_ticker_may_have_an_empty_side() -> None:
    at = 1_790_401_258_816_000_000
    assert decode(TICKER, 1).messages == [QuoteMessage("btcusd", at, "83948.70", "83948.71")]
    empty = TICKER.replace(b'"83948.70","B":"0.10350843"', b'"","B":""')
    assert decode(empty, 1).messages == [QuoteMessage("btcusd", at, None, "83948.71")]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"id":1,"status":200}',
        b'{"id":"1","status":200,"result":{}}',
        b'{"id":"ping","status":200,"error":null}',
        b'{"e":"markPrice","E":1789456746446652397,"s":"btcgusdperp","p":"77303.727","i":"7725880.833"}',
        b'{"lastUpdateId":1764527605192164,"symbol":"btcusd","bids":[],"asks":[]}',
    ],
)
def test_other_frames_say_nothing_of_a_market(payload: bytes) -> None:
    assert decode(payload, 1) == Decoded()


def test_a_refusal_says_why() -> None:
    payload = b'{"id":4,"status":400,"error":{"code":-1013,"msg":"Invalid stream name: nosuch@depth"}}'
    with pytest.raises(ParseError, match="Invalid stream name: nosuch@depth"):
        decode(payload, 1)


@pytest.mark.parametrize(
    "payload",
    [
        SNAPSHOT[:-30],
        SNAPSHOT.replace(b'"U":1764527605191349', b'"U":1764527605191350'),
        SNAPSHOT.replace(b'"u":1764527605191349,', b""),
        SNAPSHOT.replace(b'"7.487000"', b"7.487"),
        SNAPSHOT.replace(b'"7.487000"', b'"1e5"'),
        TRADE.replace(b'"m":false', b'"m":0'),
        TICKER.replace(b'"83948.70"', b'"-1"'),
        b"[]",
        b"",
    ],
)
def test_what_cannot_be_read_is_an_error(payload: bytes) -> None:
    with pytest.raises(ParseError, match="not a frame of Gemini"):
        decode(payload, 1)


def test_whole_books_are_asked_for_in_the_url_and_each_market_by_a_text_of_its_own() -> None:
    assert SOCKET.url == "wss://ws.gemini.com/?snapshot=-1"
    assert [json.loads(text) for text in subscribe(["btcusd", "ethusd"])] == [
        {
            "id": f"{market}-subscribe",
            "method": "subscribe",
            "params": [f"{market}@depth@100ms", f"{market}@trade", f"{market}@bookTicker"],
        }
        for market in ("btcusd", "ethusd")
    ]
    (ended,) = unsubscribe(["btcusd"])
    assert json.loads(ended)["method"] == "unsubscribe"
    assert [(text["method"], text["params"]) for text in map(json.loads, resync(["btcusd"]))] == [
        ("unsubscribe", ["btcusd@depth@100ms"]),
        ("subscribe", ["btcusd@depth@100ms"]),
    ]
