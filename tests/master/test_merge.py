"""Contracts of merging, on the pure functions: order of arrival, duplicates, point-in-time views."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.master.fields import DERIVED, FIELDS, JOURNALED, STATEMENTS, to_column
from marketarchive.master.in_order import InOrderState, is_in_order
from marketarchive.master.market import (
    REMEMBERED,
    MarketState,
    MergeState,
    is_late,
    recent_of,
    recent_text,
)
from marketarchive.master.observation import Key, MarketObservation, Prices
from marketarchive.master.outcome import Outcome, Standing
from marketarchive.master.timeline import DAY_US, Keep, Timeline
from tests.properties import examples


class Memory:
    """What the database keeps of one market, merged into batch by batch."""

    def __init__(self, keep: Keep = "changes", *, fast: bool = True) -> None:
        self.keep: Keep = keep
        self.fast = fast  # whether what is in order goes the short way
        self.row: dict[str, Any] | None = None
        self.journal: list[tuple[str, Key, str | None]] = []
        self.prices: dict[Key, Prices] = {}

    def write(self, batch: Iterable[MarketObservation]) -> None:
        ordered = sorted(batch, key=lambda each: each.key)
        recent = recent_of(self.row)
        late = is_late(recent, ordered[0].key)
        state: MergeState
        if self.fast and is_in_order(recent, ordered):
            state = InOrderState("p", "m", self.row, recent, self.prices, self.keep)
        else:
            entries = self.journal if late else None
            state = MarketState("p", "m", self.row, recent, entries, self.prices, self.keep)
        for observation in ordered:
            state.merge(observation)
        state.settle()
        self.row = {
            **(self.row or dict.fromkeys((*FIELDS, "resolution"))),
            **{name: to_column(FIELDS.get(name, "text"), value) for name, value in state.changed().items()},
            "created_at": state.created_at,
            "updated_at": state.updated_at,
            "recent": recent_text(state.recent),
        }
        self.prices = dict(sorted(state.prices.rows.items()))
        self.journal += [(change.field, change.key, change.new) for change in state.changes]

    def at(self, moment: int) -> dict[str, str | None]:
        end = Key(moment, "~", 0)
        return {
            name: Timeline([(key, new) for field, key, new in self.journal if field == name]).at(end)
            for name in (*JOURNALED, "resolution")
        }


def known_at(observations: Sequence[MarketObservation], moment: int) -> dict[str, str | None]:
    """The model: the newest statement of each field up to `moment`, and what they make of the outcome."""
    values: dict[str, str | None] = dict.fromkeys(JOURNALED)
    present = Standing()
    for observation in sorted(observations, key=lambda each: each.key):
        if observation.key.observed_at <= moment:
            before = dict(values)
            values |= {name: value for name, value in observation.values.items() if name in JOURNALED}
            for name in STATEMENTS:
                if values[name] != before[name]:
                    at = observation.key.observed_at
                    present = present.revised(before[name], values[name], values["outcomes"], at)
    return {**values, **present.columns(values["outcomes"])}


LABELS = '["Up","Down"]'
few = st.sampled_from(["a", "b"])
stated = st.tuples(
    st.sampled_from([None, "active", "closed", "resolved"]),
    st.sampled_from([None, "Up", "Down"]),
    st.sampled_from([None, '["1","0"]', '["0","1"]', '["0.5","0.5"]']),
    few,
).map(lambda said: Outcome(*said).text)
statements = st.fixed_dictionaries(
    {},
    optional={
        "title": few,
        "volume": st.sampled_from(["1", "2.5"]),
        "outcomes": st.just(LABELS),
        "listed_outcome": stated,
        "reported_outcome": stated,
    },
)
prices = st.one_of(st.none(), st.tuples(*[st.sampled_from(["0.4", "0.6", None])] * 5))


@st.composite
def histories(draw: st.DrawFn, most: int = REMEMBERED) -> list[MarketObservation]:
    """Distinct messages about one market, over a few days, some in the same microsecond."""
    keys = draw(
        st.lists(
            st.builds(
                Key,
                st.one_of(st.integers(0, 6), st.integers(0, 4).map(lambda day: day * DAY_US // 2)),
                st.sampled_from(["r1/v/f", "r2/v/f"]),
                st.integers(8, 11),
            ),
            min_size=1,
            max_size=most,
            unique=True,
        )
    )
    return [MarketObservation("p", "m", key, draw(statements), draw(prices)) for key in sorted(keys)]


def cut(
    observations: Sequence[MarketObservation], chance: random.Random
) -> list[Sequence[MarketObservation]]:
    """In batches of any size."""
    batches, start = [], 0
    while start < len(observations):
        end = start + chance.randint(1, 4)
        batches.append(observations[start:end])
        start = end
    return batches


def taken(
    batches: Iterable[Sequence[MarketObservation]], keep: Keep = "changes", *, fast: bool = True
) -> Memory:
    memory = Memory(keep, fast=fast)
    for batch in batches:
        memory.write(batch)
    return memory


@pytest.mark.parametrize("keep", ["changes", "all"])
@given(history=histories(), chance=st.randoms(use_true_random=False))
@examples(80)
def test_any_order_and_duplication_gives_the_same_market_and_snapshots(
    keep: Keep, history: list[MarketObservation], chance: random.Random
) -> None:
    shuffled = history + chance.choices(history, k=len(history))
    chance.shuffle(shuffled)
    expected = taken([history], keep)
    memory = taken(cut(shuffled, chance), keep)
    assert memory.row == expected.row
    assert memory.prices == expected.prices


@pytest.mark.parametrize("keep", ["changes", "all"])
@given(history=histories(most=40), chance=st.randoms(use_true_random=False))
@examples(80)
def test_the_short_way_of_what_is_in_order_gives_the_same(
    keep: Keep, history: list[MarketObservation], chance: random.Random
) -> None:
    batches = cut(history, chance)
    short, long = taken(batches, keep), taken(batches, keep, fast=False)
    assert short.row == long.row
    assert short.prices == long.prices
    assert short.journal == long.journal


@given(history=histories(), chance=st.randoms(use_true_random=False))
@examples(80)
def test_a_point_in_time_view_is_right_whatever_the_order_of_arrival(
    history: list[MarketObservation], chance: random.Random
) -> None:
    shuffled = history + chance.choices(history, k=len(history))
    chance.shuffle(shuffled)
    memory = taken(cut(shuffled, chance))
    for moment in sorted({each.key.observed_at + step for each in history for step in (-1, 0, 1)}):
        assert memory.at(moment) == known_at(history, moment)


@given(history=histories(most=40), chance=st.randoms(use_true_random=False))
@examples(100)
def test_in_order_with_duplicates_gives_the_identical_journal(
    history: list[MarketObservation], chance: random.Random
) -> None:
    doubled = sorted(history + chance.choices(history, k=5), key=lambda each: each.key)
    assert taken(cut(doubled, chance)).journal == taken([history]).journal


def stated_of(row: dict[str, Any] | None) -> dict[str, Any]:
    """The columns that do not depend on what was stated before."""
    assert row is not None
    return {
        name: value for name, value in row.items() if name not in (*DERIVED, "resolution", "content_hash")
    }


@given(history=histories(most=60), chance=st.randoms(use_true_random=False))
@examples(40)
def test_behind_more_than_is_remembered_what_is_stated_is_the_same_and_a_replay_mends_the_rest(
    history: list[MarketObservation], chance: random.Random
) -> None:
    shuffled = history.copy()
    chance.shuffle(shuffled)
    memory, expected = taken(cut(shuffled, chance)), taken([history]).row
    assert stated_of(memory.row) == stated_of(expected)
    for observation in history:
        memory.write([observation])
    assert memory.row == expected
    for observation in history:
        moment = observation.key.observed_at
        assert memory.at(moment) == known_at(history, moment)


@given(history=histories())
@examples(40)
def test_snapshots_stand_on_change_and_once_a_day(history: list[MarketObservation]) -> None:
    expected: dict[Key, Prices] = {}
    before: MarketObservation | None = None
    for observation in history:
        if observation.prices is None:
            continue
        if (
            before is None
            or before.prices != observation.prices
            or before.key.observed_at // DAY_US != observation.key.observed_at // DAY_US
        ):
            expected[observation.key] = observation.prices
        before = observation
    assert taken([history]).prices == expected


def test_the_last_statement_of_every_field_is_remembered_however_old() -> None:
    first = MarketObservation("p", "m", Key(1, "r", 1), {"title": "a"})
    later = [MarketObservation("p", "m", Key(t, "r", t), {"category": "c"}) for t in range(10, 60)]
    memory = taken([[first], *([each] for each in later)])
    memory.write([MarketObservation("p", "m", Key(0, "r", 1), {"title": "older"})])
    assert memory.row is not None
    assert memory.row["title"] == "a"
    assert memory.at(0)["title"] == "older"
    assert memory.at(1)["title"] == "a"


def test_two_values_in_one_message_do_not_depend_on_their_order() -> None:
    key = Key(1, "r", 1)
    one, two = (MarketObservation("p", "m", key, {"title": title}) for title in ("a", "b"))
    after = MarketObservation("p", "m", Key(2, "r", 2), {"title": "a"})
    for order in ([one, two, after], [two, one, after], [after, two, one], [after, one, two]):
        memory = taken([[each] for each in order])
        assert [memory.at(moment)["title"] for moment in (0, 1, 2)] == [None, "b", "a"], order


def test_every_field_has_its_own_bit_and_fields_of_the_journal_are_columns() -> None:
    assert set(JOURNALED) < set(FIELDS)
    assert len(FIELDS) < 62
