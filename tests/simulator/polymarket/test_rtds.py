from __future__ import annotations

import json
from typing import Any

import pytest

from marketarchive.simulator.polymarket.rtds import TOPICS, Rtds, SimRtdsSession, connection_id, frames
from marketarchive.simulator.prices import ASSETS, E18
from marketarchive.times import SECOND
from marketarchive.venues.polymarket import rtds
from marketarchive.venues.polymarket.rtds import ReferencePoint, decode
from tests.simulator.requesting import NOW, SECONDS, venue

SPOT, THIRTY, SIXTY = "crypto_prices_chainlink", "crypto_prices_twap_thirty", "crypto_prices_twap_sixty"


def opened() -> SimRtdsSession:
    return SimRtdsSession(venue().rtds, 1, NOW)


def points(topic: str, seconds: int = 30) -> list[ReferencePoint]:
    name = connection_id(1, 1)
    found = frames(Rtds(1, venue().world.prices), [topic], NOW, NOW + seconds * SECOND, name)
    return [point for _, payload in found for point in decode(payload)]


def exact(point: ReferencePoint) -> int:
    return int(point.value * E18)


@pytest.mark.parametrize("topic", TOPICS)
def test_each_symbol_has_one_point_a_second_with_the_recorded_lag(topic: str) -> None:
    low, high = (120, 240) if topic == "crypto_prices" else (1250, 1450)
    found = points(topic)
    for asset in ASSETS:
        mine = [point for point in found if point.asset == asset]
        observed = [point.observed_ms for point in mine]
        assert len(mine) in (29, 30)
        assert observed == list(range(observed[0], observed[0] + 1000 * len(mine), 1000))
        assert all(low <= point.published_ms - point.observed_ms <= high for point in mine)
        assert not any(point.is_backfill for point in mine)


def test_values_are_the_worlds_prices() -> None:
    prices = venue().world.prices
    for point in points(SPOT):
        assert exact(point) == prices.spot(point.asset, point.observed_ms // 1000)
    for topic, window in ((THIRTY, 30), (SIXTY, 60)):
        for point in points(topic):
            assert exact(point) == prices.twap(point.asset, point.observed_ms // 1000, window)
            assert point.window_s == window
    for point in points("crypto_prices"):
        assert exact(point) == prices.exchange(point.asset, point.observed_ms // 1000)
        assert 0 < abs(exact(point) / prices.spot(point.asset, point.observed_ms // 1000) - 1) < 0.002


def test_a_round_settles_on_what_was_published() -> None:
    """The strike and the settlement of the catalogue are points of the topic that its rule names."""
    market = next(
        each
        for each in venue().world.listed(SECONDS)
        if each.asset == "BTC" and each.duration == "5m" and each.start and each.start <= SECONDS < each.end
    )
    name = connection_id(1, 1)
    start, end = ((market.start or 0) - 1) * SECOND, (market.end + 3) * SECOND
    found = frames(venue().rtds, [SIXTY], start, end, name)
    values = {
        point.observed_ms // 1000: exact(point)
        for _, payload in found
        for point in decode(payload)
        if point.asset == "BTC"
    }
    assert market.twap_s == 60
    assert values[market.start or 0] == venue().world.strike(market)
    assert values[market.end] == venue().world.settlement(market)


def test_a_subscription_is_answered_by_what_came_before() -> None:
    session = opened()
    told = session.received(rtds.subscribe([SPOT, "crypto_prices", SIXTY]), NOW)
    assert told.event == "subscribed"
    assert len(told.frames) == 3 * len(ASSETS)
    for frame in told.frames:
        document = json.loads(frame.payload)
        assert "connection_id" not in document
        assert document["type"] == "subscribe"
        data = document["payload"]["data"]
        assert len(data) in ((119, 120) if frame.topic == "crypto_prices" else (58, 59))
        assert ("full_accuracy_value" in data[0]) == (frame.topic == SIXTY)
        read = decode(frame.payload)
        assert all(point.is_backfill and point.observed_ms <= NOW // 10**6 for point in read)
        first = next(
            each
            for each in session.due(NOW, NOW + 3 * SECOND)
            if each.symbol == frame.symbol and each.topic == frame.topic
        )
        (update,) = decode(first.payload)
        assert update.observed_ms == read[-1].observed_ms + 1000  # nothing twice, nothing left out


def test_updates_bear_the_connections_own_id() -> None:
    session = opened()
    session.received(rtds.subscribe(list(TOPICS)), NOW)
    due = session.due(NOW, NOW + 5 * SECOND)
    assert {json.loads(frame.payload)["connection_id"] for frame in due} == {session.name}
    assert [frame.ns for frame in due] == sorted(frame.ns for frame in due)
    assert len(due) == pytest.approx(5 * len(TOPICS) * len(ASSETS), abs=len(TOPICS) * len(ASSETS))
    assert session.received(json.dumps({"action": "unsubscribe", "subscriptions": [{"topic": SPOT}]}), NOW)
    assert SPOT not in {frame.topic for frame in session.due(NOW, NOW + 5 * SECOND)}


def refused(document: Any) -> dict[str, Any]:
    session = opened()
    told = session.received(document if isinstance(document, str) else json.dumps(document), NOW)
    assert told.event == "refused"
    (frame,) = told.frames
    assert session.due(NOW, NOW + 5 * SECOND) == []
    answer: dict[str, Any] = json.loads(frame.payload)
    return answer


def test_one_unknown_topic_costs_the_whole_message() -> None:
    wanted = [{"topic": SPOT, "type": "update"}, {"topic": "definitely_not_a_topic", "type": "update"}]
    answer = refused({"action": "subscribe", "subscriptions": wanted})
    assert answer["statusCode"] == 401
    assert answer["body"]["message"].count("topic: definitely_not_a_topic and type: update not found") == 3


@pytest.mark.parametrize(
    "document",
    [
        {"action": "subscribe", "subscriptions": [{"topic": "prices.crypto.chainlink", "type": "update"}]},
        {"action": "subscribe", "subscriptions": [{"topic": SPOT, "type": "update", "filters": "{}"}]},
        {"action": "subscribe", "subscriptions": []},
        {"action": "subscribe", "subscriptions": ["x"]},
        {"action": "dance"},
        "{",
    ],
)
def test_what_is_not_understood(document: Any) -> None:
    answer = refused(document)
    assert set(answer) == {"message", "connectionId", "requestId"}
    assert answer["message"] == "Invalid request body"


def test_without_heartbeats_it_falls_silent_for_good() -> None:
    session = opened()
    assert [frame.payload for frame in session.received("PING", NOW + 100 * SECOND).frames] == [b""]
    assert not session.is_deaf(NOW + 328 * SECOND)
    assert session.is_deaf(NOW + 329 * SECOND)
    session.received("PING", NOW + 329 * SECOND)
    assert session.is_deaf(NOW + 330 * SECOND)
    assert session.end(NOW + 900 * SECOND) is None
