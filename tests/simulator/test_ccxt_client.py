"""ccxt reads simulated venues of perpetuals, and finds in them what is true."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from importlib import import_module

import pytest

from marketarchive.simulator.perps_world import PerpsWorld
from marketarchive.times import SECOND, from_iso
from tests.clients.calling import Client, client
from tests.e2e.harness import simulator

pytestmark = pytest.mark.process

VENUES = ("binance", "bybit", "dydx", "hyperliquid", "okx")
ASSETS = ("BTC", "DOGE")
"""One whose interval of funding never changes, one whose does."""
MARKED = ("binance", "bybit", "okx")
"""Those that list candles of the mark price and of the index."""
START = from_iso("2026-11-19T00:00:00Z") // SECOND
END = from_iso("2026-11-20T00:00:00Z") // SECOND
NOW = from_iso("2026-11-20T10:01:00Z") // SECOND
HOUR = 3600


@pytest.fixture(scope="module")
def ccxt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    options = ("--pace", "fixed", "--start", "2026-11-20T10:01:00Z")
    with (
        simulator(tmp_path_factory.mktemp("truth"), *options) as running,
        client("ccxt", running.url) as library,
    ):
        yield library


def truth(venue: str) -> PerpsWorld:
    made: PerpsWorld = import_module(f"marketarchive.simulator.{venue}").simulated(1).world
    return made


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("asset", ASSETS)
def test_funding(ccxt: Client, venue: str, asset: str) -> None:
    found = ccxt.call("funding", venue, asset, START * 1000, END * 1000 + 5000, 100)
    assert [(at // 60_000 * 60, rate) for at, rate in found] == [
        (each.at, float(each.rate)) for each in truth(venue).settlements(asset, START, END)
    ]


@pytest.mark.parametrize("venue", VENUES)
def test_candles(ccxt: Client, venue: str) -> None:
    found = ccxt.call("candles", venue, "BTC", START * 1000, END * 1000, 100)
    true = truth(venue).candles("BTC", "trade", HOUR, START, END - HOUR, NOW)
    # of dYdX it writes `fromIso` and `toIso`, which the venue does not know
    assert [row for row in found if START * 1000 <= row[0] < END * 1000] == [
        [each.opened * 1000, *map(float, (each.open, each.high, each.low, each.close, each.volume))]
        for each in true
    ]


@pytest.mark.parametrize("venue", MARKED)
@pytest.mark.parametrize("kind", ["mark", "index"])
def test_candles_of_mark_and_index(ccxt: Client, venue: str, kind: str) -> None:
    found = ccxt.call("candles", venue, "DOGE", START * 1000, END * 1000, 100, kind)
    true = truth(venue).candles("DOGE", kind, HOUR, START, END - HOUR, NOW)
    assert [row[:5] for row in found if START * 1000 <= row[0] < END * 1000] == [
        [each.opened * 1000, *map(float, (each.open, each.high, each.low, each.close))] for each in true
    ]


@pytest.mark.parametrize("venue", [*MARKED, "hyperliquid"])
@pytest.mark.parametrize("asset", ASSETS)
def test_the_present(ccxt: Client, venue: str, asset: str) -> None:
    told = ccxt.call("present", venue, asset)
    world = truth(venue)
    moments = range(NOW, NOW + 600)
    due = {world.next_settlement(asset, at) for at in moments}
    assert told["fundingRate"] in {float(world.rate(asset, at)) for at in due}
    assert told["markPrice"] in {float(world.price(asset, "mark", at)) for at in moments}
    if venue != "okx":  # says it elsewhere
        assert told["indexPrice"] in {float(world.price(asset, "index", at)) for at in moments}
    amounts = {world.open_interest(asset, at) for at in moments}
    if venue == "bybit":  # it takes the newest whole hour, and both sides of each contract
        amounts = {2 * world.open_interest(asset, NOW // HOUR * HOUR)}
    size = Decimal(str(told["contractSize"]))
    assert told["openInterest"] in {float(each / size) for each in amounts}


@pytest.mark.parametrize("venue", ["hyperliquid", "bybit"])
def test_the_interval_of_funding(ccxt: Client, venue: str) -> None:
    hours = truth(venue).interval("BTC", NOW + HOUR) // HOUR
    assert ccxt.call("present", venue, "BTC")["interval"] == f"{hours}h"
