"""Random faults: every missing item lies in a gap, no gap is without a cause, rows tell the truth."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.venues.channel import Proof
from tests.collecting.completeness.judge import Judge
from tests.collecting.completeness.venue_model import Fault, FaultKind, World
from tests.properties import examples

ARGS = {"delay": (1_500, 4_000, 9_000), "ahead": (3_000, 15_000, 600_000), "mute": (0, 1, 2)}
ARGS |= {"books mute": (0, 1, 2), "lost trade": (0, 1, 2)}


@st.composite
def faults(draw: st.DrawFn) -> Fault:
    kind: FaultKind = draw(st.sampled_from(get_args(FaultKind)))
    start = draw(st.integers(5, 80)) * 1_000
    duration = draw(st.sampled_from((1, 3, 6, 9, 12, 20, 35))) * 1_000
    return Fault(kind, start, start + duration, draw(st.sampled_from(ARGS.get(kind, (0,)))))


worlds = st.builds(
    World,
    proof=st.sampled_from(get_args(Proof)),
    rates=st.lists(st.sampled_from((300, 1_500, 4_000, 20_000, 90_000)), min_size=1, max_size=3),
    faults=st.lists(faults(), max_size=3),
    seed=st.integers(0, 10**6),
    length=st.sampled_from((40_000, 70_000, 150_000, 300_000)),
    skew=st.sampled_from((0, 0, 400, -400)),
    renew_s=st.sampled_from((None, None, 30.0)),
    unsubscribe_at=st.sampled_from((None, None, 35_000)),
    trade_ms=st.sampled_from((0, 700, 8_000, 90_000)),
    restarts=st.booleans(),
)


@pytest.mark.no_cover
@examples(200)
@given(worlds)
def test_what_is_missing_lies_in_a_gap_and_a_gap_has_a_cause(world: World) -> None:
    assert Judge(world.run()).problems() == []
