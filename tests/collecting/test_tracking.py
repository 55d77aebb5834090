"""Which rounds a spider looks up: no more than it can need before the next look-up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from marketarchive.clock import sleep
from marketarchive.collecting.streams.websocket import CloseInfo
from marketarchive.items import Market
from marketarchive.spiders.polymarket_stream import PolymarketStream
from marketarchive.times import SECOND, utc
from marketarchive.venues.polymarket import queries, updown
from tests.collecting.streams import at_work, gaps, step_clock
from tests.master.markets import market

START = 1_795_168_800 * SECOND


class Rounds(PolymarketStream):
    """Lists no market; `bounds` are those of the rounds that it was to list."""

    async def discover(
        self, *, closed: bool = False, ended_since_ns: int | None = None, ends_until_ns: int | None = None
    ) -> dict[str, Market]:
        self.bounds.append(ends_until_ns)
        return {}

    bounds: list[int | None]


async def bound(spider: Rounds) -> int | None:
    """Return until when (wall ns) rounds end that the first look-up lists; None = all."""
    spider.bounds = []
    await spider.prepare()
    [until] = spider.bounds
    return until


@pytest.mark.parametrize("durations", ["5m", "5m,15m", "1d", None])
async def test_every_round_that_begins_before_the_next_look_up_is_asked_for(
    durations: str | None, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"durations": durations} if durations else {}
    async with at_work(Rounds, tmp_path, ahead="3m", **given) as spider:
        now = spider.run.clock.now_ns()
        until = await bound(spider)
        assert until is not None
        for duration in (durations or ",".join(updown.DURATIONS)).split(","):
            latest_start = now + (180 + 60) * SECOND  # of the last tick before the next look-up
            assert (
                latest_start + (updown.SECONDS[duration] + 3600 * (duration in ("4h", "1d"))) * SECOND
                <= until
            )


@pytest.mark.parametrize("given", [{}, {"ahead": "1h", "markets": "a-market"}])
async def test_without_a_bound_all_that_is_listed_is(given: dict[str, Any], tmp_path: Path) -> None:
    async with at_work(Rounds, tmp_path, **given) as spider:
        assert await bound(spider) is None


def test_the_bound_is_the_venues_parameter() -> None:
    requested = queries.rounds("1", closed=False, ends_until_ns=1_795_168_800 * SECOND)
    assert requested.params["end_date_max"] == "2026-11-20T10:00:00Z"
    assert "end_date_max" not in queries.rounds("1", closed=False).params


class ListedRounds(PolymarketStream):
    """Lists the rounds of 15 minutes that begin at `starts`, ns."""

    starts: tuple[int, ...] = ()

    async def discover(
        self, *, closed: bool = False, ended_since_ns: int | None = None, ends_until_ns: int | None = None
    ) -> dict[str, Market]:
        return {f"0x{start}": _round(start) for start in self.starts}


def _round(start: int) -> Market:
    return market(
        0,
        f"0x{start}",
        slug=f"btc-updown-15m-{start // SECOND}",
        asset="BTC",
        duration="15m",
        status="active",
        tokens={"Up": f"up {start}", "Down": f"down {start}"},
        start_at=utc(start),
        end_at=utc(start + 900 * SECOND),
    )


def _tokens(*starts: int) -> set[str]:
    return {token for start in starts for token in (f"up {start}", f"down {start}")}


async def test_no_step_of_the_wall_clock_ends_a_live_round_or_makes_one_late(tmp_path: Path) -> None:
    now, soon = START, START + 120 * SECOND
    async with at_work(ListedRounds, tmp_path, start=START, ahead="3m") as spider:
        spider.starts = (now,)
        await spider.prepare()
        step_clock(spider, 3 * 3600)
        await spider.look_up()
        spider.closed_by_venue(list(_tokens(now)), CloseInfo(1000, "", is_ours=False))
        assert set(spider.subscribed) == _tokens(now)
        spider.starts = (now, soon)
        step_clock(spider, -6 * 3600)
        await spider.look_up()
        assert set(spider.subscribed) == _tokens(now, soon)


async def test_a_round_that_is_subscribed_late_is_due_from_its_start(tmp_path: Path) -> None:
    """Or from the run's: what began before it is not its gap."""
    earlier = START - 300 * SECOND
    async with at_work(ListedRounds, tmp_path, start=START, speed=20, ahead="3m") as spider:
        before = spider.now()
        await spider.prepare()
        began = spider.now()
        late = (began // SECOND + 20) * SECOND
        await sleep(spider.run.clock, 25, spider.run.stop)
        spider.starts = (earlier, late)
        await spider.look_up()
        [pool] = spider.pools
        pool.stop()
        found = {token: gap for gap in gaps(spider) for token in gap.scope.subjects}
    assert found.keys() == _tokens(earlier, late)
    assert {found[token].from_ns for token in _tokens(late)} == {late}
    assert all(before <= found[token].from_ns <= began for token in _tokens(earlier))
    assert {(gap.reason, gap.cause) for gap in found.values()} == {("disconnect", "ours")}
