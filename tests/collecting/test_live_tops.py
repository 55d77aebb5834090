from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from marketarchive.collecting.polymarket.live_tops import LiveTops, Top
from marketarchive.times import SECOND

TOKEN = "1"
GRACE = 5 * SECOND
TIMES = st.integers(0, 30 * 10).map(lambda tenth: tenth * SECOND // 10)


def top(at: int, seq: int = 1, changed_ms: int | None = None) -> Top:
    bid = Decimal(seq) / 1000
    return Top(at, seq, at // 1_000_000 if changed_ms is None else changed_ms, bid, None, "ok")


def alive(tops: LiveTops, connection: str = "c1") -> None:
    """It had data in every second."""
    for second in range(60):
        tops.heard(connection, second * SECOND + 1)


@given(st.lists(TIMES, unique=True), st.data())
def test_at_a_tick_stands_the_newest_that_had_come_in_whatever_order_it_was_told(
    times: list[int], data: st.DataObject
) -> None:
    tops = LiveTops(SECOND)
    alive(tops)
    sent = {at: top(at, seq) for seq, at in enumerate(times)}
    for at in data.draw(st.permutations(times)):
        tops.told("c1", TOKEN, sent[at])
    for second in range(31):
        came = [at for at in times if at <= second * SECOND]
        assert tops.at(TOKEN, second * SECOND, GRACE) == (sent[max(came)] if came else None)


@given(st.lists(TIMES, unique=True), st.integers(0, 30))
def test_forgetting_changes_nothing_from_its_tick_on_and_bounds_what_is_kept(
    times: list[int], forgotten: int
) -> None:
    whole, short = LiveTops(SECOND), LiveTops(SECOND)
    for tops in (whole, short):
        alive(tops)
        for seq, at in enumerate(times):
            tops.told("c1", TOKEN, top(at, seq))
    short.forget(forgotten * SECOND)
    for second in range(forgotten, 31):
        tick = second * SECOND
        assert short.at(TOKEN, tick, GRACE) == whole.at(TOKEN, tick, GRACE)
    assert len(short._of["c1"].states.get(TOKEN, ())) <= 32 - forgotten


@given(st.lists(st.tuples(TIMES, TIMES)), st.integers(0, 30), st.booleans())
def test_no_tick_in_a_recorded_loss_has_prices(
    spells: list[tuple[int, int]], second: int, is_open: bool
) -> None:
    tops = LiveTops(SECOND)
    alive(tops)
    tops.told("c1", TOKEN, top(0))
    bounds = {min(spell): max(spell) for spell in spells}
    for since, until in bounds.items():
        tops.lost(TOKEN, since, None)
        if not is_open:
            tops.lost(TOKEN, since, until)
    tick = second * SECOND
    is_lost = any(since <= tick and (is_open or tick < until) for since, until in bounds.items())
    assert (tops.at(TOKEN, tick, GRACE) is None) == is_lost


@given(TIMES, TIMES, st.integers(0, 30))
def test_only_data_that_came_soon_after_a_tick_proves_it(before: int, after: int, second: int) -> None:
    tops = LiveTops(SECOND)
    tops.told("c1", TOKEN, top(0))
    tops.heard("c1", before)
    tops.heard("c1", after)
    tick = second * SECOND
    proves = any(tick < at <= tick + GRACE for at in (before, after))
    assert (tops.at(TOKEN, tick, GRACE) is not None) == proves


def test_of_two_connections_the_one_with_the_newer_book_counts() -> None:
    tops = LiveTops(SECOND)
    alive(tops, "c1")
    alive(tops, "c2")
    tops.told("c1", TOKEN, top(9 * SECOND, 1, changed_ms=100))
    tops.told("c2", TOKEN, top(8 * SECOND, 2, changed_ms=200))
    found = tops.at(TOKEN, 10 * SECOND, GRACE)
    assert found is not None
    assert found.seq == 2
    tops.ended("c2", 11 * SECOND)
    assert tops.at(TOKEN, 10 * SECOND, GRACE) == found
    still = tops.at(TOKEN, 11 * SECOND, GRACE)
    assert still is not None
    assert still.seq == 1


def test_a_blind_connection_knows_nothing_until_it_is_told_again() -> None:
    tops = LiveTops(SECOND)
    alive(tops)
    tops.told("c1", TOKEN, top(SECOND))
    tops.blind("c1", 3 * SECOND + 1)
    tops.told("c1", TOKEN, top(5 * SECOND + 1))
    known = [tops.at(TOKEN, second * SECOND, GRACE) is not None for second in range(8)]
    assert known == [False, True, True, True, False, False, True, True]


def test_what_stood_when_the_clock_was_set_stands_after_it() -> None:
    tops = LiveTops(SECOND)
    tops.told("c1", TOKEN, top(20 * SECOND, 1))
    tops.told("c1", TOKEN, top(3 * SECOND, 2))  # the clock was back already, and nobody had noticed
    tops.lost("2", 20 * SECOND, None)
    tops.restart(4 * SECOND)
    alive(tops)
    tops.told("c1", "2", top(0))
    found = tops.at(TOKEN, 5 * SECOND, GRACE)
    assert found is not None
    assert found.seq == 2
    assert tops.at("2", 5 * SECOND, GRACE) is None


def test_what_is_over_is_forgotten() -> None:
    tops = LiveTops(SECOND)
    tops.told("c1", TOKEN, top(SECOND))
    tops.lost(TOKEN, 2 * SECOND, 3 * SECOND)
    tops.ended("c1", 4 * SECOND)
    tops.drop(TOKEN)
    tops.forget(5 * SECOND)
    assert not tops._of
    assert not tops._lost
