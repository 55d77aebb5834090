"""One connection's subscriptions, without a network."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from marketarchive.simulator.polymarket.market_session import SimMarketSession
from marketarchive.simulator.sockets import ABNORMAL, Frame
from marketarchive.times import SECOND
from marketarchive.venues.polymarket import market_channel
from tests.simulator.polymarket.frames import live_round
from tests.simulator.requesting import NOW, SECONDS, closed_rounds, live_tokens, venue


def opened(now_ns: int = NOW) -> SimMarketSession:
    return SimMarketSession(venue().market_channel, now_ns)


def plain(tokens: Iterable[str], **more: Any) -> str:
    return json.dumps({"type": "market", "assets_ids": list(tokens), **more})


def kinds(frames: Iterable[Frame]) -> set[str]:
    return {frame.kind for frame in frames}


def test_both_tokens_of_a_market_come_together() -> None:
    session, market = opened(), live_round()
    told = session.received(plain(market.tokens[:1]), NOW)
    (first,) = told.frames
    assert told.event == "subscribed"
    assert [book["asset_id"] for book in json.loads(first.payload)] == list(market.tokens)
    due = session.due(NOW, NOW + 20 * SECOND)
    assert {frame.markets for frame in due} == {(market.slug,)}
    assert kinds(due) == {"price_change", "last_trade_price", "book"}


def test_unknown_and_closed_tokens_are_answered_by_an_empty_array() -> None:
    session = opened()
    told = session.received(plain(["5", *closed_rounds(1)[0].tokens]), NOW)
    assert [frame.payload for frame in told.frames] == [b"[]"]
    assert session.due(NOW, NOW + 20 * SECOND) == []
    assert session.end(NOW + 20 * SECOND) is None


def test_a_market_goes_when_both_its_tokens_are_unsubscribed() -> None:
    session, market = opened(), live_round()
    session.received(market_channel.subscribe(market.tokens), NOW)
    session.received(market_channel.unsubscribe(market.tokens[:1]), NOW)
    assert session.due(NOW, NOW + 5 * SECOND) != []
    assert session.received(market_channel.unsubscribe(market.tokens[1:]), NOW).event == "unsubscribed"
    assert kinds(session.due(NOW, NOW + 60 * SECOND)) <= {"new_market", "market_resolved"}


def test_later_tokens_get_their_own_first_books() -> None:
    session, tokens = opened(), live_tokens(6)
    session.received(market_channel.subscribe(tokens[:2]), NOW)
    (first,) = session.received(market_channel.subscribe_more(tokens[2:]), NOW + SECOND).frames
    assert [book["asset_id"] for book in json.loads(first.payload)] == tokens[2:]
    assert len({frame.markets for frame in session.due(NOW + SECOND, NOW + 9 * SECOND)}) >= 3


def test_the_custom_feature_and_how_naming_a_token_twice_turns_it_off() -> None:
    session, market = opened(), live_round()
    session.received(market_channel.subscribe(market.tokens), NOW)
    until = NOW + 60 * SECOND
    assert "best_bid_ask" in kinds(session.due(NOW, until))
    session.received(market_channel.subscribe_more(market.tokens[:1]), NOW)
    assert "best_bid_ask" not in kinds(session.due(NOW, until))


def test_past_500_tokens_there_are_no_first_books() -> None:
    listed = [market for market in venue().world.listed(SECONDS) if not market.is_closed(SECONDS)]
    tokens = [token for market in listed for token in market.tokens]
    session = opened()
    assert len(session.received(plain(tokens[:500]), NOW).frames) == 1
    assert session.received(plain(tokens[500:502]), NOW).frames == []
    assert session.due(NOW, NOW + 10 * SECOND) != []
    assert opened().received(plain(tokens[:2], initial_dump=False), NOW).frames == []


def test_heartbeats_keep_a_connection_open() -> None:
    session = opened()
    assert [frame.payload for frame in session.received("PING", NOW + 50 * SECOND).frames] == [b"PONG"]
    assert session.end(NOW + 110 * SECOND) is None
    assert session.end(NOW + 111 * SECOND) == (ABNORMAL, "no PING")


def test_the_venue_closes_when_every_market_has_settled() -> None:
    first, second = live_round(), live_round("5m", "ETH")
    session = opened()
    session.received(market_channel.subscribe([*first.tokens, *second.tokens]), NOW)
    assert first.closed_at is not None
    assert second.closed_at is not None
    last = max(first.closed_at, second.closed_at)
    session.received("PING", last * SECOND)
    due = session.due(NOW, (last + 1) * SECOND)
    resolved = {frame.markets[0] for frame in due if frame.kind == "market_resolved"}
    assert {first.slug, second.slug} <= resolved
    assert session.end(last * SECOND) is None
    assert session.end((last + 1) * SECOND) == (1000, "all subscribed assets resolved")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"x"', "[" * 100_000, '{"type":"user"}', '{"operation":"dance"}']
)
def test_what_is_not_understood_is_not_answered(text: str) -> None:
    told = opened().received(text, NOW)
    assert (told.event, list(told.frames)) == ("", [])
