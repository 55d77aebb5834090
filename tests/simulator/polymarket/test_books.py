from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.simulator.polymarket.books import SimBooks
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.venues.polymarket.clob import ClobBook, parse_book, verify_book
from tests.simulator.requesting import SECONDS, venue


def book(market: SimMarket, side: int, second: int) -> ClobBook:
    return parse_book(venue().books.body(market, side, second))


def open_markets() -> list[SimMarket]:
    return [market for market in venue().world.listed(SECONDS) if not market.is_closed(SECONDS)]


def one_live_round() -> SimMarket:
    return next(
        market
        for market in open_markets()
        if market.duration == "5m" and market.start and market.start <= SECONDS < market.end
    )


def test_every_book_proves_its_hash_and_belongs_where_it_says() -> None:
    for market in open_markets()[::5]:
        for side, token in enumerate(market.tokens):
            found = book(market, side, SECONDS)
            assert verify_book(found) == ("ok", "2025-12")
            assert found.is_sorted
            assert (found.market, found.token) == (market.condition_id, token)
            assert found.timestamp_ms <= SECONDS * 1000
            assert found.neg_risk == market.neg_risk


def test_the_second_token_mirrors_the_first() -> None:
    for market in open_markets()[::50]:
        up, down = book(market, 0, SECONDS), book(market, 1, SECONDS)
        assert [(1 - Decimal(level.price), level.size) for level in up.asks] == [
            (Decimal(level.price), level.size) for level in down.bids
        ]
        assert [(1 - Decimal(level.price), level.size) for level in up.bids] == [
            (Decimal(level.price), level.size) for level in down.asks
        ]
        assert up.last_trade_price == down.last_trade_price
        assert (up.timestamp_ms, up.tick_size) == (down.timestamp_ms, down.tick_size)


def test_books_have_the_size_of_real_ones() -> None:
    sizes = [len(venue().books.body(market, 0, SECONDS)) for market in open_markets()]
    assert min(sizes) > 1500
    assert max(sizes) < 6000
    early = book(open_markets()[-1], 0, SECONDS)
    assert 20 <= len(early.bids) <= 60
    assert early.last_trade_price == ""  # nobody has traded a round of tomorrow


def test_bytes_change_exactly_when_the_time_of_change_does() -> None:
    market = one_live_round()
    seconds = range((market.start or 0) - 120, market.end + 15)
    bodies = [venue().books.body(market, 0, second) for second in seconds]
    stamps = [parse_book(body).timestamp_ms for body in bodies]
    assert stamps == sorted(stamps)
    for before, after, earlier, later in zip(bodies, bodies[1:], stamps, stamps[1:], strict=False):
        assert (before == after) == (earlier == later)
    assert 200 < len(set(bodies)) < len(bodies)  # about once a second, with quiet seconds
    quiet = open_markets()[-1]
    assert len({venue().books.body(quiet, 0, second) for second in range(SECONDS, SECONDS + 300)}) in (5, 6)


def test_only_a_part_of_the_levels_changes() -> None:
    market = one_live_round()
    start = (market.start or 0) + 60
    kept = []
    for second in range(start, start + 30):
        before, after = book(market, 0, second), book(market, 0, second + 1)
        kept.append(len(set(before.bids) & set(after.bids)) / len(before.bids))
    assert 0.1 < sum(kept) / len(kept) < 1


def test_any_second_can_be_asked_first() -> None:
    market = one_live_round()
    late = venue().books.body(market, 1, market.end)
    venue().books.body(market, 1, market.start or 0)
    assert venue().books.body(market, 1, market.end) == late
    assert msgspec.json.decode(late)["asset_id"] == market.tokens[1]


# --- between whole seconds -------------------------------------------------------------------------------


@given(st.booleans(), st.integers(0, 300), st.lists(st.integers(-20_000, 320_000), min_size=1, max_size=4))
def test_a_millisecond_asked_for_alone_is_the_one_reached_in_order(
    is_live: bool, place: int, offsets: list[int]
) -> None:
    """What was asked before, of this or another time, changes no byte."""
    rounds = [market for market in open_markets() if market.kind == "round"]
    live = [market for market in rounds if market.start is not None and market.start <= SECONDS]
    market = live[place % len(live)] if is_live else rounds[place]
    moments = [SECONDS * 1000 + offset for offset in offsets]
    if market.closed_at is not None:
        moments = [min(ms, market.closed_at * 1000 - 1) for ms in moments]
    world = venue().world
    request = SimBooks(world)
    for second in range(moments[0] // 1000 - 20, moments[0] // 1000):
        request.steps(market, second)
    bodies = {ms: request.body_at(market, side, ms) for ms in moments for side in (1, 0)}
    for ms in moments:
        assert SimBooks(world).body_at(market, 0, ms) == bodies[ms]


@pytest.mark.process  # works for seconds
@pytest.mark.no_cover
def test_steps_lead_from_second_to_second_one_level_at_a_time() -> None:
    market, books = one_live_round(), SimBooks(venue().world)
    start = market.start or 0
    kinds, in_a_second = set(), []
    before = parse_book(books.body(market, 0, start))
    for second in range(start, market.end):
        steps = books.steps(market, second)
        in_a_second.append(len(steps))
        assert len({step.ms for step in steps}) == len(steps)
        for step in steps:
            kinds.add(step.kind)
            assert second * 1000 < step.ms <= second * 1000 + 1000
            after = parse_book(SimBooks(books.world).body_at(market, 0, step.ms))
            assert (after.timestamp_ms, after.hash) == (step.ms, step.hashes[0])
            assert verify_book(after) == ("ok", "2025-12")
            earlier = books.body_at(market, 0, step.ms - 1)
            assert parse_book(earlier).hash == before.hash
            if step.kind != "retick":
                changed = set(before.bids + before.asks) ^ set(after.bids + after.asks)
                assert len({level.price for level in changed}) <= 1
            before = after
        assert books.body(market, 0, second + 1) == books.body_at(market, 0, second * 1000 + 1000)
    assert {"change", "trade"} <= kinds
    assert 4 <= sum(in_a_second) / len(in_a_second) <= 12


def test_a_quiet_book_changes_rarely() -> None:
    books, quiet = SimBooks(venue().world), open_markets()[-1]
    steps = [step for second in range(SECONDS, SECONDS + 600) for step in books.steps(quiet, second)]
    assert 10 <= len(steps) <= 100


@pytest.mark.no_cover
def test_the_tick_turns_fine_at_once() -> None:
    books = SimBooks(venue().world)
    turned = 0
    for market in books.world.rounds_between(SECONDS - 1200, SECONDS):
        if market.duration != "5m" or market.start is None:
            continue
        for second in range(market.start, market.end):
            for step in books.steps(market, second):
                if step.kind != "retick":
                    assert step.before.ticks == step.top.ticks
                    continue
                turned += 1
                assert (step.before.ticks, step.top.ticks) == (100, 1000)
                earlier = parse_book(books.body_at(market, 0, step.ms - 1))
                later = parse_book(books.body_at(market, 0, step.ms))
                assert (earlier.tick_size, later.tick_size) == ("0.01", "0.001")
                assert verify_book(later)[0] == "ok"
    assert turned > 3
