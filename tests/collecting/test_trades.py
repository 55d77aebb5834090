"""How far back a walk through trades goes: to what was read before, by the venue's own times."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from marketarchive.collecting.polymarket.trades import LATE_S
from marketarchive.collecting.spider import Answer, PendingRequest
from marketarchive.items import Market
from marketarchive.spiders.polymarket_trades import PolymarketTrades
from marketarchive.times import SECOND
from marketarchive.venues.messages import Parsed
from marketarchive.venues.polymarket.trades import AnsweredTrade
from tests.collecting.streams import at_work, step_clock
from tests.master.markets import market

VENUE_S = 1_795_255_300
"""The venue's time."""


class Trades(PolymarketTrades):
    """What it asks is answered by the test."""

    def submit(self, ask: PendingRequest) -> None:
        self.requested.append(ask)

    async def look_up(self) -> None:
        self.requested: list[PendingRequest] = []

    def tick(self, *markets: Market) -> PendingRequest:
        """The one question of a tick at which these are tracked."""
        [ask] = self.tick_all(*markets)
        return ask

    def tick_all(self, *markets: Market) -> list[PendingRequest]:
        """Return all questions after a tick at which these are tracked."""
        self.tracked = {each.market_id: each for each in markets}
        assert not list(self.due(self.run.clock.now_ns()))
        return list(self.requested)

    def answer(self, *times_s: int, more: bool = False, to: PendingRequest | None = None) -> None:
        """A page with trades of these times, newest first, to the only question or to one of several."""
        if to is None:
            [to] = self.requested
        ask = to
        self.requested.remove(ask)
        trades = [
            AnsweredTrade(
                "0xa", "1", "BUY", Decimal("0.5"), Decimal(1), at, f"0x{len(times_s)}{place}{at}", 1
            )
            for place, at in enumerate(times_s)
        ]
        cursor = f"after {times_s}" if more else None
        parsed = Parsed(trades=trades, next_cursor=cursor, keys=[trade.key for trade in trades])
        assert not list(ask.on_complete(Answer(ask, 200, parsed, self.run.clock.now_ns(), 1)))


@asynccontextmanager
async def trading(folder: Path, ahead_s: int = 0) -> AsyncIterator[Trades]:
    """`ahead_s`: of our clock."""
    async with at_work(Trades, folder, start=(VENUE_S + ahead_s) * SECOND) as spider:
        await spider.prepare()
        yield spider


def requested_markets(ask: PendingRequest) -> tuple[str, ...]:
    assert ask.scope is not None
    return ask.scope.subjects


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
        assert spider.requested, "the first page does not reach what was read before"
        spider.answer(VENUE_S - 6, VENUE_S - 5 - LATE_S, VENUE_S - 500, more=True)
        assert not spider.requested


async def test_a_clock_that_is_behind_costs_pages_only(tmp_path: Path) -> None:
    async with trading(tmp_path, -3600) as spider:
        spider.tick(market(0, "0xa"))
        spider.answer(VENUE_S - 5)
        spider.tick(market(0, "0xa"))
        spider.answer(VENUE_S, VENUE_S - 3000, more=True)
        assert spider.requested


async def test_what_nobody_trades_is_not_walked_for_ever(tmp_path: Path) -> None:
    """It ends when a walk was begun after it was tracked the last time."""
    async with trading(tmp_path) as spider:
        spider.tick(market(0, "0xa"))
        spider.answer()
        for _ in range(2):  # the second time the last walk is too young for what is listed late
            assert requested_markets(spider.tick()) == ("0xa",)
            spider.answer()
        step_clock(spider, LATE_S)
        assert requested_markets(spider.tick()) == ("0xa",)
        spider.answer()
        for _ in range(2):  # nor once it is forgotten
            assert spider.tick_all() == []


async def test_what_is_tracked_again_after_its_end_is_read_from_its_first_trade(tmp_path: Path) -> None:
    """Nothing is kept of a market that is not walked any more."""
    async with trading(tmp_path) as spider:
        one = market(0, "0xa")
        spider.tick(one)
        spider.answer(VENUE_S - 5)
        spider.tick()
        step_clock(spider, LATE_S)
        spider.answer()
        spider.tick()
        spider.answer()
        assert spider.tick_all() == []
        spider.tick(one)
        spider.answer(VENUE_S - 5, VENUE_S - 5 - LATE_S - 1, more=True)
        assert spider.requested, "the first page does not reach the first trade"


async def test_a_walk_with_others_takes_nothing_back(tmp_path: Path) -> None:
    async with trading(tmp_path) as spider:
        one, other = market(0, "0xa"), market(0, "0xb")
        read = VENUE_S - 5 - LATE_S
        spider.tick(other)
        spider.answer(read - 1000 + LATE_S)
        of_one, of_other = spider.tick_all(one, other)
        spider.answer(VENUE_S - 5, to=of_one)
        assert of_other.from_ns == (read - 1000) * SECOND
        spider.answer(to=of_other)
        assert spider.tick(one, other).from_ns == (read - 1000) * SECOND
        spider.answer(read - 900, read - 1001)
        assert spider.tick(one, other).from_ns == (read - 900 - LATE_S) * SECOND
        spider.answer()
        spider.tick(one)  # the other's last walk
        step_clock(spider, LATE_S)
        spider.answer()
        spider.tick(one)
        spider.answer()
        ask = spider.tick(one)
        assert requested_markets(ask) == ("0xa",)
        assert ask.from_ns == read * SECOND


async def test_the_gap_of_a_walk_begins_before_it_ends(tmp_path: Path) -> None:
    async with trading(tmp_path) as spider:
        one = market(0, "0xa")
        spider.tick(one)
        spider.answer(VENUE_S)
        step_clock(spider, -3600)
        ask = spider.tick(one)
        assert ask.from_ns is not None
        assert ask.from_ns <= spider.run.clock.now_ns()
