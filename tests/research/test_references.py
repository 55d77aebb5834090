"""A price a second from spot exchanges, against the simulated market."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from marketarchive.research.engine import connect
from marketarchive.research.products.updown.canonical.columns import Clock
from marketarchive.research.products.updown.canonical.references import FRESH_S, references
from marketarchive.research.tables.normalize import normalize
from marketarchive.simulator.kraken import Kraken, KrakenSession
from marketarchive.times import SECOND
from marketarchive.venues.kraken.socket import WIRE
from tests.archive.writing import NOON
from tests.research.exchange_day import ExchangeDay

WORLD = Kraken(1).world
START = NOON // SECOND


def mids(root: Path, clock: Clock = "observation", **spans: tuple[int, int]) -> dict[tuple[str, int], Any]:
    assert not normalize(root).failed
    wanted = {asset: (START + first, START + last) for asset, (first, last) in spans.items()}
    with closing(connect()) as connection:
        found = references(connection, root, wanted, clock).to_pylist()
    return {(row["asset"], row["sec"] - START): (row["mid"], row["source"]) for row in found}


def recorded(root: Path, *, silent_from: float = 40) -> None:
    one = ExchangeDay("kraken", WIRE, lambda now: KrakenSession(WORLD, now))
    one.open("c1", ("BTC/USD", "XRP/USD"), 0)
    one.send("c1", 0, silent_from)
    one.write(root)


def true_mid(second: int) -> float:
    bids, asks = WORLD.book("BTC/USD", (START + second) * SECOND)
    return (float(bids[0][0]) + float(asks[0][0])) / 2


@pytest.mark.parametrize("clock", ["observation", "received"])
def test_each_second_has_the_mid_of_the_book(tmp_path: Path, clock: Clock) -> None:
    recorded(tmp_path)
    found = mids(tmp_path, clock, BTC=(-5, 39), XRP=(0, 10))
    assert ("BTC", -1) not in found
    for second in range(1, 40):
        mid, source = found["BTC", second]
        assert source == "kraken"
        if clock == "observation":
            assert mid == pytest.approx(true_mid(second))
    assert ("XRP", 5) in found
    assert ("XRP", 11) not in found
    assert {asset for asset, _ in found} == {"BTC", "XRP"}


def test_what_did_not_change_for_long_is_not_carried(tmp_path: Path) -> None:
    recorded(tmp_path, silent_from=20)
    found = mids(tmp_path, BTC=(0, 60))
    last = max(second for _, second in found)
    assert 19 <= last <= 20 + FRESH_S


def test_an_archive_without_exchanges_has_none(tmp_path: Path) -> None:
    with closing(connect()) as connection:
        assert references(connection, tmp_path, {"BTC": (0, 10)}, "observation").num_rows == 0
        assert references(connection, tmp_path, {}, "observation").num_rows == 0
