from __future__ import annotations

import statistics
from itertools import pairwise

import pytest

from marketarchive.simulator.prices import ASSETS, E18, Prices

NOW = 1_795_255_200


@pytest.mark.parametrize("asset", ASSETS)
def test_prices_move_like_prices(asset: str) -> None:
    prices = Prices(7)
    path = [prices.spot(asset, NOW + 300 * step) / E18 for step in range(300)]
    returns = [after / before - 1 for before, after in pairwise(path)]
    assert 0.0002 < statistics.stdev(returns) < 0.005  # of five minutes
    assert 0.5 < path[-1] / ASSETS[asset][0] < 2
    seconds = {prices.spot(asset, NOW + step) for step in range(60)}
    assert len(seconds) > 50


def test_a_price_depends_on_seed_and_second_only() -> None:
    late, early = Prices(1), Prices(1)
    late.spot("BTC", NOW + 10**6)
    assert late.spot("BTC", NOW) == early.spot("BTC", NOW) != Prices(2).spot("BTC", NOW)
    assert early.spot("BTC", NOW) % 10**10 == 0  # eight decimals


def test_the_average_is_over_the_seconds_up_to_the_boundary() -> None:
    prices = Prices(1)
    ticks = [prices.spot("ETH", second) for second in range(NOW - 59, NOW + 1)]
    assert prices.twap("ETH", NOW, 60) == sum(ticks) // 60


@pytest.mark.parametrize(("asset", "step"), [("BTC", 10**16), ("XRP", 10**14)])
def test_binance_is_near_and_in_steps_of_its_own(asset: str, step: int) -> None:
    prices = Prices(1)
    pairs = [(prices.exchange(asset, second), prices.spot(asset, second)) for second in range(NOW, NOW + 300)]
    assert all(value % step == 0 for value, _ in pairs)
    assert 0 < max(abs(value / spot - 1) for value, spot in pairs) < 2e-4
    assert sum(value != spot for value, spot in pairs) > 250
