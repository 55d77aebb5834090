"""ccxt reads simulated venues of perpetuals, and finds in them what is true."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest

from marketarchive.simulator.perps_world import PerpsWorld
from marketarchive.times import SECOND, from_iso
from tests.clients.calling import Client, client
from tests.e2e.harness import simulator

pytestmark = pytest.mark.process

VENUES = ("dydx", "hyperliquid")
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
def test_funding(ccxt: Client, venue: str) -> None:
    found = ccxt.call("funding", venue, "BTC", START * 1000, END * 1000 + 5000, 25)
    assert [(at // 60_000 * 60, rate) for at, rate in found] == [
        (each.at, float(each.rate)) for each in truth(venue).settlements("BTC", START, END)
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


def test_the_present_of_hyperliquid(ccxt: Client) -> None:
    told = ccxt.call("present", "BTC")
    world = truth("hyperliquid")
    moments = range(NOW, NOW + 600)
    assert told["interval"] == "1h"
    assert told["fundingRate"] == float(world.rate("BTC", NOW // HOUR * HOUR + HOUR))
    assert told["markPrice"] in {float(world.price("BTC", "mark", at)) for at in moments}
    assert told["indexPrice"] in {float(world.price("BTC", "index", at)) for at in moments}
    assert told["openInterest"] in {float(world.open_interest("BTC", at)) for at in moments}
