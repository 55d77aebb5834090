"""What the simulated venue sends of a round's life."""

from __future__ import annotations

import json

from marketarchive.items import Market, Resolution
from marketarchive.simulator.kalshi.lifecycle import OTHERS_EVERY_S
from marketarchive.times import SECOND
from marketarchive.venues.kalshi import socket
from marketarchive.venues.kalshi.lifecycle import LIFECYCLE
from marketarchive.venues.kalshi.parse import parse
from marketarchive.venues.kalshi.tickers import ROUND_S
from marketarchive.venues.messages import Received
from tests.simulator.kalshi.requesting import AT, venue


def test_a_round_from_its_making_to_its_payment() -> None:
    made = venue().rounds.make("KXBTC15M", AT // ROUND_S * ROUND_S)
    session = venue().session()
    [text] = socket.subscribe([LIFECYCLE])
    [ack] = session.received(text, (made.created - 5) * SECOND).frames
    sid = json.loads(ack.payload)["msg"]["sid"]
    [listed] = session.received(socket.list_subscriptions(7), (made.created - 5) * SECOND).frames
    assert json.loads(listed.payload)["msg"] == [{"channel": LIFECYCLE, "sid": sid}]
    spans = [(made.created - 5, made.created + 5), (made.start - 5, made.end + 20)]
    frames = [frame for first, last in spans for frame in session.due(first * SECOND, last * SECOND)]
    documents = [json.loads(frame.payload) for frame in frames]
    assert [each["seq"] for each in documents] == list(range(1, len(documents) + 1))
    events = [each["msg"]["event_type"] for each in documents if each["msg"]["market_ticker"] == made.ticker]
    assert events == ["created", "metadata_updated", "determined", "settled"]
    items = []
    for frame in frames:
        received = Received("kalshi", "stream", "", {}, None, 0, frame.payload, frame.ns, 1, "c1")
        items += [item for item in parse(received).items if item.market_id == made.ticker]
    created, strike, result = items
    assert isinstance(created, Market)
    assert created.end_at is not None
    assert created.end_at.timestamp() == made.end
    assert isinstance(strike, Market)
    assert strike.strike == made.strike
    assert isinstance(result, Resolution)
    assert result.resolution == made.result


def test_other_markets_are_spoken_of_as_well() -> None:
    session = venue().session()
    for text in socket.subscribe([LIFECYCLE]):
        session.received(text, AT * SECOND)
    others = [
        frame
        for frame in session.due(AT * SECOND, (AT + 10 * OTHERS_EVERY_S) * SECOND)
        if b'"KXHIGHNY-' in frame.payload
    ]
    assert len(others) == 10
