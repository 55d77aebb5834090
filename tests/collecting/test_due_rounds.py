"""Rounds without tokens: each has its gap, also those that began and ended while the process stood still."""

from __future__ import annotations

from pathlib import Path

from marketarchive.collecting.polymarket.due_rounds import DueRounds
from marketarchive.times import SECOND, utc
from tests.collecting.letters import Letters
from tests.collecting.streams import at_work, gaps
from tests.master.markets import market

START = 1_795_168_800


async def test_rounds_that_pass_while_the_process_stands_still_have_their_gaps(tmp_path: Path) -> None:
    async with at_work(Letters, tmp_path) as spider:
        due = DueRounds(spider)
        known = market(
            0,
            "0x1",
            slug=f"btc-updown-5m-{START}",
            asset="BTC",
            duration="5m",
            tokens={"Up": "1", "Down": "2"},
            start_at=utc(START * SECOND),
            end_at=utc((START + 300) * SECOND),
        )
        due.learn([known])
        due.look((START + 10) * SECOND)
        assert not gaps(spider)
        due.look((START + 1510) * SECOND)
        due.finish((START + 1520) * SECOND)
        found = {(gap.scope.subjects[0], gap.from_ns, gap.to_ns) for gap in gaps(spider) if gap.to_ns}
    starts = [START + 300 * place for place in range(1, 5)]
    whole = {(f"btc-updown-5m-{at}", at * SECOND, (at + 300) * SECOND) for at in starts}
    last = START + 1500
    assert found == whole | {(f"btc-updown-5m-{last}", last * SECOND, (START + 1520) * SECOND)}
