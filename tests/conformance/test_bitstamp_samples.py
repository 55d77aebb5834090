"""Recordings of Bitstamp go through the parse functions; a book over REST is the stream's of its moment."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.venues.bitstamp.socket import decode, order_book, parse
from marketarchive.venues.exchange_books import MarketBook
from marketarchive.venues.market_messages import BookMessage, TradeMessage
from marketarchive.venues.messages import Received

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "bitstamp"
SESSION = SAMPLES / "ws_2022-01-05_ethusd_diff_and_trades.raw"
REST = SAMPLES / "rest_order_book_ethusd_2022-01-05_top120.raw"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the recordings are not at {SAMPLES}")


def recorded() -> list[bytes]:
    """The frames that came, without those that were sent."""
    lines = SESSION.read_text(encoding="utf-8").splitlines()
    return [line.partition(": ")[2].encode() for line in lines if line[:1].isdigit()]


def rest_book() -> BookMessage:
    payload = REST.read_text(encoding="utf-8").partition(": ")[2].encode()
    received = Received.answer("bitstamp", "spot", order_book("ethusd"), 200, payload, 1, 1)
    (book,) = parse(received).books
    assert isinstance(book, BookMessage)
    return book


def deltas() -> list[BookMessage]:
    """The changes of the recording, as books of their own: the collector does not subscribe them."""
    found = []
    for frame in recorded():
        document: dict[str, Any] = json.loads(frame)
        if document["event"] == "data":
            as_book = {**document, "channel": "order_book_ethusd"}
            (message,) = decode(json.dumps(as_book).encode(), 1).messages
            assert isinstance(message, BookMessage)
            found.append(message)
    return found


def test_every_frame_of_a_session_is_read() -> None:
    counts = Counter(type(each).__name__ for frame in recorded() for each in decode(frame, 1).messages)
    assert counts == {"TradeMessage": sum(b'"event":"trade"' in frame for frame in recorded())}
    assert counts["TradeMessage"] > 5


def test_frames_of_2026_are_read() -> None:
    lines = (SAMPLES / "ws_frames_2026-09-04.jsonl").read_bytes().splitlines()
    found = [each for line in lines for each in decode(line, 1).messages]
    assert [type(each) for each in found] == [TradeMessage, BookMessage]


def test_control_frames_have_their_shape() -> None:
    """The shapes are of documents, not recorded."""
    lines = (SAMPLES / "SHAPE_control_frames.jsonl").read_bytes().splitlines()
    told: list[object] = []
    for line in lines:
        try:
            decoded = decode(line, 1)
            told += ["renewal"] * decoded.is_renewal + list(decoded.messages)
        except ParseError as error:
            told.append(error.item)
    assert told == ["renewal", "Frame"]


def test_the_book_over_rest_has_the_name_of_a_frame_of_the_stream() -> None:
    """So that the two can be compared: 12 frames are older, and the 13th has the book's very microsecond."""
    book, changes = rest_book(), deltas()
    assert len(changes) == 85
    assert [change.state for change in changes].index(book.state) == 11
    assert sum(change.at > book.at for change in changes) == 73


def test_the_recorded_changes_keep_the_recorded_book_uncrossed() -> None:
    held = MarketBook(rest_book(), "unchecked")
    for change in deltas():
        if change.at > held.base_at:
            held.change(change, None)
            assert held.best_bid is not None
            assert held.best_ask is not None
            assert held.best_bid < held.best_ask
