"""One row a second, whatever comes when: the newest observation of that second, or none, said as such."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from marketarchive.collecting.second_rows import Observed, SecondRows
from marketarchive.items import ReferencePrice
from marketarchive.times import SECOND
from tests.archive.writing import NOON, HandClock

GRACE_S = 5


def _rows(clock: HandClock) -> SecondRows:
    return SecondRows(
        clock.now_ns,
        partial(ReferencePrice, venue="acme", feed="prices", asset="BTC", source="poll"),
        GRACE_S,
    )


def _second(row: ReferencePrice) -> int:
    return int(row.tick_at.timestamp()) - NOON // SECOND


def test_an_observation_dated_ahead_is_in_no_row() -> None:
    """Its second would have a price that was received before it, or wait for ever."""
    clock = HandClock()
    rows = _rows(clock)
    for ahead_s in (3, 6, 600):
        rows.add(Observed(NOON + ahead_s * SECOND, Decimal(1), None, None, NOON, 1))
    clock.pass_s(700)
    assert [_second(row) for row in rows.due() if row.is_observed] == [3]


# (milliseconds after the start at which it was observed, seconds of delay)
_OBSERVED = st.lists(st.tuples(st.integers(0, 59_999), st.integers(0, 2 * GRACE_S)), max_size=80)


@given(_OBSERVED)
def test_every_second_is_one_row_with_what_came_in_time(observed: list[tuple[int, int]]) -> None:
    clock = HandClock()
    rows, given_rows = _rows(clock), []
    told = sorted((ms // 1000 + delay, ms, number) for number, (ms, delay) in enumerate(observed, 1))
    in_time: dict[int, int] = {}  # second -> the newest observation (ms) told before its row was given
    for now in range(60):
        for at, ms, number in told:
            if at == now:
                price = Decimal(ms + 1)
                rows.add(Observed(NOON + ms * 10**6, price, None, None, clock.now_ns(), number))
                if ms // 1000 >= now - 1 - GRACE_S:  # rows were given a second ago
                    in_time[ms // 1000] = max(ms, in_time.get(ms // 1000, 0))
        given_rows += list(rows.due())
        clock.pass_s(1)
    given_rows += list(rows.due(is_last=True))
    assert [_second(row) for row in given_rows] == list(range(60))
    for row in given_rows:
        newest = in_time.get(_second(row))
        assert row.is_observed == (newest is not None)
        assert row.mid == (None if newest is None else Decimal(newest + 1))
        assert (row.seq > 0) == (row.timestamp is not None) == (newest is not None)


def test_what_is_told_again_changes_nothing_and_missing_parts_are_added() -> None:
    clock = HandClock()
    rows = _rows(clock)
    rows.add(Observed(NOON, Decimal(2), None, None, NOON + 1, 1))
    rows.add(Observed(NOON, Decimal(2), None, None, NOON + 2, 2))
    clock.pass_s(GRACE_S + 1)
    [row] = rows.due()
    assert (row.seq, row.received_at, row.bid) == (1, NOON + 1, None)
    rows.add(Observed(NOON + SECOND, Decimal(2), None, None, NOON + 1, 3))
    rows.add(Observed(NOON + SECOND, Decimal(2), Decimal(1), Decimal(3), NOON + 2, 4))
    clock.pass_s(1)
    [row] = rows.due()
    assert (row.seq, row.bid, row.ask) == (4, Decimal(1), Decimal(3))


def test_a_step_of_the_clock_gives_no_second_twice() -> None:
    clock = HandClock()
    rows = _rows(clock)
    clock.pass_s(20)
    before = [_second(row) for row in rows.due()]
    clock.step_s(-10)
    assert not list(rows.due())
    clock.step_s(10)
    clock.pass_s(2)
    assert before + [_second(row) for row in rows.due()] == list(range(17))
    assert list(rows.due(is_last=True))[-1].is_observed == 0
