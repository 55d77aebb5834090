"""Recorded and hand-made frames of Coinbase go through what its sockets' frames are decoded with."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.times import from_iso, from_seconds
from marketarchive.venues.coinbase import exchange_feed, socket
from marketarchive.venues.coinbase.venue import decode
from marketarchive.venues.exchange_books import ExchangeBooks, level_of
from marketarchive.venues.market_messages import (
    BookMessage,
    Decoded,
    MarketMessage,
    QuoteMessage,
    TradeMessage,
)

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "coinbase"
OLD_SESSION = SAMPLES / "exchange_ws_2021-04-17_NU-GBP_level2_ticker_matches.raw"
NOW = from_iso("2026-11-21T12:00:00Z")

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the recordings are not at {SAMPLES}")


def old_frames() -> list[tuple[int, bytes]]:
    """Return (receipt, payload) of a recorded session of the Exchange feed; its book was `level2` then."""
    found = []
    for line in OLD_SESSION.read_text(encoding="utf-8").splitlines():
        at, separator, payload = line.partition(": ")
        if separator and "<-" not in at:
            found.append((from_seconds(float(at)), payload.encode()))
    return found


def advanced(name: str) -> Decoded:
    payload = (SAMPLES / f"advanced_ws_{name}.nautilus.json").read_bytes()
    assert decode(payload, NOW) == socket.decode(payload, NOW)
    return decode(payload, NOW)


# --- the Exchange feed ------------------------------------------------------------------------------------


def test_a_recorded_session_replays_to_books_that_never_cross() -> None:
    books = ExchangeBooks(exchange_feed.WIRE)
    taken: Counter[str] = Counter()
    for at, payload in old_frames():
        assert decode(payload, at) == exchange_feed.decode(payload, at)
        for one in books.apply(payload, at):
            assert not one.is_known or isinstance(one.message, BookMessage)
            assert one.verdict in ("ok", "not_available")
            taken[type(one.message).__name__] += 1
            held = books.books["NU-GBP"]
            assert held.best_bid is not None
            assert held.best_ask is not None
            assert held.best_bid < held.best_ask
    assert taken == {"BookMessage": 77, "QuoteMessage": 2, "TradeMessage": 2}


def test_its_book_is_what_applying_each_change_by_itself_gives() -> None:
    books = ExchangeBooks(exchange_feed.WIRE)
    plain: tuple[dict[Decimal, str], dict[Decimal, str]] = ({}, {})
    for at, payload in old_frames():
        books.apply(payload, at)
        document = json.loads(payload)
        changes = document.get("changes", [])
        if document["type"] == "snapshot":
            changes = [["buy", *level] for level in document["bids"]]
            changes += [["sell", *level] for level in document["asks"]]
        for side, price, size in changes:
            of_side = plain[side == "sell"]
            of_side[Decimal(price)] = size
            if not Decimal(size):
                del of_side[Decimal(price)]
    held = books.books["NU-GBP"]
    for side, levels in zip((held.bids, held.asks), plain, strict=True):
        found = {Decimal(price.decode()): size.decode() for price, size in map(level_of, side.levels)}
        assert found == levels


def test_its_trades_have_the_side_that_its_tickers_name() -> None:
    trades: dict[int, TradeMessage] = {}
    takers: dict[int, str] = {}
    for at, payload in old_frames():
        document = json.loads(payload)
        if document["type"] == "ticker":
            takers[document["trade_id"]] = document["side"].upper()
        trades |= {
            each.number or 0: each for each in decode(payload, at).messages if isinstance(each, TradeMessage)
        }
    assert {number: trade.side for number, trade in trades.items()} == takers
    assert [trade.is_backfill for trade in trades.values()] == [True, False]
    assert sorted(trades) == [563678, 563679]


def test_shapes_of_today() -> None:
    messages: list[MarketMessage] = []
    refused = []
    for line in (SAMPLES / "SHAPE_exchange_ws_frames.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            messages += decode(line.encode(), NOW).messages
        except ParseError as error:
            refused.append(str(error))
    assert [type(each) for each in messages] == [BookMessage, BookMessage]
    assert len(refused) == 2
    assert "now require authentication" in refused[0]
    assert "ETH-USD is not a valid product" in refused[1]


# --- Advanced Trade ---------------------------------------------------------------------------------------


def test_a_hand_made_snapshot_and_its_delta() -> None:
    books = ExchangeBooks(socket.WIRE)
    for name, verdict in (("l2_data_snapshot", "ok"), ("l2_data_update", "ok")):
        payload = (SAMPLES / f"advanced_ws_{name}.nautilus.json").read_bytes()
        assert [one.verdict for one in books.apply(payload, NOW)] == [verdict]
    held = books.books["BTC-USD"]
    assert (held.best_bid, held.best_ask) == (Decimal("68900.00"), Decimal("68901.50"))
    assert held.at == from_iso("2026-04-07T14:30:01.456789Z")


def test_hand_made_trades() -> None:
    decoded = advanced("market_trades")
    assert decoded.number == 5
    found = [
        (each.number, each.side, each.is_backfill)
        for each in decoded.messages
        if isinstance(each, TradeMessage)
    ]
    assert found == [(995098700, "SELL", False), (995098701, "BUY", False)]  # the makers' are BUY and SELL


def test_a_hand_made_ticker() -> None:
    at = from_iso("2026-04-07T14:30:03Z")
    assert advanced("ticker") == Decoded([QuoteMessage("BTC-USD", at, "68900.00", "68901.00")], 12, at)


@pytest.mark.parametrize(("name", "number"), [("heartbeats", 0), ("subscriptions", 0), ("candles", 3)])
def test_hand_made_frames_that_only_count(name: str, number: int) -> None:
    decoded = advanced(name)
    assert (decoded.messages, decoded.number) == ([], number)
    assert decoded.at > 0
