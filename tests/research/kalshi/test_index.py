"""Archived values of the index: what a frame says, which minute it is of, and what simulated ones prove."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ParseError
from marketarchive.research.labels.ground_truth import ground_truth
from marketarchive.research.products.kalshi_rounds.index_means import (
    CLOSING,
    IndexMinute,
    close_of,
    index_value,
)
from marketarchive.simulator.kalshi import Kalshi
from marketarchive.simulator.kalshi.rounds import INDICES, SERIES
from marketarchive.times import MILLISECOND, SECOND
from tests.research.kalshi.recording import START, index_frame, simulated, streamed

AT_MS = 1_710_000_000_123


def test_a_frame_carries_a_value_and_the_means_that_came_with_it() -> None:
    found = index_value(index_frame("68000.12", AT_MS, closing=("68000.23000000", 14)), 1)
    assert found is not None
    assert (found.market, found.at, found.value) == (
        "cfbenchmarks_value:BRTI",
        AT_MS * MILLISECOND,
        "68000.12",
    )
    assert [(mean.value, mean.prices) for mean in found.means if mean.name == CLOSING] == [
        ("68000.23000000", 14)
    ]
    without = index_value(index_frame("68000.12", AT_MS), 1)
    assert without is not None
    assert CLOSING not in {mean.name for mean in without.means}


@pytest.mark.parametrize(
    "other",
    [
        b'{"type":"ticker","sid":1,"msg":{}}\n',
        b'{"type":"subscribed","id":1,"msg":{"channel":"cfbenchmarks_value","sid":1}}\n',
        index_frame("1", 1).replace(b"cfbenchmarks_value", b"cfbenchmarks_value_5hz"),
    ],
)
def test_other_frames_carry_none(other: bytes) -> None:
    assert index_value(other, 1) is None


@pytest.mark.parametrize(
    "broken",
    [
        b'{"type":"cfbenchmarks_value","msg":{"index_id":"BRTI"}}',
        b'{"type":"cfbenchmarks_value","msg":null}',
        b'{"type":"cfbenchmarks_value"',
        index_frame("NaN", 1),
        index_frame("one", 1),
    ],
)
def test_a_frame_that_is_not_as_documented_is_named(broken: bytes) -> None:
    with pytest.raises(ParseError):
        index_value(broken, 1)


@given(st.integers(0, 10**13))
def test_a_minute_is_without_its_beginning_and_with_its_close(at_ms: int) -> None:
    close = close_of(at_ms)
    closes = [-(-at_ms // 900_000) * 900]
    assert close == (closes[0] if closes[0] * 1000 - 60_000 < at_ms <= closes[0] * 1000 else None)


def test_the_venues_own_mean_of_sixty_comes_first_and_others_after_it() -> None:
    minute = IndexMinute({ms * 1000: Decimal("1.00") for ms in range(60)}, closing=Decimal("1.006"))
    assert minute.means(2) == (Decimal("1.01"), Decimal("1.00"))
    assert minute.means(0) == (Decimal(1),)
    minute.values.popitem()
    assert minute.means(2) == (Decimal("1.01"),)
    minute.closing = None
    assert minute.means(2) == ()


def test_two_values_of_a_second_are_no_minute() -> None:
    values = {ms * 1000: Decimal(1) for ms in range(59)}
    assert IndexMinute(values | {57_500: Decimal(1)}).means(2) == ()
    assert IndexMinute(values | {59_000: Decimal(1)}).means(2) == (Decimal(1),)


def test_what_the_simulated_socket_sends_reproduces_every_series(tmp_path: Path) -> None:
    venue = Kalshi(1)
    command = {"channels": ["cfbenchmarks_value"], "index_ids": [INDICES[asset] for asset in SERIES.values()]}
    session = venue.session()
    told = [*session.received(json.dumps({"id": 1, "cmd": "subscribe", "params": command}), 0).frames]
    for close in (START, START + 900):
        told += session.due((close - 62) * SECOND, (close + 2) * SECOND)
    streamed(tmp_path, [(frame.ns or START * SECOND, frame.payload) for frame in told])
    rounds = [venue.rounds.make(series, START + 900) for series in SERIES]
    simulated(tmp_path, venue, rounds)
    found = {each.market_id: each for each in ground_truth(tmp_path).labels}
    assert len(found) == len(SERIES) == 4
    for each in rounds:
        made = found[each.ticker]
        assert each.oddity is None
        assert (made.verdict, made.resolved_outcome, made.reason) == ("reproduced", each.result, "")
        assert (made.strike, made.settlement) == (each.true_strike, each.final)
        assert (made.stated_strike, made.stated_settlement) == (each.true_strike, each.final)
        assert made.strike_kind == made.settlement_kind == "tick"
