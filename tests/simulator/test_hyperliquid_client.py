"""Hyperliquid's own client library reads the simulated venue, and finds in it what is true."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from marketarchive.simulator.hyperliquid import simulated
from marketarchive.times import SECOND, from_iso
from tests.clients.calling import Client, ClientError, client
from tests.e2e.harness import simulator

pytestmark = pytest.mark.process

WORLD = simulated(1).world
START = from_iso("2026-11-19T00:00:00Z") // SECOND
END = from_iso("2026-11-20T00:00:00Z") // SECOND
HOUR = 3600


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    options = ("--pace", "fixed", "--start", "2026-11-20T10:01:00Z")
    with (
        simulator(tmp_path_factory.mktemp("truth"), *options) as running,
        client("hyperliquid", f"{running.url}/api.hyperliquid.xyz") as library,
    ):
        yield library


def test_funding(sdk: Client) -> None:
    found = sdk.call("funding_history", "BTC", START * 1000 - 500, END * 1000 + 500)
    true = WORLD.settlements("BTC", START, END)
    assert [(each["time"] // 1000 // 60 * 60, Decimal(each["fundingRate"])) for each in found] == [
        (each.at, each.rate) for each in true
    ]
    assert len(sdk.call("funding_history", "BTC", 0)) == 500


def test_candles_of_a_thousand(sdk: Client) -> None:
    found = sdk.call("candles_snapshot", "kPEPE", "1h", START * 1000, END * 1000)
    true = list(WORLD.candles("PEPE", "trade", HOUR, START, END, END + 10 * HOUR))
    assert [(each["t"] // 1000, Decimal(each["o"]), Decimal(each["v"])) for each in found] == [
        (each.opened, each.open * 1000, each.volume / 1000) for each in true
    ]


def test_mark_oracle_funding_and_open_interest(sdk: Client) -> None:
    meta, contexts = sdk.call("meta_and_asset_ctxs")
    assert meta == sdk.call("meta")
    named = dict(zip((coin["name"] for coin in meta["universe"]), contexts, strict=True))
    now = from_iso("2026-11-20T10:01:00Z") // SECOND
    for asset in ("BTC", "GALA"):
        told = {
            name: Decimal(named[asset][name]) for name in ("markPx", "oraclePx", "funding", "openInterest")
        }
        assert told in [
            {
                "markPx": WORLD.price(asset, "mark", at),
                "oraclePx": WORLD.price(asset, "index", at),
                "funding": WORLD.rate(asset, WORLD.next_settlement(asset, at)),
                "openInterest": WORLD.open_interest(asset, at),
            }
            for at in range(now, now + 600)
        ]


def test_a_coin_that_it_does_not_know(sdk: Client) -> None:
    with pytest.raises(ClientError):
        sdk.call("funding_history", "NOPE", 0)
