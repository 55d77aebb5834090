"""Recorded books of Kraken prove their checksums, and recorded frames of its API v2 are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marketarchive.times import from_iso
from marketarchive.venues.book import BookSide
from marketarchive.venues.exchange_books import ExchangeBooks
from marketarchive.venues.kraken.socket import WIRE, checksum, decode
from marketarchive.venues.market_messages import BookMessage, MarketMessage, QuoteMessage, TradeMessage

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "kraken"
V1_DEPTH = 1000
NOW = from_iso("2026-11-21T12:00:00Z")

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the recordings are not at {SAMPLES}")


def v1_parts(name: str) -> Iterator[dict[str, Any]]:
    """Yield what the messages of a recorded session of API v1 say of their book, a message at a time."""
    for line in (SAMPLES / name).read_text(encoding="utf-8").splitlines():
        payload = line.partition(": ")[2]
        if payload.startswith("["):
            _, *parts, _, _ = json.loads(payload)
            yield {key: value for part in parts for key, value in part.items()}


def side(levels: list[list[str]], *, is_bid: bool) -> BookSide:
    written = [(price, size) for price, size, *_ in levels]
    return BookSide(written, is_bid=is_bid, text=lambda price, size: f'["{price}","{size}"]'.encode())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("v1_book1000_2021-04-17_XBT-CHF_with_checksums.raw", 289),
        ("v1_book1000_2021-04-17_GRT-ETH_with_checksums.raw", 20),
    ],
)
def test_every_recorded_checksum_is_ours(name: str, count: int) -> None:
    """The rule of v1 is that of v2, on texts; 309 of 309."""
    first, *updates = v1_parts(name)
    sides = {"b": side(first["bs"], is_bid=True), "a": side(first["as"], is_bid=False)}
    matched = 0
    for update in updates:
        for key, held in sides.items():
            for price, size, *_ in update.get(key, []):
                held.set(price, size)
            held.cut(V1_DEPTH)
        matched += checksum(sides["b"], sides["a"]) == int(update["c"])
    assert (matched, len(updates)) == (count, count)


def test_recorded_frames_of_v2() -> None:
    lines = (SAMPLES / "v2_ws_frames_2026-09-04.jsonl").read_bytes().splitlines()
    said: list[MarketMessage] = [message for line in lines for message in decode(line, NOW).messages]
    quotes = [each for each in said if isinstance(each, QuoteMessage)]
    trades = [each for each in said if isinstance(each, TradeMessage)]
    assert len(said) == len(quotes) + len(trades)
    assert [(each.bid, each.ask) for each in quotes] == [("81205.0", "81205.1")]
    assert [(each.side, each.size) for each in trades][:2] == [("BUY", "0.00003630"), ("BUY", "0.00200000")]
    numbers = [each.number for each in trades]
    assert numbers == list(range(106799953, 106799953 + len(trades)))


def test_hand_made_frames_of_v2() -> None:
    """Their checksums are made up, so the books do not prove them."""
    books = ExchangeBooks(WIRE)
    for name in ("book_snapshot", "book_update"):
        [taken] = books.apply((SAMPLES / f"v2_ws_{name}.nautilus.json").read_bytes(), NOW)
        assert isinstance(taken.message, BookMessage)
        assert taken.verdict == "failed"
        assert taken.message.is_snapshot == (name == "book_snapshot")
    for name, kind in (("ticker_snapshot", QuoteMessage), ("trade_update", TradeMessage)):
        messages = decode((SAMPLES / f"v2_ws_{name}.nautilus.json").read_bytes(), NOW).messages
        assert messages
        assert all(isinstance(each, kind) for each in messages)
    for name in ("pong", "subscribe_response"):
        assert not decode((SAMPLES / f"v2_ws_{name}.nautilus.json").read_bytes(), NOW).messages
