"""Rounds of some assets only, so that a world is small."""

from __future__ import annotations

from marketarchive.simulator import simulated_venues
from marketarchive.simulator.kalshi import Kalshi
from marketarchive.simulator.polymarket import Polymarket

NOW_S = 1_795_255_300  # 2026-11-21T10:01:40Z


def test_rounds_of_other_assets_stand_in_no_list_and_are_found_by_their_names() -> None:
    few, all_of_them = simulated_venues(1, assets=("ETH",)), simulated_venues(1)
    for one, every in zip(few, all_of_them, strict=True):
        if isinstance(one, Polymarket) and isinstance(every, Polymarket):
            found, whole = one.world.listed(NOW_S), every.world.listed(NOW_S)
            assert found == [each for each in whole if each.asset in ("ETH", None)]
            assert {each.asset for each in found} == {"ETH", None}
            other = next(each for each in whole if each.asset == "BTC")
            assert one.world.by_condition(other.condition_id) == other
        if isinstance(one, Kalshi) and isinstance(every, Kalshi):
            rounds = one.rounds.listed(NOW_S)
            assert rounds == [each for each in every.rounds.listed(NOW_S) if each.asset == "ETH"] != []
