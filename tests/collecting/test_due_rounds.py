"""Rounds without tokens: each has its gap, also those that began and ended while the process stood still."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketarchive.collecting.polymarket.due_rounds import DueRounds
from marketarchive.items import Market
from marketarchive.times import SECOND, utc
from tests.collecting.letters import Letters
from tests.collecting.streams import at_work, gaps
from tests.master.markets import market

START = 1_795_168_800


def _round(start: int) -> Market:
    return market(
        0,
        f"0x{start}",
        slug=f"btc-updown-5m-{start}",
        asset="BTC",
        duration="5m",
        tokens={"Up": "1", "Down": "2"},
        start_at=utc(start * SECOND),
        end_at=utc((start + 300) * SECOND),
    )


@pytest.mark.parametrize("listed", [1, 4])
async def test_rounds_that_pass_while_the_process_stands_still_have_their_gaps(
    listed: int, tmp_path: Path
) -> None:
    """Also those that were listed, and were to be subscribed later."""
    async with at_work(Letters, tmp_path) as spider:
        due = DueRounds(spider)
        rounds = [_round(START + 300 * place) for place in range(listed)]
        due.learn(rounds, rounds[:1])
        due.look((START + 10) * SECOND)
        assert not gaps(spider)
        due.look((START + 1510) * SECOND)
        due.finish((START + 1520) * SECOND)
        found = {(gap.scope.subjects[0], gap.from_ns, gap.to_ns) for gap in gaps(spider) if gap.to_ns}
    starts = [START + 300 * place for place in range(1, 5)]
    whole = {(f"btc-updown-5m-{at}", at * SECOND, (at + 300) * SECOND) for at in starts}
    last = START + 1500
    assert found == whole | {(f"btc-updown-5m-{last}", last * SECOND, (START + 1520) * SECOND)}
