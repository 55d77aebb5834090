from __future__ import annotations

import pytest

from marketarchive.simulator.polymarket.world import HISTORY_S
from marketarchive.simulator.prices import ASSETS
from marketarchive.times import from_iso
from marketarchive.venues.polymarket import updown
from tests.simulator.requesting import SECONDS, venue


def test_every_market_is_found_by_each_of_its_names() -> None:
    world = venue().world
    for market in world.listed(SECONDS)[::37]:
        assert world.by_number(market.number) == market
        assert world.by_condition(market.condition_id) == market
        assert world.by_slug(market.slug, SECONDS) == market
        assert [world.by_token(token) for token in market.tokens] == [(market, 0), (market, 1)]


def test_names_of_nothing() -> None:
    world = venue().world
    assert world.by_number(1) is None
    assert world.by_condition("0xzz") is None
    assert world.by_condition("0x" + "ab" * 32) is None
    assert world.by_slug("no-such-thing", SECONDS) is None
    assert world.by_slug("doge-updown-5m-1795255200", SECONDS) is None
    assert world.by_slug("btc-updown-5m-1795255201", SECONDS) is None
    for token in ("", "x", "5", "9" * 78, "9" * 79):
        assert world.by_token(token) is None
    condition = venue().world.listed(SECONDS)[-1].condition_id
    assert world.by_token(str(int(condition, 16))) is None


def test_the_catalogue_of_a_moment() -> None:
    listed = venue().world.listed(SECONDS)
    numbers = [market.number for market in listed]
    assert numbers == sorted(set(numbers))
    rounds = [market for market in listed if market.kind == "round"]
    assert all(market.listed_at <= SECONDS and market.end > SECONDS - HISTORY_S - 60 for market in rounds)
    for asset in ("BTC", "ETH", "SOL", "XRP"):
        for duration in updown.DURATIONS:
            mine = [market for market in rounds if (market.asset, market.duration) == (asset, duration)]
            live = [market for market in mine if (market.start or 0) <= SECONDS < market.end]
            assert len(live) == 1
    ahead = [
        market
        for market in rounds
        if market.asset == "BTC" and market.duration == "5m" and market.end > SECONDS
    ]
    assert 287 <= len(ahead) <= 290  # a day of them


def test_chances_end_at_the_outcome() -> None:
    world = venue().world
    for market in world.rounds_between(SECONDS - 7200, SECONDS):
        assert 0.48 <= world.chance(market, (market.start or 0) - 1) <= 0.52
        for second in range(market.start or 0, market.end, 97):
            assert 0 < world.chance(market, second) < 1
        won = world.payouts(market) == ("1", "0")
        assert (world.chance(market, market.end) > 0.5) == won
        strike, settlement = world.strike(market), world.settlement(market)
        assert strike is not None
        assert settlement is not None
        assert won == (settlement >= strike)


def test_the_tick_turns_fine_near_the_ends_and_stays_so() -> None:
    world = venue().world
    turned = 0
    for market in world.rounds_between(SECONDS - 7200, SECONDS):
        start = market.start or 0
        ticks = [world.ticks(market, second) for second in range(start, market.end + 20, 11)]
        assert ticks[0] == 100
        assert ticks == sorted(ticks)
        turned += ticks[-1] == 1000
    assert turned > 20


def test_the_truth_names_outcomes_as_the_catalogue_will() -> None:
    ns = SECONDS * 10**9
    truth = {each["market_id"]: each for each in venue().truth(ns - 10**12, ns)}
    closed = [market for market in venue().world.listed(SECONDS) if market.is_closed(SECONDS)]
    assert len(closed) > 500
    for market in closed:
        told = truth[market.condition_id]
        if market.kind == "round":
            won = int(told["settlement_e18"]) >= int(told["strike_e18"])
            assert told["resolution"] == ("Up" if won else "Down")
    assert sum(each["payouts"] == ("0.5", "0.5") for each in truth.values()) == 1


@pytest.mark.parametrize(
    ("at", "five", "longer"),
    [
        ("2026-08-06T23:50:00Z", None, None),
        ("2026-08-07T00:10:00Z", 30, 60),
        ("2026-08-13T23:50:00Z", 30, 60),
        ("2026-08-14T00:10:00Z", 60, 60),
    ],
)
def test_rounds_settle_by_the_rule_of_their_start(at: str, five: int | None, longer: int | None) -> None:
    second = from_iso(at) // 10**9
    world, prices = venue().world, venue().world.prices
    rounds = world.rounds_between(second, second + 1)
    assert {(each.asset, each.duration) for each in rounds} == {
        (asset, duration) for asset in ASSETS for duration in updown.DURATIONS
    }
    for market in rounds:
        asset = market.asset or ""
        window = None if market.duration in ("1h", "1d") else five if market.duration == "5m" else longer
        assert market.twap_s == window
        for boundary, told in ((market.start or 0, world.strike), (market.end, world.settlement)):
            if window:
                assert told(market) == prices.twap(asset, boundary, window)
                assert market.resolution_source.endswith(f"/{asset.lower()}-usd-twap-{window}s-streams")
            elif market.is_of_binance:
                assert told(market) == prices.exchange(asset, boundary)
                assert market.duration in ("1h", "1d")
            else:
                assert told(market) == prices.spot(asset, boundary)
                assert market.resolution_source.endswith(f"/{asset.lower()}-usd")
