from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ParseError
from marketarchive.venues.polymarket import market_channel
from marketarchive.venues.polymarket.live_books import ChannelBooks
from marketarchive.venues.polymarket.market_channel import (
    BookEvent,
    LastTrade,
    PriceChanges,
    Unknown,
    UnreadableEvent,
    decode,
)
from tests.venues.polymarket.rows import CONDITION, TOKENS, book_row
from tests.venues.polymarket.tape import Tape, compact


def change(**changes: Any) -> dict[str, Any]:
    return {
        "asset_id": TOKENS[0],
        "price": "0.49",
        "size": "55",
        "side": "BUY",
        "hash": "ab" * 20,
        "best_bid": "0.49",
        "best_ask": "",
    } | changes


def price_change(*elements: Any, **changes: Any) -> dict[str, Any]:
    return {
        "market": CONDITION,
        "price_changes": list(elements),
        "timestamp": "1766481546776",
        "event_type": "price_change",
    } | changes


def trade(**changes: Any) -> dict[str, Any]:
    return {
        "market": CONDITION,
        "asset_id": TOKENS[0],
        "price": "0.002",
        "size": "5",
        "side": "BUY",
        "timestamp": "1790491136979",
        "event_type": "last_trade_price",
    } | changes


def book(**changes: Any) -> dict[str, Any]:
    return book_row(event_type="book") | changes


# --- what is said ----------------------------------------------------------------------------------------


def test_what_is_sent_to_the_venue() -> None:
    assert json.loads(market_channel.subscribe(["1", "2"])) == {
        "type": "market",
        "assets_ids": ["1", "2"],
        "custom_feature_enabled": True,
    }
    for text, operation in (
        (market_channel.subscribe_more(iter(["3"])), "subscribe"),
        (market_channel.unsubscribe(["3"]), "unsubscribe"),
    ):
        assert json.loads(text) == {
            "operation": operation,
            "assets_ids": ["3"],
            "custom_feature_enabled": True,
        }
        assert " " not in text


# --- what comes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"PONG", b"", b"[]", b" [ ] "])
def test_frames_without_events(payload: bytes) -> None:
    assert decode(payload) == []


def test_one_event_and_an_array_of_events() -> None:
    (alone,) = decode(compact(trade()))
    both = decode(compact([trade(), price_change(change())]))
    assert isinstance(alone, LastTrade)
    assert (alone.token, alone.price, alone.timestamp_ms) == (TOKENS[0], "0.002", 1790491136979)
    assert both[0] == alone
    assert isinstance(both[1], PriceChanges)
    (element,) = both[1].price_changes
    assert (element.token, element.best_bid, element.best_ask) == (TOKENS[0], "0.49", "")


def test_what_a_new_type_says_is_left_to_the_archive() -> None:
    assert decode(b'{"event_type":"fill","size":5}') == [Unknown("fill")]
    known, unknown = decode(compact([trade(), {"event_type": "fill"}]))
    assert (type(known), unknown) == (LastTrade, Unknown("fill"))


def test_new_keys_are_no_error() -> None:
    assert decode(compact(trade(brand_new={"a": [1]}))) == decode(compact(trade()))


BAD = [
    (price_change(change(price="1.5")), "price"),
    (price_change(change(price="0.49\n")), "price"),
    (price_change(change(price=0.49)), "price"),
    (price_change(change(size="-1")), "size"),
    (price_change(change(size="NaN")), "size"),
    (price_change(change(side="buy")), "side"),
    (price_change(change(best_bid="none")), "best_bid"),
    (price_change(change(), timestamp="now"), "timestamp"),
    (price_change(change(), timestamp="9" * 5000), "timestamp"),
    ({"event_type": "price_change", "market": "m", "timestamp": "1", "changes": []}, "price_changes"),
    (trade(price=None), "price"),
    (book(bids=[{"price": "0.6", "size": "1"}]), "bids"),  # crossed
    (book(bids=[{"price": "2", "size": "1"}]), "bids"),
    (book(timestamp="9" * 5000), "timestamp"),
    (book(asset_id=5), "asset_id"),
]


@pytest.mark.parametrize(("event", "field"), BAD)
def test_a_bad_event_is_refused_by_field_and_spoils_no_other(event: dict[str, Any], field: str) -> None:
    with pytest.raises(ParseError) as caught:
        decode(compact(event))
    assert field in caught.value.fields
    first, bad, last = decode(compact([trade(), event, book()]))
    assert isinstance(bad, UnreadableEvent)
    assert field in bad.error.fields
    assert isinstance(first, LastTrade)
    assert isinstance(last, BookEvent)


def test_what_is_no_json_costs_its_event_only_where_that_can_be_told() -> None:
    frame = compact([trade(), trade(price="0.5")]).replace(b'"0.5"', b"NaN")
    first, second = decode(frame)
    assert isinstance(first, LastTrade)
    assert isinstance(second, UnreadableEvent)


@pytest.mark.parametrize(
    "payload",
    [
        b"PING",
        b"<html>",
        b"{",
        b"\xff",
        b"5",
        b"null",
        b"{}",
        b'{"event_type":5}',
        b'{"op":"error","code":"auth_required"}',
        b"[" * 100_000,
        b'{"event_type":"book","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_frame_is_refused(payload: bytes) -> None:
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(200_000)  # as a library in the same process may do
        with pytest.raises(ParseError):
            decode(payload)
    finally:
        sys.setrecursionlimit(limit)


def test_what_is_no_event_inside_an_array_is_unreadable() -> None:
    others: list[Any] = [5, None, [], {}, {"event_type": None}, "book"]
    for bad in others:
        good, unreadable = decode(compact([trade(), bad]))
        assert isinstance(good, LastTrade)
        assert isinstance(unreadable, UnreadableEvent)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["0.5", "9"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_EVENTS = st.sampled_from([price_change(change()), trade(), book(), json.loads(Tape(1).dump())[0]])


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """A frame with some value replaced, or some bytes."""
    event = json.loads(compact(draw(_EVENTS)))
    for _ in range(draw(st.integers(0, 3))):
        inner = event
        while isinstance(inner, dict | list) and inner and draw(st.booleans()):
            key = draw(st.sampled_from(sorted(inner))) if isinstance(inner, dict) else 0
            if draw(st.booleans()) or not isinstance(inner[key], dict | list):
                inner[key] = draw(_VALUES)
                break
            inner = inner[key]
    text = json.dumps([event, trade()] if draw(st.booleans()) else event).encode()
    cut = draw(st.integers(0, len(text)))
    noise = draw(st.binary(max_size=3))
    return text if draw(st.booleans()) else text[:cut] + noise + text[cut + len(noise) :]


@given(st.lists(bent() | st.binary(max_size=30), max_size=4), st.booleans())
def test_no_frame_does_more_than_raise_a_parse_error(frames: list[bytes], verify: bool) -> None:
    books = ChannelBooks()
    books.apply(compact([book()]))
    for frame in frames:
        try:
            taken = books.apply(frame, verify=verify)
        except ParseError:
            continue
        assert all(each.index >= 1 and each.position >= 1 for each in taken)
    for held in books.books.values():
        assert json.loads(held.payload())["asset_id"] == held.token
