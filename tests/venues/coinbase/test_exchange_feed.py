"""The Exchange feed's frames, one kind at a time, and which socket a frame is of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketarchive.exceptions import ArgumentError, ParseError
from marketarchive.spiders.coinbase_spot import CoinbaseSpot
from marketarchive.times import from_iso
from marketarchive.venues.coinbase import exchange_feed, socket
from marketarchive.venues.coinbase import venue as declared
from marketarchive.venues.coinbase.exchange_feed import decode, resync, subscribe, unsubscribe
from marketarchive.venues.market_messages import BookMessage, Decoded, QuoteMessage, TradeMessage
from marketarchive.venues.messages import Received
from marketarchive.venues.table_rows import QuotesRow

NOW = from_iso("2026-11-21T12:00:00Z")
SENT = "2026-11-21T11:59:59.876543Z"
AT = from_iso(SENT)


def frame(kind: str, **more: Any) -> Decoded:
    return decode(json.dumps({"type": kind, "product_id": "BTC-USD", **more}).encode(), NOW)


def match(kind: str, side: str) -> Decoded:
    return frame(kind, trade_id=7, side=side, price="0.4394", size="70", time=SENT, sequence=9)


def test_a_snapshot_has_no_date_of_its_own() -> None:
    levels = {"bids": [["100", "1.50"]], "asks": [["101", "2"]]}
    book = BookMessage("BTC-USD", NOW, [("100", "1.50")], [("101", "2")], is_snapshot=True, is_dated=False)
    assert frame("snapshot", **levels) == Decoded([book])
    [dated] = frame("snapshot", **levels, time=SENT).messages
    assert (dated.at, isinstance(dated, BookMessage) and dated.is_dated) == (AT, True)


def test_changes_are_of_both_sides() -> None:
    changes = [["buy", "100", "0.00000000"], ["sell", "101", "2"], ["buy", "99", "1"]]
    book = BookMessage("BTC-USD", AT, [("100", "0.00000000"), ("99", "1")], [("101", "2")])
    assert frame("l2update", changes=changes, time=SENT) == Decoded([book])


@pytest.mark.parametrize(("maker", "taker"), [("buy", "SELL"), ("sell", "BUY")])
def test_the_side_of_a_trade_is_the_takers(maker: str, taker: str) -> None:
    trade = TradeMessage("BTC-USD", AT, taker, "0.4394", "70", "7", 7)  # type: ignore[arg-type]
    assert match("match", maker) == Decoded([trade])


def test_the_last_trade_before_a_subscription_is_none_of_it() -> None:
    [trade] = match("last_match", "buy").messages
    assert isinstance(trade, TradeMessage)
    assert trade.is_backfill


def test_a_ticker_gives_the_best_prices() -> None:
    assert frame("ticker", best_bid="1", best_ask="2", time=SENT) == Decoded(
        [QuoteMessage("BTC-USD", AT, "1", "2")]
    )
    assert frame("ticker", best_bid="") == Decoded([QuoteMessage("BTC-USD", NOW, None, None)])


def test_heartbeats_acknowledgements_and_new_kinds_say_nothing() -> None:
    """A heartbeat comes too while books are at a standstill."""
    assert frame("heartbeat", time=SENT, sequence=1, last_trade_id=2) == Decoded()
    named = [{"name": "level2_50", "product_ids": ["BTC-USD"], "account_ids": None}]
    assert frame("subscriptions", channels=named) == frame("tomorrow") == decode(b"{}", NOW) == Decoded()


def test_a_refused_request_is_told() -> None:
    with pytest.raises(ParseError, match="Failed to subscribe: ETH-XYZ is not a valid product"):
        frame("error", message="Failed to subscribe", reason="ETH-XYZ is not a valid product")


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b'{"type":"match"}', b'{"type":"l2update","product_id":"A","changes":[["a"]]}']
)
def test_what_cannot_be_read_is_told(payload: bytes) -> None:
    with pytest.raises(ParseError):
        decode(payload, NOW)


def test_one_text_subscribes_all_channels() -> None:
    [text] = map(json.loads, subscribe(["BTC-USD"]))
    channels = ["level2_batch", "matches", "ticker", "heartbeat"]
    assert text == {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": channels}
    [ended] = map(json.loads, unsubscribe(["BTC-USD"]))
    assert ended == {**text, "type": "unsubscribe"}
    assert unsubscribe([]) == []
    again = [json.loads(each) for each in resync(["BTC-USD"])]
    assert [(each["type"], each["channels"]) for each in again] == [
        ("unsubscribe", ["level2_batch"]),
        ("subscribe", ["level2_batch"]),
    ]


# ---- either socket ---------------------------------------------------------------------------------------


def test_tables_are_made_of_frames_of_either_socket() -> None:
    document = {"channel": "ticker", "sequence_num": 3, "events": [{"tickers": [{"product_id": "ETH-USD"}]}]}
    advanced = json.dumps(document).encode()
    assert declared.decode(advanced, NOW).number == 3
    payload = json.dumps({"type": "l2update", "product_id": "A", "changes": [], "time": SENT}).encode()
    assert declared.decode(payload, NOW) == decode(payload, NOW)
    rows = declared.VENUE.feeds["spot"].rows
    assert rows is not None
    received = Received("coinbase", "spot", "wss://x", {}, None, 0, advanced, NOW, 1, "c1")
    [row] = rows().rows(received)
    assert isinstance(row, QuotesRow)
    assert (row.market, row.asset) == ("ETH-USD", "ETH")


def test_a_spider_listens_to_the_socket_that_was_chosen() -> None:
    usual, other = CoinbaseSpot(), CoinbaseSpot(channel=" Exchange")
    assert (usual.channel, usual.wire) == (socket.CHANNEL, socket.WIRE)
    assert (other.channel, other.wire) == (exchange_feed.CHANNEL, exchange_feed.WIRE)
    assert CoinbaseSpot(channel="advanced").channel is socket.CHANNEL
    assert CoinbaseSpot.channels() == (socket.CHANNEL, exchange_feed.CHANNEL)
    with pytest.raises(ArgumentError, match="channel='pro' is not one of advanced, exchange"):
        CoinbaseSpot.check_arguments({"channel": "pro"})
