from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ParseError
from marketarchive.venues.polymarket import rtds
from marketarchive.venues.polymarket.rtds import TOPICS, RtdsRefused, decode


def update(topic: str = "crypto_prices_twap_sixty", **changes: Any) -> dict[str, Any]:
    payload = {
        "symbol": "btc/usd",
        "timestamp": 1788600388000,
        "value": 79697.57531747443,
        "full_accuracy_value": "79697575317474428059648",
        "window_s": 60,
    } | changes
    payload = {name: value for name, value in payload.items() if value is not None}
    return {"topic": topic, "type": "update", "timestamp": 1788600389495, "payload": payload}


def points(document: Any) -> list[rtds.ReferencePoint]:
    return decode(json.dumps(document).encode())


def test_whole_topics_are_subscribed_to() -> None:
    assert json.loads(rtds.subscribe(["crypto_prices", "crypto_prices_chainlink"])) == {
        "action": "subscribe",
        "subscriptions": [
            {"topic": "crypto_prices", "type": "update"},
            {"topic": "crypto_prices_chainlink", "type": "update"},
        ],
    }


@pytest.mark.parametrize("topic", TOPICS)
def test_a_point_of_each_topic(topic: str) -> None:
    is_plain = topic == "crypto_prices"
    sent = update(topic, full_accuracy_value="79697.57531747") if is_plain else update(topic)
    (point,) = points(sent)
    assert point.value == Decimal("79697.57531747" if is_plain else "79697.575317474428059648")
    assert (point.topic, point.symbol, point.asset, point.index) == (topic, "btc/usd", "BTC", 1)
    assert (point.observed_ms, point.published_ms) == (1788600388000, 1788600389495)
    assert not point.is_backfill


def test_where_the_exact_value_is_not_sent_the_literal_is_kept() -> None:
    frame = json.dumps(update(full_accuracy_value=None)).replace(
        "79697.57531747443", "0.1000000000000000055511"
    )
    (point,) = decode(frame.encode())
    assert str(point.value) == "0.1000000000000000055511"


def test_a_backfill_has_its_points_in_order() -> None:
    data = [{"timestamp": 1788600329000 + n * 1000, "value": 79696 + n} for n in range(3)]
    sent = {
        "topic": "crypto_prices_twap_thirty",
        "type": "subscribe",
        "timestamp": 1788600388753,
        "payload": {"symbol": "eth/usd", "data": data},
    }
    found = points(sent)
    assert [point.index for point in found] == [1, 2, 3]
    assert [point.value for point in found] == [79696, 79697, 79698]
    assert {(point.asset, point.window_s, point.is_backfill) for point in found} == {("ETH", 30, True)}


@pytest.mark.parametrize("payload", [b"", b"PONG", json.dumps(update("equity_prices")).encode()])
def test_frames_without_points(payload: bytes) -> None:
    assert decode(payload) == []


@pytest.mark.parametrize(
    "document",
    [
        {"body": {"message": "topic: x not found"}, "statusCode": 401},
        {"message": "topic: x not found", "connectionId": "a", "requestId": "b"},
    ],
)
def test_a_refusal_says_what_the_venue_says(document: dict[str, Any]) -> None:
    with pytest.raises(RtdsRefused, match="topic: x not found"):
        points(document)


@pytest.mark.parametrize(
    "document",
    [
        update(symbol=5),
        update(timestamp=None),
        update(timestamp="1"),
        update(value=None, full_accuracy_value=None),
        update(value=-1),
        update(value="NaN", full_accuracy_value=None),
        update(full_accuracy_value="7.9e4"),
        update(full_accuracy_value="79697575317"),  # another scale than the one that is known
        {"topic": "crypto_prices", "timestamp": 1},
        {"op": "pong"},
        [],
        5,
    ],
)
def test_what_is_no_point_is_refused(document: Any) -> None:
    with pytest.raises(ParseError):
        points(document)


@given(st.integers(10**15, 10**25), st.sampled_from(["crypto_prices_chainlink", "crypto_prices_twap_sixty"]))
def test_no_digit_is_lost(e18: int, topic: str) -> None:
    (point,) = points(update(topic, full_accuracy_value=str(e18), value=e18 / 10**18))
    assert point.value.scaleb(18) == e18


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["topic", "type", "timestamp", "payload", "symbol", "value", "data", "message"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(_JSON.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=40))
def test_no_frame_does_more_than_raise_a_parse_error(payload: bytes) -> None:
    try:
        decode(payload)
    except ParseError:
        return


def test_deep_nesting_is_counted_not_tried() -> None:
    with pytest.raises(ParseError, match="nested"):
        decode(b'{"payload":' + b"[" * 100_000)
