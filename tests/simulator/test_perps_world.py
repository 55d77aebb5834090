"""Simulated perpetuals: candles that add up, intervals that change, contracts that end."""

from __future__ import annotations

from itertools import pairwise

import pytest

from marketarchive.simulator.perps_world import DELISTED, HOUR_S, PerpsWorld, written
from marketarchive.times import SECOND, from_iso

WORLD = PerpsWorld(1, "one")
START = from_iso("2026-11-10T00:00:00Z") // SECOND
END = from_iso("2026-11-20T00:00:00Z") // SECOND


@pytest.mark.parametrize("kind", ["trade", "mark", "index"])
@pytest.mark.parametrize("asset", ["BTC", "PEPE"])
def test_a_long_candle_is_its_short_ones(asset: str, kind: str) -> None:
    whole = WORLD.candle(asset, kind, START, 8 * HOUR_S, END)
    parts = list(WORLD.candles(asset, kind, HOUR_S, START, START + 7 * HOUR_S, END))
    assert len(parts) == 8
    assert (whole.open, whole.close) == (parts[0].open, parts[-1].close)
    assert (whole.high, whole.low) == (max(p.high for p in parts), min(p.low for p in parts))
    assert whole.volume == sum(p.volume for p in parts)
    assert whole.low <= min(whole.open, whole.close) <= max(whole.open, whole.close) <= whole.high


def test_settlements_follow_the_interval_and_some_change_it() -> None:
    changing = 0
    for asset in ("BTC", "GALA", "IMX", "DOGE", "CRV"):
        found = WORLD.settlements(asset, START, END)
        for before, after in pairwise(found):
            assert after.at - before.at == after.interval_s
        changing += len({each.interval_s for each in found}) > 1
        assert WORLD.next_settlement(asset, found[3].at) == found[4].at
    assert {each.interval_s for each in WORLD.settlements("BTC", START, END)} == {8 * HOUR_S}
    assert changing


def test_an_exchange_may_become_hourly() -> None:
    changed = from_iso("2023-06-08T00:00:00Z") // SECOND
    world = PerpsWorld(1, "hourly", changed)
    found = world.settlements("GALA", changed - 86_400, changed + 2 * HOUR_S)
    assert [(each.at - changed) // HOUR_S for each in found] == [-24, -16, -8, 0, 1, 2]
    assert [each.interval_s for each in found] == [8 * HOUR_S] * 4 + [HOUR_S] * 2
    assert world.next_settlement("GALA", changed) == changed + HOUR_S


def test_a_contract_ends() -> None:
    ended = DELISTED["A2Z"]
    found = WORLD.settlements("A2Z", ended - 86_400, ended + 86_400)
    assert found[-1].at == ended
    assert not list(WORLD.candles("A2Z", "trade", HOUR_S, ended, ended + 86_400, END))


def test_worlds_of_two_exchanges_differ_but_not_their_index() -> None:
    other = PerpsWorld(1, "two")
    assert other.price("BTC", "index", START) == WORLD.price("BTC", "index", START)
    assert other.price("BTC", "mark", START) != WORLD.price("BTC", "mark", START)
    assert other.open_interest("BTC", START) != WORLD.open_interest("BTC", START)


def test_numbers_are_written_without_an_exponent() -> None:
    assert written(WORLD.price("PEPE", "mark", START)).startswith("0.00000")
    assert not written(WORLD.open_interest("BTC", START)).endswith("0") or "." not in written(
        WORLD.open_interest("BTC", START)
    )
