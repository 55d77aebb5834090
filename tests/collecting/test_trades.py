"""How far back a walk through trades goes: to what was read before, by the venue's own times."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from marketarchive.collecting.polymarket.trades import LATE_S
from marketarchive.collecting.spider import Answer, Ask
from marketarchive.items import Market
from marketarchive.spiders.polymarket_trades import PolymarketTrades
from marketarchive.times import SECOND
from marketarchive.venues.messages import Parsed
from marketarchive.venues.polymarket.trades import Trade
from tests.collecting.streams import at_work
from tests.master.markets import market

VENUE_S = 1_795_255_300
"""The venue's time."""


class Trades(PolymarketTrades):
    """What it asks is answered by the test."""

    def submit(self, ask: Ask) -> None:
        self.asked.append(ask)

    async def look_up(self) -> None:
        self.asked: list[Ask] = []

    def tick(self, *markets: Market) -> Ask:
        """The one question of a tick at which these are tracked."""
        self.tracked = {each.market_id: each for each in markets}
        assert not list(self.due(self.run.clock.now_ns()))
        [ask] = self.asked
        return ask

    def answer(self, *times_s: int, more: bool = False) -> None:
        """A page with trades of these times, newest first."""
        [ask] = self.asked
        self.asked.clear()
        trades = [
            Trade("0xa", "1", "BUY", Decimal("0.5"), Decimal(1), at, f"0x{len(times_s)}{place}{at}", 1)
            for place, at in enumerate(times_s)
        ]
        cursor = f"after {times_s}" if more else None
        parsed = Parsed(trades=trades, next_cursor=cursor, keys=[trade.key for trade in trades])
        assert not list(ask.then(Answer(ask, 200, parsed, self.run.clock.now_ns(), 1)))


@asynccontextmanager
async def trading(folder: Path, ahead_s: int = 0) -> AsyncIterator[Trades]:
    """`ahead_s`: of our clock."""
    async with at_work(Trades, folder, start=(VENUE_S + ahead_s) * SECOND) as spider:
        await spider.prepare()
        yield spider


@pytest.mark.parametrize("ahead_s", [0, 3600])
async def test_a_walk_reaches_what_was_read_before_whatever_our_clock_says(
    ahead_s: int, tmp_path: Path
) -> None:
    async with trading(tmp_path, ahead_s) as spider:
        one = market(0, "0xa")
        spider.tick(one)
        spider.answer(VENUE_S - 5, VENUE_S - 500)
        spider.tick(one)
        spider.answer(VENUE_S + 300, VENUE_S + 10, more=True)
        assert spider.asked, "the first page does not reach what was read before"
        spider.answer(VENUE_S - 6, VENUE_S - 5 - LATE_S, VENUE_S - 500, more=True)
        assert not spider.asked


async def test_a_clock_that_is_behind_costs_pages_only(tmp_path: Path) -> None:
    async with trading(tmp_path, -3600) as spider:
        spider.tick(market(0, "0xa"))
        spider.answer(VENUE_S - 5)
        spider.tick(market(0, "0xa"))
        spider.answer(VENUE_S, VENUE_S - 3000, more=True)
        assert spider.asked


async def test_what_nobody_trades_is_not_walked_for_ever(tmp_path: Path) -> None:
    """It ends when a walk was begun after it was tracked the last time."""
    async with trading(tmp_path) as spider:
        spider.tick(market(0, "0xa"))
        spider.answer()
        spider.tracked = {}
        now = spider.run.clock.now_ns()
        assert [each.market_id for each in spider._wanted(now)] == ["0xa"]
        spider._walked["0xa"] = now // SECOND + LATE_S
        assert spider._wanted(now) == []
        assert not spider._followed


async def test_a_walk_with_others_takes_nothing_back(tmp_path: Path) -> None:
    async with trading(tmp_path) as spider:
        one, other = market(0, "0xa"), market(0, "0xb")
        spider.tick(one)
        spider.answer(VENUE_S - 5)
        read = spider._read["0xa"]
        assert read == VENUE_S - 5 - LATE_S
        spider._read["0xb"] = read - 1000
        spider.tick(one, other)
        spider.answer(read - 900, read - 1001)
        assert spider._read == {"0xa": read, "0xb": read - 900 - LATE_S}


async def test_the_gap_of_a_walk_begins_before_it_ends(tmp_path: Path) -> None:
    async with trading(tmp_path, -3600) as spider:
        one = market(0, "0xa")
        spider._read["0xa"] = VENUE_S - LATE_S
        ask = spider.tick(one)
        assert ask.from_ns is not None
        assert ask.from_ns <= spider.run.clock.now_ns()
