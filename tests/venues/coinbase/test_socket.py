"""Advanced Trade's frames, one kind at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.times import from_iso
from marketarchive.venues.coinbase.socket import decode, resync, subscribe, unsubscribe
from marketarchive.venues.market_messages import BookMessage, Decoded, QuoteMessage, TradeMessage

NOW = from_iso("2026-11-21T12:00:00Z")
SENT = "2026-11-21T11:59:59.876543219Z"
AT = from_iso(SENT)
EARLY = "1970-01-01T00:00:00Z"


def frame(channel: str, *events: dict[str, Any], **more: Any) -> Decoded:
    document = {"channel": channel, "timestamp": SENT, "sequence_num": 7, "events": events, **more}
    return decode(json.dumps(document).encode(), NOW)


def level(side: str, price: str, size: str, time: str = EARLY) -> dict[str, str]:
    return {"side": side, "event_time": time, "price_level": price, "new_quantity": size}


def trade(trade_id: str, side: str = "BUY", product: str = "BTC-USD") -> dict[str, str]:
    return {
        "trade_id": trade_id,
        "product_id": product,
        "price": "68900.50",
        "size": "0.00150000",
        "side": side,
        "time": "2026-11-21T11:59:59.5Z",
    }


def test_a_snapshot_is_best_first_and_dated_by_its_frame() -> None:
    updates = [
        level("offer", "102", "1"),
        level("bid", "99.5", "2.50"),
        level("bid", "100", "3"),
        level("offer", "101", "4"),
    ]
    decoded = frame("l2_data", {"type": "snapshot", "product_id": "BTC-USD", "updates": updates})
    book = BookMessage(
        "BTC-USD", AT, [("100", "3"), ("99.5", "2.50")], [("101", "4"), ("102", "1")], is_snapshot=True
    )
    assert decoded == Decoded([book], 7, AT)


def test_a_delta_keeps_the_order_in_which_levels_were_set() -> None:
    updates = [level("bid", "100", "3"), level("bid", "101", "0"), level("offer", "102", "0.00000000")]
    [book] = frame("l2_data", {"type": "update", "product_id": "BTC-USD", "updates": updates}).messages
    assert book == BookMessage("BTC-USD", AT, [("100", "3"), ("101", "0")], [("102", "0.00000000")])


def test_a_frame_may_tell_of_many_products() -> None:
    first, second = (
        {"type": "update", "product_id": name, "updates": [level("bid", "1", "2")]} for name in ("A", "B")
    )
    assert [each.market for each in frame("l2_data", first, second).messages] == ["A", "B"]


@pytest.mark.parametrize(("maker", "taker"), [("BUY", "SELL"), ("SELL", "BUY")])
def test_the_side_of_a_trade_is_the_takers(maker: str, taker: str) -> None:
    [message] = frame("market_trades", {"type": "update", "trades": [trade("7", maker)]}).messages
    at = from_iso("2026-11-21T11:59:59.5Z")
    assert message == TradeMessage("BTC-USD", at, taker, "68900.50", "0.00150000", "7", 7)  # type: ignore[arg-type]


def test_trades_of_an_event_come_in_the_order_of_their_numbers() -> None:
    trades = [trade("100"), trade("99"), trade("5", product="ETH-USD"), trade("98")]
    messages = frame("market_trades", {"type": "snapshot", "trades": trades}).messages
    assert [each.number for each in messages if isinstance(each, TradeMessage)] == [5, 98, 99, 100]
    assert all(each.is_backfill for each in messages if isinstance(each, TradeMessage))


def test_a_trade_whose_id_is_no_number_has_none() -> None:
    [message] = frame("market_trades", {"type": "update", "trades": [trade("a-1")]}).messages
    assert isinstance(message, TradeMessage)
    assert (message.id, message.number) == ("a-1", None)


def test_a_ticker_gives_the_best_prices_and_no_side_that_it_lacks() -> None:
    tickers = [
        {"product_id": "BTC-USD", "best_bid": "1", "best_ask": "2"},
        {"product_id": "ETH-USD", "best_bid": ""},
    ]
    messages = frame("ticker", {"type": "update", "tickers": tickers}).messages
    assert messages == [QuoteMessage("BTC-USD", AT, "1", "2"), QuoteMessage("ETH-USD", AT, None, None)]


@pytest.mark.parametrize("channel", ["heartbeats", "subscriptions", "status", "tomorrow"])
def test_other_channels_count_and_say_nothing(channel: str) -> None:
    assert frame(channel, {"anything": [1, {"at": "all"}]}) == Decoded([], 7, AT)


def test_without_a_time_of_its_own_a_frame_is_dated_by_its_receipt() -> None:
    event = {"type": "snapshot", "product_id": "BTC-USD", "updates": []}
    decoded = frame("l2_data", event, timestamp=None)
    assert decoded.at == 0
    assert decoded.messages == [BookMessage("BTC-USD", NOW, [], [], is_snapshot=True, is_dated=False)]


def test_a_refused_request_is_told() -> None:
    with pytest.raises(ParseError, match="refused: no such product"):
        decode(b'{"type":"error","message":"no such product"}', NOW)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"channel":"l2_data"',
        b'{"channel":"l2_data","timestamp":"yesterday"}',
        b'{"channel":"l2_data","events":[{"type":"update","product_id":"A","updates":[{"side":"ask"}]}]}',
        b'{"channel":"l2_data","events":{}}',
        b'{"channel":"ticker","sequence_num":"1"}',
    ],
)
def test_what_cannot_be_read_is_told(payload: bytes) -> None:
    with pytest.raises(ParseError):
        decode(payload, NOW)


@pytest.mark.parametrize("size", ["1e-7", "-1", "", " 1", "nan", "1.", "0x1"])
def test_an_amount_is_digits(size: str) -> None:
    with pytest.raises(ParseError):
        frame("l2_data", {"type": "update", "product_id": "A", "updates": [level("bid", "1", size)]})


def test_a_message_names_one_channel() -> None:
    texts = [json.loads(text) for text in subscribe(["BTC-USD", "ETH-USD"])]
    assert [text["channel"] for text in texts] == ["level2", "market_trades", "ticker", "heartbeats"]
    assert {text["type"] for text in texts} == {"subscribe"}
    assert [text.get("product_ids") for text in texts] == [["BTC-USD", "ETH-USD"]] * 3 + [None]
    ended = [json.loads(text) for text in unsubscribe(["BTC-USD"])]
    assert [text["channel"] for text in ended] == ["level2", "market_trades", "ticker"]
    assert unsubscribe([]) == []  # without products all would end
    again = [json.loads(text) for text in resync(["BTC-USD"])]
    assert [(text["type"], text["channel"]) for text in again] == [
        ("unsubscribe", "level2"),
        ("subscribe", "level2"),
    ]
