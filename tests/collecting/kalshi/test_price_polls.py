"""When markets are discovered, and what a market's row says of its trading."""

from __future__ import annotations

from decimal import Decimal

import pytest

from marketarchive.collecting.kalshi.price_polls import next_discovery
from marketarchive.times import SECOND, from_iso, iso
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.markets import Quoted
from marketarchive.venues.kalshi.tickers import round_at
from tests.simulator.kalshi.requesting import AT, read, venue

NOON = "2026-11-21T12:00:"


@pytest.mark.parametrize(
    ("now", "due"),
    [("00.1", "01"), ("08.9", "09"), ("09.0", "10"), ("10.0", "15"), ("14.99", "15"), ("15.00", "20")],
)
def test_discovery_is_made_each_second_while_rounds_open(now: str, due: str) -> None:
    assert next_discovery(from_iso(f"{NOON}{now}Z")) == from_iso(f"{NOON}{due}Z")


def test_the_quarter_hour_itself_is_a_moment_of_discovery() -> None:
    assert iso(next_discovery(from_iso("2026-11-21T11:59:57Z")))[11:19] == "12:00:00"


def test_one_request_says_what_all_markets_trade_at() -> None:
    open_now = [round_at(series, AT * SECOND) for series in ("KXBTC15M", "KXETH15M")]
    tickers = [each.ticker for each in open_now if each is not None]
    assert len(tickers) == 2
    found = {quoted.ticker: quoted for quoted in read(queries.named_markets(tickers)).statements}
    assert set(found) == set(tickers)
    for each in open_now:
        assert each is not None
        true = venue().rounds.make(each.series, each.end_ns // SECOND)
        book, volume = venue().books.at(true, AT), Decimal(venue().books.volume(true, AT))
        bid, ask = book.yes_bid, book.yes_ask
        assert bid is not None
        assert ask is not None
        prices = [Decimal(level[0]) for level in (bid, ask)]
        sizes = [Decimal(level[1]) for level in (bid, ask)]
        assert found[each.ticker] == Quoted(
            each.ticker, True, prices[0], prices[1], sizes[0], sizes[1], volume, volume
        )
