from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.simulator.polymarket.books import SimBooks
from marketarchive.simulator.polymarket.market_channel import MarketChannel, frames, global_frames
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.times import SECOND
from marketarchive.venues.polymarket.clob import parse_book
from marketarchive.venues.polymarket.live_books import ChannelBooks
from tests.properties import examples
from tests.simulator.polymarket.frames import Reader, live_round
from tests.simulator.requesting import CLOB, DATA, SECONDS, fetch, json_of, venue

MS = SECOND // 1000


def first(market: SimMarket, ms: int) -> bytes:
    return MarketChannel(SimBooks(venue().world)).first([market], ms * MS).payload


def all_frames(market: SimMarket, start: int, end: int, *, custom: bool = True) -> list[tuple[int, bytes]]:
    return list(frames(SimBooks(venue().world), market, start * SECOND, end * SECOND, custom=custom))


def events(market: SimMarket, kind: str, start: int, end: int) -> list[dict[str, Any]]:
    found = [json.loads(payload) for _, payload in all_frames(market, start, end)]
    return [event for event in found if event["event_type"] == kind]


def test_a_whole_round_proves_every_hash_to_its_end() -> None:
    market = live_round()
    assert market.start is not None
    assert market.closed_at is not None
    start = market.start - 90
    reader = Reader()
    reader.read(first(market, start * 1000))
    stamps = []
    for ns, payload in all_frames(market, start, market.closed_at + 10):
        for event in reader.read(payload):
            assert int(event["timestamp"]) * MS == ns
        stamps.append(ns)
    assert stamps == sorted(stamps)
    assert stamps[-1] < market.closed_at * SECOND
    assert set(reader.verdicts) == {"ok"}
    assert reader.verdicts["ok"] > 4000
    assert set(reader.kinds) >= {"book", "price_change", "last_trade_price", "best_bid_ask"}


def test_the_venue_code_proves_every_frame_of_a_round_whose_tick_turns() -> None:
    market = live_round(asset="XRP")
    assert market.start is not None
    assert market.closed_at is not None
    books = ChannelBooks()
    verdicts: Counter[tuple[str, str]] = Counter()
    told = [payload for _, payload in all_frames(market, market.start, market.closed_at)]
    for payload in (first(market, market.start * 1000), *told):
        for taken in books.apply(payload):
            assert not taken.is_stale
            verdicts[type(taken.event).__name__, taken.verdict] += 1
    assert verdicts.pop(("PriceChanges", "ok")) > 3000
    assert verdicts.pop(("BookEvent", "ok")) > 80
    assert verdicts.pop(("TickSizeChange", "not_available")) == 2
    assert set(verdicts) == {("LastTrade", "not_available"), ("BestBidAsk", "not_available")}


@examples(40)
@given(
    st.sampled_from([("5m", "BTC"), ("15m", "ETH"), ("1d", "SOL")]),
    st.integers(0, 60_000),
    st.lists(st.integers(0, 12_000), min_size=1, max_size=8),
)
def test_at_any_moment_the_stream_says_what_the_book_endpoint_says(
    which: tuple[str, str], begin: int, moments: list[int]
) -> None:
    market = live_round(*which)
    begin += SECONDS * 1000
    reader = Reader()
    reader.read(first(market, begin))
    stream = frames(SimBooks(venue().world), market, begin * MS, (begin + 12_001) * MS)
    upcoming = next(stream, None)
    for ms in sorted(begin + moment for moment in moments):
        while upcoming is not None and upcoming[0] <= ms * MS:
            reader.read(upcoming[1])
            upcoming = next(stream, None)
        for side, token in enumerate(market.tokens):
            request = parse_book(venue().books.body_at(market, side, ms))
            told = reader.books[token]
            assert (told.hash, told.timestamp_ms) == (request.hash, request.timestamp_ms)
            assert (told.bids, told.asks) == (request.bids, request.asks)
    assert set(reader.verdicts) == {"ok"}


def test_frames_depend_on_the_market_and_the_time_only() -> None:
    market = live_round()
    whole = all_frames(market, SECONDS, SECONDS + 30)
    parts = [
        each for second in range(30) for each in all_frames(market, SECONDS + second, SECONDS + second + 1)
    ]
    later = all_frames(market, SECONDS + 20, SECONDS + 30)
    assert parts == whole
    assert later == whole[-len(later) :]
    cut = whole[7][0]
    books = SimBooks(venue().world)
    assert list(frames(books, market, cut, whole[20][0])) == [
        each for each in whole if cut < each[0] <= whole[20][0]
    ]


def test_a_live_round_has_a_handful_of_changes_a_second_and_a_quiet_one_few() -> None:
    live = events(live_round(), "price_change", SECONDS - 60, SECONDS + 60)
    assert 4 <= len(live) / 120 <= 14
    quiet = venue().world.listed(SECONDS)[-1]
    assert 1 <= len(all_frames(quiet, SECONDS, SECONDS + 120)) <= 60


def test_trades_are_those_of_the_data_api_and_both_books_follow() -> None:
    market = live_round()
    found = [(ns, json.loads(payload)) for ns, payload in all_frames(market, SECONDS - 60, SECONDS + 60)]
    trades = {}
    for place, (ns, event) in enumerate(found):
        if event["event_type"] != "last_trade_price":
            continue
        trades[event["transaction_hash"]] = event
        books = [other for at, other in found[place + 1 : place + 3] if at == ns]
        assert [book["event_type"] for book in books] == ["book", "book"]
        assert [book["asset_id"] for book in books] == list(market.tokens)
        assert {"tick_size", "last_trade_price", "min_order_size", "neg_risk"}.isdisjoint(books[0])
    rows = json_of(fetch(DATA, "/v2/trades", {"condition": market.condition_id}, at=SECONDS + 61))["data"]
    listed = {row["transaction_hash"]: row for row in rows if row["timestamp"] >= SECONDS - 60}
    listed = {key: row for key, row in listed.items() if row["timestamp"] < SECONDS + 60}
    assert len(trades) == len(listed) >= 15
    for key, event in trades.items():
        row = listed[key]
        assert (event["asset_id"], event["side"]) == (row["token_id"], row["side"])
        assert float(event["price"]) == row["price"]
        assert float(event["size"]) == row["size"]
        assert int(event["timestamp"]) // 1000 == row["timestamp"]
        assert event["fee_rate_bps"] == "0"
        (book,) = json.loads(
            fetch(
                CLOB,
                "/books",
                body=json.dumps([{"token_id": market.tokens[0]}]).encode(),
                at=row["timestamp"] + 1,
            ).body
        )
        up = row["price"] if row["outcome_index"] == 0 else 1 - row["price"]
        assert float(book["last_trade_price"]) == round(up, 3)


def test_the_first_books_and_the_refreshes_have_the_recorded_keys() -> None:
    market = live_round()
    books = json.loads(first(market, SECONDS * 1000))
    common = ["market", "asset_id", "timestamp", "hash", "bids", "asks"]
    assert [list(book) for book in books] == [[*common, "tick_size", "event_type", "last_trade_price"]] * 2
    assert [book["asset_id"] for book in books] == list(market.tokens)
    refresh = events(market, "book", SECONDS, SECONDS + 15)[0]
    assert list(refresh) == ["market", "asset_id", "bids", "asks", "hash", "timestamp", "event_type"]
    assert b", " not in first(market, SECONDS * 1000)


@pytest.mark.process
@pytest.mark.no_cover
def test_a_finer_tick_is_told_of_and_followed_by_whole_books() -> None:
    turned = 0
    for market in venue().world.rounds_between(SECONDS - 1200, SECONDS):
        if market.duration != "5m" or market.start is None:
            continue
        found = [(ns, json.loads(payload)) for ns, payload in all_frames(market, market.start, market.end)]
        at = {ns for ns, event in found if event["event_type"] == "tick_size_change"}
        for when in at:
            turned += 1
            together = [event for ns, event in found if ns == when]
            kinds = [event["event_type"] for event in together]
            assert kinds[:4] == ["tick_size_change", "tick_size_change", "book", "book"]
            assert [event["asset_id"] for event in together[:2]] == list(market.tokens)
            assert together[0]["old_tick_size"] == "0.01"
            assert together[0]["new_tick_size"] == "0.001"
            reader = Reader()
            reader.read(first(market, when // MS - 3000))
            for _, payload in frames(SimBooks(venue().world), market, when - 3000 * MS, when + 3000 * MS):
                reader.read(payload)
            assert set(reader.verdicts) == {"ok"}
    assert turned > 2


def test_the_custom_feature_tells_of_each_new_best_price() -> None:
    market = live_round()
    plain = all_frames(market, SECONDS, SECONDS + 60, custom=False)
    custom = all_frames(market, SECONDS, SECONDS + 60)
    extra = [json.loads(payload) for ns, payload in custom if (ns, payload) not in plain]
    assert {event["event_type"] for event in extra} == {"best_bid_ask"}
    told: dict[str, tuple[str, str]] = {}
    for _, payload in custom:
        event = json.loads(payload)
        if event["event_type"] == "price_change":
            last = {leg["asset_id"]: (leg["best_bid"], leg["best_ask"]) for leg in event["price_changes"]}
        if event["event_type"] == "best_bid_ask":
            token = event["asset_id"]
            now = event["best_bid"], event["best_ask"]
            assert now == last[token]
            assert now != told.get(token)
            assert float(event["spread"]) == round(float(now[1]) - float(now[0]), 3)
            told[token] = now
    assert set(told) == set(market.tokens)


def test_new_and_resolved_markets_are_told_to_all_once() -> None:
    start, end = SECONDS - 900, SECONDS + 900
    found: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for ns, payload in global_frames(SimBooks(venue().world), start * SECOND, end * SECOND):
        event = json.loads(payload)
        found[event["event_type"]].append((ns, event))
    world = venue().world
    known = {market.condition_id: market for market in world.listed(end)}
    listed = [market for market in known.values() if start <= market.listed_at < end]
    closed = [market for market in known.values() if market.closed_at and start <= market.closed_at < end]
    assert {event["market"] for _, event in found["new_market"]} == {m.condition_id for m in listed}
    assert {event["market"] for _, event in found["market_resolved"]} == {m.condition_id for m in closed}
    assert len(found["new_market"]) == len(listed) > 20
    for ns, event in found["market_resolved"]:
        market = known[event["market"]]
        assert market.closed_at is not None
        assert 0 < ns / SECOND - market.closed_at < 1
        won = (world.payouts(market) or ()).index("1")
        assert event["winning_asset_id"] == market.tokens[won]
        assert event["winning_outcome"] == ("Up", "Down")[won]
    for ns, event in found["new_market"]:
        market = known[event["market"]]
        assert 0 < ns / SECOND - market.listed_at < 1
        assert event["clob_token_ids"] == event["assets_ids"] == list(market.tokens)
        assert event["slug"] == market.slug
