"""What Bitstamp's frames and answers say, and what is sent to it."""

from __future__ import annotations

import json

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.venues.bitstamp.socket import CHANNEL, decode, order_book, parse, subscribe, unsubscribe
from marketarchive.venues.market_messages import BookMessage, Decoded, TradeMessage
from marketarchive.venues.messages import Received

# as the venue sent them on 2026-09-04, the book cut to two levels a side
TRADE = (
    b'{"data":{"id":629344156,"timestamp":"1788481329","amount":0.07375969,"amount_str":"0.07375969",'
    b'"price":81263.98,"price_str":"81263.98","type":0,"microtimestamp":"1788481329090000",'
    b'"buy_order_id":2046551467757570,"sell_order_id":2046551452086274},"channel":"live_trades_btcusd",'
    b'"event":"trade"}'
)
BOOK = (
    b'{"data":{"timestamp":"1788481325","microtimestamp":"1788481325406795",'
    b'"bids":[["81254.37","0.56250000"],["81254.07","0.07500000"]],'
    b'"asks":[["81263.98","0.68285797"],["81264.00","1.20000000"]]},"channel":"order_book_btcusd","event":"data"}'
)
READ_BOOK = BookMessage(
    "btcusd",
    1_788_481_325_406_795_000,
    [("81254.37", "0.56250000"), ("81254.07", "0.07500000")],
    [("81263.98", "0.68285797"), ("81264.00", "1.20000000")],
    is_snapshot=True,
    state="1788481325406795",
)


def answer(payload: bytes) -> Received:
    query = order_book("btcusd")
    return Received.answer("bitstamp", "spot", query, 200, payload, 1, 1)


def test_a_book_is_whole_and_named_by_its_time() -> None:
    assert decode(BOOK, 1).messages == [READ_BOOK]


def test_a_trade_has_its_texts_and_the_side_of_its_taker() -> None:
    at = 1_788_481_329_090_000_000
    bought = TradeMessage("btcusd", at, "BUY", "81263.98", "0.07375969", "629344156")
    assert decode(TRADE, 1).messages == [bought]
    (sold,) = decode(TRADE.replace(b'"type":0', b'"type":1'), 1).messages
    assert isinstance(sold, TradeMessage)
    assert sold.side == "SELL"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"event":"bts:subscription_succeeded","channel":"live_trades_btcusd","data":{}}',
        b'{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}',
        b'{"event":"data","channel":"diff_order_book_btcusd","data":{"bids":[]}}',
        b'{"event":"order_created","channel":"live_orders_btcusd","data":{}}',
    ],
)
def test_other_frames_say_nothing_of_a_market(payload: bytes) -> None:
    assert decode(payload, 1) == Decoded()


def test_the_venue_asks_for_another_connection() -> None:
    payload = b'{"event":"bts:request_reconnect","channel":"","data":""}'
    assert decode(payload, 1) == Decoded(is_renewal=True)


def test_a_refusal_says_why() -> None:
    payload = (
        b'{"event":"bts:error","channel":"","data":{"code":4009,"message":"Connection is unauthorized."}}'
    )
    with pytest.raises(ParseError, match="Connection is unauthorized"):
        decode(payload, 1)


@pytest.mark.parametrize(
    "payload",
    [
        BOOK[:-30],
        BOOK.replace(b'"microtimestamp":"1788481325406795",', b""),
        BOOK.replace(b'"81254.37"', b"81254.37"),
        BOOK.replace(b'"81254.37"', b'"-1"'),
        BOOK.replace(b"1788481325406795", b"1788481325"),
        TRADE.replace(b'"type":0', b'"type":2'),
        TRADE.replace(b'"amount_str":"0.07375969",', b""),
        b"[]",
        b"",
    ],
)
def test_what_cannot_be_read_is_an_error(payload: bytes) -> None:
    with pytest.raises(ParseError, match="not a frame of Bitstamp"):
        decode(payload, 1)


def test_each_market_has_two_channels() -> None:
    sent = [json.loads(text) for text in subscribe(["btcusd", "ethusd"])]
    assert {text["event"] for text in sent} == {"bts:subscribe"}
    assert [text["data"]["channel"] for text in sent] == [
        "order_book_btcusd",
        "live_trades_btcusd",
        "order_book_ethusd",
        "live_trades_ethusd",
    ]
    assert [json.loads(text)["event"] for text in unsubscribe(["btcusd"])] == ["bts:unsubscribe"] * 2


def test_a_connection_is_renewed_before_the_venue_ends_it() -> None:
    assert CHANNEL.renew_s is not None
    assert CHANNEL.renew_s < 90 * 86_400


def test_an_answer_has_the_same_book_as_a_frame() -> None:
    query = order_book("btcusd")
    assert (query.url, query.params) == ("https://www.bitstamp.net/api/v2/order_book/btcusd/", {"group": 1})
    assert parse(answer(json.dumps(json.loads(BOOK)["data"]).encode())).books == [READ_BOOK]
    with pytest.raises(ParseError, match="not a book of Bitstamp"):
        parse(answer(b'{"status":"error","reason":"Not found","code":"API0006"}'))
