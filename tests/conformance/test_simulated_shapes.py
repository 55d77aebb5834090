"""What the simulated sockets send has the keys and the kinds of values of what was recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from marketarchive.simulator.polymarket.books import SimBooks
from marketarchive.simulator.polymarket.market_channel import MarketChannel, frames, global_frames
from marketarchive.simulator.polymarket.rtds import TOPICS, SimRtdsSession
from marketarchive.times import SECOND
from marketarchive.venues.polymarket import rtds
from tests.simulator.polymarket.frames import live_round
from tests.simulator.requesting import DATA, NOW, SECONDS, fetch, json_of, venue

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "polymarket"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the recordings are not at {SAMPLES}")

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?").fullmatch


def shape(value: Any, *, in_order: bool = True) -> Any:
    """Keys (in their order) and kinds of values; a list has the shapes of its elements, each once."""
    if isinstance(value, dict):
        pairs = [(key, shape(each, in_order=in_order)) for key, each in value.items()]
        return tuple(pairs if in_order else sorted(pairs, key=lambda pair: pair[0]))
    if isinstance(value, list):
        return frozenset(shape(each, in_order=in_order) for each in value)
    if isinstance(value, str):
        return "number as text" if _NUMBER(value) else "text"
    return type(value).__name__


def lines(name: str) -> list[Any]:
    return [json.loads(line) for line in (SAMPLES / name).read_text().splitlines()]


def simulated(kind: str) -> list[Any]:
    books, market = SimBooks(venue().world), live_round(asset="XRP")  # its tick turns fine
    start, end = (market.start or 0) * SECOND, (market.end + 60) * SECOND
    own = frames(books, market, start, end)
    found = [json.loads(payload) for _, payload in (*own, *global_frames(books, start, end))]
    return [event for event in found if event["event_type"] == kind]


def recorded(kind: str) -> Any:
    return next(
        line["frame"]
        for line in lines("ws_market_frames_live_2026.jsonl")
        if isinstance(line["frame"], dict) and line["frame"]["event_type"] == kind
    )


@pytest.mark.parametrize("kind", ["last_trade_price", "best_bid_ask", "price_change", "new_market"])
def test_events_of_the_market_channel(kind: str) -> None:
    expected = recorded(kind)
    for event in simulated(kind):
        assert list(event) == list(expected)
        assert [type(value) for value in event.values()] == [type(value) for value in expected.values()]
    if kind == "price_change":
        (legs,) = {tuple(leg) for event in simulated(kind) for leg in event["price_changes"]}
        assert legs == tuple(expected["price_changes"][0])
    if kind == "new_market":
        fee = simulated(kind)[0]["fee_schedule"]
        assert shape(fee) == shape(expected["fee_schedule"])


@pytest.mark.parametrize("kind", ["market_resolved", "tick_size_change"])
def test_events_that_only_the_documents_show(kind: str) -> None:
    found = simulated(kind)
    assert found
    for event in found:
        assert set(event) == set(recorded(kind))


def test_first_books_and_refreshes() -> None:
    market = live_round()
    [expected] = [
        line["frame"]
        for line in lines("ws_market_frames_live_2026.jsonl")
        if isinstance(line["frame"], list) and line["frame"]
    ]
    first = json.loads(MarketChannel(SimBooks(venue().world)).first([market], NOW).payload)
    assert [list(book) for book in first] == [list(book) for book in expected]
    assert shape(first[0]) == shape(expected[0])
    [refresh] = [
        line
        for line in lines("ws_market_session_2025-12-23.jsonl")
        if isinstance(line, dict) and line["event_type"] == "book"
    ]
    for book in simulated("book"):
        assert list(book) == list(refresh)


def _kinds(documents: Iterable[Any]) -> set[Any]:
    return {shape(document) for document in documents}


def test_reference_prices() -> None:
    session = SimRtdsSession(venue().rtds, 1, NOW)
    told = session.received(rtds.subscribe(TOPICS), NOW)
    ours = [json.loads(frame.payload) for frame in (*told.frames, *session.due(NOW, NOW + 3 * SECOND))]
    by_topic: dict[tuple[str, str], set[Any]] = {}
    for document in ours:
        by_topic.setdefault((document["topic"], document["type"]), set()).add(shape(document))
    compared = 0
    for document in lines("rtds_frames_2026-09-05.jsonl") + lines("rtds_twap_frames_2026-08.jsonl"):
        if "topic" not in document:
            continue
        compared += 1
        assert by_topic[document["topic"], document["type"]] == {shape(document)}
    assert compared >= 8


def test_a_topic_that_is_not_there() -> None:
    expected = next(line for line in lines("rtds_frames_2026-09-05.jsonl") if "statusCode" in line)
    session = SimRtdsSession(venue().rtds, 1, NOW)
    told = session.received(rtds.subscribe(["definitely_not_a_topic"]), NOW)
    assert [json.loads(frame.payload) for frame in told.frames] == [expected]


def test_rows_of_the_first_version_of_trades() -> None:
    [expected] = json.loads((SAMPLES / "data_api_v1_trades_row_2026-08.json").read_text())
    rows = json_of(fetch(DATA, "/trades", {"limit": "5"}, at=SECONDS))
    for row in rows:
        assert set(expected) <= set(row)
        assert {type(row[key]) for key in ("size", "price")} <= {float, int}
        assert type(row["timestamp"]) is type(expected["timestamp"])
