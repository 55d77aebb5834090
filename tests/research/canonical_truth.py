"""What the canonical dataset has to say of a simulated round: prices and books are functions of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from marketarchive.simulator.polymarket import Polymarket
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.prices import E18

BOOK = ("pm_up_bid", "pm_up_ask", "pm_down_bid", "pm_down_ask")
LABEL = ("K", "settlement", "Y")


def book(venue: Polymarket, market: SimMarket, second: int) -> tuple[float | None, ...]:
    """The columns BOOK at an instant."""
    top = venue.books.top_at(market, second * 1000)
    bid, ask = (None if tick is None else tick / top.ticks for tick in (top.bid, top.ask))
    down_bid, down_ask = (
        None if tick is None else (top.ticks - tick) / top.ticks for tick in (top.ask, top.bid)
    )
    return bid, ask, down_bid, down_ask


def label(venue: Polymarket, market: SimMarket) -> tuple[float, float, int]:
    """The columns LABEL."""
    strike, settlement = venue.world.strike(market), venue.world.settlement(market)
    assert strike is not None
    assert settlement is not None
    return strike / E18, settlement / E18, int(settlement >= strike)


def start(market: SimMarket) -> int:
    assert market.start is not None
    return market.start


def wrong_books(venue: Polymarket, market: SimMarket, rows: Iterable[dict[str, Any]]) -> Iterator[int]:
    """Seconds whose best prices are not those of the instant."""
    for row in rows:
        told = tuple(row[name] for name in BOOK)
        true = book(venue, market, start(market) + row["t"])
        if not all(
            (one is None) is (other is None) and (one is None or one == pytest.approx(other, abs=1e-12))
            for one, other in zip(told, true, strict=True)
        ):
            yield row["t"]


def wrong_prices(venue: Polymarket, market: SimMarket, rows: Iterable[dict[str, Any]]) -> Iterator[int]:
    """Seconds whose price, or average where the rule has one, is not that of the second."""
    assert market.asset is not None
    prices = venue.world.prices
    for row in rows:
        at = start(market) + row["t"]
        true = {"cl_mid": prices.spot(market.asset, at) / E18, "cl_twap": None}
        if market.twap_s is not None:
            true["cl_twap"] = prices.twap(market.asset, at, market.twap_s) / E18
        if any(row[name] != (value and pytest.approx(value, rel=1e-14)) for name, value in true.items()):
            yield row["t"]
