"""Which rounds a spider looks up: no more than it can need before the next look-up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from marketarchive.items import Market
from marketarchive.spiders.polymarket_stream import PolymarketStream
from marketarchive.times import SECOND
from marketarchive.venues.polymarket import queries, updown
from tests.collecting.streams import at_work


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
    asked = queries.rounds("1", closed=False, ends_until_ns=1_795_168_800 * SECOND)
    assert asked.params["end_date_max"] == "2026-11-20T10:00:00Z"
    assert "end_date_max" not in queries.rounds("1", closed=False).params
