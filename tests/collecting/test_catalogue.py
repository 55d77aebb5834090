"""Cycles of the catalogue without a venue: turns, positions, what earlier runs left."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from scrapy.settings import BaseSettings

from marketarchive.collecting.catalogue.look_back import PhaseKey, catch_up, last_state
from marketarchive.collecting.catalogue.progress import CycleProgress
from marketarchive.collecting.catalogue.turn import turn
from marketarchive.exceptions import ArgumentError, ConfigurationError
from marketarchive.items import Cycle
from marketarchive.master.cycles import HeldCycle
from marketarchive.plans.catalog.plan import PLAN, left_out, platforms
from marketarchive.spiders.kalshi_markets import KalshiMarkets
from marketarchive.spiders.kalshi_prices import KalshiPrices
from marketarchive.spiders.polymarket_resolutions import PolymarketResolutions
from marketarchive.times import SECOND
from marketarchive.venues import venues
from tests.archive.writing import NOON, HandClock, writer

KEY = PhaseKey("kalshi", "markets", "snapshot")


def cycle(at_s: float, **changes: object) -> Cycle:
    made = Cycle("kalshi", "markets", NOON + round(at_s * SECOND), "snapshot", NOON, "running")
    return replace(made, **changes)  # type: ignore[arg-type]


def test_phases_of_a_platform_take_turns_and_platforms_do_not(tmp_path: Path) -> None:
    async def take_turns() -> list[str]:
        stop, seen = asyncio.Event(), []

        async def phase(name: str, venue: str) -> None:
            async with turn(tmp_path, venue, stop) as is_ours:
                assert is_ours
                seen.append(f"{name} begins")
                await asyncio.sleep(0)
                seen.append(f"{name} ends")

        async with turn(tmp_path, "kalshi", stop) as is_ours:
            assert is_ours
            await phase("other", "polymarket")
            waiting = [asyncio.ensure_future(phase(name, "kalshi")) for name in ("one", "two")]
            await asyncio.sleep(0)
            assert seen == ["other begins", "other ends"]
        await asyncio.gather(*waiting)
        async with turn(tmp_path, "kalshi", stop):
            stop.set()
            async with turn(tmp_path, "kalshi", stop) as is_ours:
                assert not is_ours
        return seen[2:]

    seen = asyncio.run(take_turns())
    assert [seen[0].split()[0], seen[2].split()[0]] == [seen[1].split()[0], seen[3].split()[0]]


def test_a_dead_process_gives_its_turn_up(tmp_path: Path) -> None:
    async def take_turn() -> bool:
        async with turn(tmp_path, "kalshi", asyncio.Event()) as is_ours:
            return is_ours

    child = os.fork()
    if not child:
        holding = turn(tmp_path, "kalshi", asyncio.Event())
        asyncio.run(holding.__aenter__())
        os._exit(0)
    os.waitpid(child, 0)
    assert asyncio.run(take_turn())


def test_a_position_comes_back() -> None:
    progress = CycleProgress.begin(NOON + 123)
    assert progress.started == NOON, "lines keep microseconds"
    progress.pages, progress.step, progress.place = 3, 1, {"params": {"cursor": "abc", "status": "open"}}
    running = progress.cycle("kalshi", "markets", "snapshot", "running", NOON + SECOND)
    assert CycleProgress.of(running) == progress
    assert progress.cycle("kalshi", "markets", "snapshot", "complete", NOON).position == ""


def test_the_last_cycle_of_a_phase_is_found_over_runs(tmp_path: Path) -> None:
    clock = HandClock()
    states = [
        cycle(0),
        cycle(1, pages=1, position='{"step": 0, "place": {"params": {"cursor": "a"}}}'),
        cycle(2, phase="discover", state="complete"),
        cycle(3, pages=2),
    ]
    for number, some in enumerate((states[:2], states[2:])):
        with writer(tmp_path, clock) as archive:
            run = archive.open_run("kalshi_prices", "kalshi", ("markets",), {}, {})
            for state in some:
                run.write(state)
            run.close("finished", {}).result()
        assert last_state(tmp_path, KEY, NOON) == (states[1], states[3])[number]
        clock.pass_s(3600)
    assert last_state(tmp_path, replace(KEY, phase="discover"), NOON) == states[2]
    assert last_state(tmp_path, replace(KEY, phase="resolve"), NOON) is None
    assert last_state(tmp_path, KEY, NOON + 9999 * SECOND) is None


def test_a_master_that_has_all_is_not_caught_up(tmp_path: Path) -> None:
    last = cycle(9, state="complete", pages=2)
    held = HeldCycle("kalshi", "snapshot", NOON, last.received_at, "complete", 2, 9, 0, last.received_at)
    assert catch_up(tmp_path / "not there", "sqlite:////not/there.db", "all", last, held) == 0


def test_which_arguments_make_a_phase() -> None:
    assert KalshiMarkets(until="known").is_whole
    assert not KalshiMarkets().is_whole, "a sweep of everything, as before"
    assert KalshiPrices(markets="all").is_whole
    assert not KalshiPrices().is_whole
    assert PolymarketResolutions().is_whole
    assert PolymarketResolutions(markets="all", since="2d").is_whole
    assert not PolymarketResolutions(assets="BTC").is_whole
    assert not PolymarketResolutions(markets="a,b").is_whole
    with pytest.raises(ArgumentError, match="leave out series="):
        KalshiMarkets(until="known", series="KXBTC15M")
    with pytest.raises(ArgumentError, match="the only value is `known`"):
        KalshiMarkets(until="now")


@pytest.mark.parametrize("rate", ["0", "-1", "101"])
def test_a_rate_that_makes_no_sense_is_refused(rate: str) -> None:
    with pytest.raises(ConfigurationError, match="CATALOG_REQUESTS_S"):
        KalshiMarkets.check_settings(BaseSettings({"CATALOG_REQUESTS_S": rate}))


def test_the_plan_has_three_phases_of_each_platform() -> None:
    assert platforms() == tuple(sorted(name for name, venue in venues().items() if venue.catalogue))
    feeds = {feed.spider: feed for feed in PLAN.feeds(PLAN.arguments({}))}
    assert len(feeds) == 3 * len(platforms()) + 1
    assert feeds["searxng_news"].option in left_out(BaseSettings())
    assert not left_out(BaseSettings({"NEWS_SEARXNG_URL": "http://127.0.0.1:8888"}))
    assert feeds["kalshi_prices"].arguments == {"markets": "all", "interval": "900"}
    assert feeds["polymarket_markets"].arguments == {"markets": "all", "until": "known", "interval": "300"}
    once = PLAN.feeds(PLAN.arguments({"once": "1", "platforms": "kalshi"}))
    spiders = ["kalshi_prices", "kalshi_markets", "kalshi_resolutions", "searxng_news"]
    assert [feed.spider for feed in once] == spiders
    assert all(feed.is_once and "interval" not in feed.arguments for feed in once)
    with pytest.raises(ArgumentError, match="under a minute"):
        PLAN.arguments({"snapshot": "30s"})
