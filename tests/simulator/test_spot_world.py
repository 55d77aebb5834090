"""Markets of simulated exchanges: each moment is a function of seed and time, and they fit together."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.simulator.spot_world import Levels, SpotWorld
from marketarchive.times import SECOND
from tests.properties import examples

ASSETS = {"BTC-USD": "BTC", "ETH-USD": "ETH", "SOL-USD": "SOL", "XRP-USD": "XRP"}
SECONDS = 1_795_255_300
WORLD = SpotWorld(3, "acme", ASSETS, 30)

_SYMBOLS = st.sampled_from(sorted(ASSETS))
_SECONDS = st.integers(SECONDS, SECONDS + 10**6)


def prices(levels: Levels) -> list[Decimal]:
    return [Decimal(price) for price, _ in levels]


@given(_SYMBOLS, _SECONDS)
@examples(40)
def test_no_book_is_ever_crossed_or_out_of_order(symbol: str, second: int) -> None:
    books = [WORLD.book(symbol, second * SECOND)]
    books += [(step.bids, step.asks) for step in WORLD.steps(symbol, second)]
    for bids, asks in books:
        assert prices(bids) == sorted(set(prices(bids)), reverse=True)
        assert prices(asks) == sorted(set(prices(asks)))
        assert prices(bids)[0] < prices(asks)[0]
        assert all(Decimal(size) > 0 for _, size in (*bids, *asks))


@given(_SYMBOLS, _SECONDS)
@examples(40)
def test_steps_lead_from_one_book_to_the_next(symbol: str, second: int) -> None:
    sides = dict(zip(("bid", "ask"), map(dict, WORLD.book(symbol, second * SECOND)), strict=True))
    for step in WORLD.steps(symbol, second):
        for side, price, size in step.changes:
            sides[side].pop(price, None)
            if size != "0":
                sides[side][price] = size
        assert (sides["bid"], sides["ask"]) == (dict(step.bids), dict(step.asks))
        assert (step.trade is None) == bool(step.changes)
        assert WORLD.book(symbol, step.ns) == (step.bids, step.asks)
    assert (sides["bid"], sides["ask"]) == tuple(map(dict, WORLD.book(symbol, (second + 1) * SECOND)))


@given(_SYMBOLS, _SECONDS)
@examples(40)
def test_steps_are_numbered_and_dated_upwards(symbol: str, second: int) -> None:
    steps = [*WORLD.steps(symbol, second), *WORLD.steps(symbol, second + 1)]
    assert all(before.number < after.number and before.ns <= after.ns for before, after in pairwise(steps))
    assert all(step.ns % 1000 == 0 and second * SECOND < step.ns < (second + 2) * SECOND for step in steps)
    assert [WORLD.newest(symbol, step.ns) for step in steps if step.trade is None][-1] <= steps[-1].number


@given(_SYMBOLS, _SECONDS, st.integers(1, 40))
@examples(40)
def test_trades_are_counted_without_a_hole(symbol: str, second: int, count: int) -> None:
    ns = second * SECOND + SECOND // 2
    trades = WORLD.trades_before(symbol, ns, count)
    numbers = [trade.number for _, trade in trades]
    assert len(trades) == count
    assert numbers == list(range(numbers[0], numbers[0] + count))
    assert all(before <= after <= ns for (before, _), (after, _) in pairwise([*trades, trades[-1]]))
    later = [step.trade for step in WORLD.steps(symbol, second) if step.trade is not None and step.ns > ns]
    assert [trade.number for trade in later] == [numbers[-1] + 1][: len(later)]


@pytest.mark.parametrize("symbol", sorted(ASSETS))
def test_a_trade_is_at_the_best_price_of_the_side_that_its_taker_meets(symbol: str) -> None:
    sides = set()
    for second in range(SECONDS, SECONDS + 100):
        bids, asks = WORLD.book(symbol, second * SECOND)
        for step in WORLD.steps(symbol, second):
            if step.trade is not None:
                sides.add(step.trade.side)
                assert step.trade.price == (asks if step.trade.side == "BUY" else bids)[0][0]
    assert sides == {"BUY", "SELL"}


def test_another_seed_or_venue_is_another_world_and_the_same_one_is_the_same() -> None:
    def book(seed: int, venue: str) -> tuple[Levels, Levels]:
        return SpotWorld(seed, venue, ASSETS, 30).book("BTC-USD", SECONDS * SECOND)

    assert book(3, "acme") == WORLD.book("BTC-USD", SECONDS * SECOND)
    assert len({book(3, "acme"), book(4, "acme"), book(3, "other")}) == 3


def test_it_moves() -> None:
    mids = {WORLD.book("BTC-USD", second * SECOND)[0][0] for second in range(SECONDS, SECONDS + 60)}
    assert len(mids) > 20
