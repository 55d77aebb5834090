"""Real recordings of Polymarket's sockets go through the decoders, and every hash in them is recomputed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.venues.polymarket import market_channel, rtds
from marketarchive.venues.polymarket.clob import parse_book, verify_book
from marketarchive.venues.polymarket.live_books import AppliedEvent, ChannelBooks

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "polymarket"
NAUTILUS = SAMPLES / "nautilus_trader_a95c8042"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the recordings are not at {SAMPLES}")


def lines(name: str) -> list[bytes]:
    """Frames as they were recorded, without the wrapper that some files put around them."""
    found = []
    for line in (SAMPLES / name).read_bytes().splitlines():
        document = json.loads(line)
        is_wrapped = isinstance(document, dict) and "frame" in document
        found.append(json.dumps(document["frame"]).encode() if is_wrapped else line)
    return found


def told(taken: list[AppliedEvent]) -> list[tuple[str, str]]:
    return [(type(each.event).__name__, each.verdict) for each in taken]


def test_every_hash_of_a_recorded_session() -> None:
    """Two first books, a change of both legs, a refresh after a trade."""
    books = ChannelBooks()
    taken = [books.apply(frame) for frame in lines("ws_market_session_2025-12-23.jsonl")]
    assert [told(each) for each in taken] == [
        [("BookEvent", "ok")] * 2,
        [("PriceChanges", "ok")] * 2,
        [("BookEvent", "ok")],
    ]
    assert [(each.index, each.position) for frame in taken for each in frame] == [
        (1, 1), (2, 1), (1, 1), (1, 2), (1, 1)
    ]  # fmt: skip
    first, second = books.books.values()
    assert (str(first.best_bid), str(first.best_ask)) == ("0.49", "0.5")
    assert [book.tick_size for book in (first, second)] == ["0.01"] * 2
    assert (first.last_trade_price, second.last_trade_price) == ("0.490", "0.500")
    for book in (first, second):
        assert verify_book(parse_book(book.payload())) == ("ok", "2025-12")


def test_frames_of_every_documented_event() -> None:
    found: Counter[tuple[str, str]] = Counter()
    for frame in lines("ws_market_frames_live_2026.jsonl"):
        found.update(told(ChannelBooks().apply(frame)))
    assert found == {
        ("BookEvent", "failed"): 2,  # their source cut the levels, and made one up
        ("NewMarket", "not_available"): 1,
        ("LastTrade", "not_available"): 1,
        ("BestBidAsk", "not_available"): 1,
        ("PriceChanges", "unchecked"): 2,
        ("MarketResolved", "not_available"): 1,
        ("TickSizeChange", "not_available"): 1,
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ws_market_best_bid_ask_msg.json", ("BestBidAsk", "not_available")),
        ("ws_market_new_market_msg.json", ("NewMarket", "not_available")),
        ("ws_market_resolved_msg.json", ("MarketResolved", "not_available")),
        ("ws_market_tick_size_msg.json", ("TickSizeChange", "not_available")),
        ("py_ws_messages_book.json", ("BookEvent", "ok")),  # by the recipe of 2024
        ("py_ws_messages_last_trade_price.json", ("LastTrade", "not_available")),
        ("py_ws_messages_tick_size_change.json", ("TickSizeChange", "not_available")),
    ],
)
def test_older_frames(name: str, expected: tuple[str, str]) -> None:
    assert told(ChannelBooks().apply((NAUTILUS / name).read_bytes())) == [expected]


def test_the_first_frame_of_2026_proves_itself() -> None:
    books = ChannelBooks()
    frame = (SAMPLES / "ws_book_initial_dump_2026-08-13.json").read_bytes()
    assert told(books.apply(frame)) == [("BookEvent", "ok")]
    (book,) = books.books.values()
    assert verify_book(parse_book(book.payload())) == ("ok", "2025-12")


def test_no_recording_of_a_socket_or_of_trades_is_left_out() -> None:
    """Each file is read by a test here, or (trades) by its neighbour."""
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_polymarket_*.py"))
    marks = ("ws_", "rtds_", "polybolt", "trades")
    files = [path for path in SAMPLES.rglob("*.json*") if any(mark in path.name for mark in marks)]
    assert len(files) == 19
    assert [path.name for path in files if path.name not in text] == []


# --- reference prices ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rtds_frames_2026-09-05.jsonl", "rtds_twap_frames_2026-08.jsonl"])
def test_reference_prices_keep_all_their_digits(name: str) -> None:
    count = 0
    for frame in lines(name):
        document = json.loads(frame, parse_float=str)
        if "body" in document:
            with pytest.raises(rtds.RtdsRefused, match=r"status 401.*definitely_not_a_topic"):
                rtds.decode(frame)
            continue
        payload = document["payload"]
        points = rtds.decode(frame)
        for point, sent in zip(points, payload.get("data", [payload]), strict=True):
            count += 1
            assert point.observed_ms == sent["timestamp"]
            digits = sent.get("full_accuracy_value", sent["value"])
            assert str(point.value).replace(".", "") == digits.replace(".", "")
            assert f"{point.value:.6f}"[:-2] == f"{float(sent['value']):.6f}"[:-2]
            assert point.window_s == payload.get("window_s")
            assert (point.asset, point.is_backfill) == ("BTC", "data" in payload)
    assert count == {"rtds_frames_2026-09-05.jsonl": 10, "rtds_twap_frames_2026-08.jsonl": 2}[name]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("rtds_crypto_prices_subscribe.json", 3),
        ("rtds_crypto_prices_update.json", 1),
        ("rtds_equity_prices_subscribe.json", 0),  # not a topic that is asked for
    ],
)
def test_older_frames_of_rtds(name: str, count: int) -> None:
    assert len(rtds.decode((NAUTILUS / name).read_bytes())) == count


def test_frames_of_the_socket_with_keys_are_not_taken_for_ours() -> None:
    frames = lines("polybolt_frames.jsonl")
    assert len(frames) == 6
    for frame in frames:
        for read in (market_channel.decode, rtds.decode):
            with pytest.raises(ParseError):
                read(frame)
