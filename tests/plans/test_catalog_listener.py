"""The catalogue's live display: the last cycle of each phase, in whatever order its states come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from marketarchive.items import Cycle
from marketarchive.plans.catalog.listener import CycleListener
from marketarchive.times import SECOND

LAST_PAGE = Cycle(
    venue="kalshi", feed="markets", received_at=15 * SECOND, phase="snapshot", started=10 * SECOND,
    state="running", pages=3, markets=266, failures=0,
)  # fmt: skip
END = replace(LAST_PAGE, state="complete", received_at=16 * SECOND)
AT_ONCE = replace(LAST_PAGE, state="complete")
NEXT = replace(LAST_PAGE, started=20 * SECOND, received_at=20 * SECOND, pages=0, markets=0)


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        ((), "kalshi snapshot waiting"),
        ((LAST_PAGE,), "kalshi snapshot running pages 3 markets 266 failures 0 begun 20.0 s ago"),
        ((LAST_PAGE, END), "kalshi snapshot complete pages 3 markets 266 failures 0 begun 20.0 s ago"),
        ((END, LAST_PAGE), "kalshi snapshot complete pages 3 markets 266 failures 0 begun 20.0 s ago"),
        ((AT_ONCE, LAST_PAGE), "kalshi snapshot complete pages 3 markets 266 failures 0 begun 20.0 s ago"),
        ((END, LAST_PAGE, NEXT), "kalshi snapshot running pages 0 markets 0 failures 0 begun 10.0 s ago"),
    ],
)
def test_the_newest_state_of_the_last_cycle_is_shown(states: Sequence[Cycle], shown: str) -> None:
    listener = CycleListener(["kalshi"])
    for state in states:
        listener.apply(state)
    assert shown in listener.look(30 * SECOND).lines()
