from __future__ import annotations

from decimal import Decimal

import msgspec

from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.venues.polymarket import Book, parse_book, verify_book
from tests.simulator.asking import SECONDS, venue


def book(market: SimMarket, side: int, second: int) -> Book:
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
