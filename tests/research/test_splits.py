"""Splits for training: events are whole, splits follow one another, rounds of a ladder do not straddle."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ArgumentError
from marketarchive.research.products.catalog.splits import first_of_each_question, shares_of, splits


def row(at: int, group: str, series: str | None = None, **said: Any) -> dict[str, Any]:
    plain = {"title": None, "subtitle": None, "resolution": None, "resolution_label": None}
    return {"platform": "p", "group": group, "series": series, "settled_at": at, **plain, **said}


def test_markets_are_split_by_time() -> None:
    rows = [row(at, str(at)) for at in range(10)]
    assert splits(rows, (0.6, 0.2, 0.2)) == ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    assert splits(rows, (0.1, 0.2, 0.7)) == ["train"] + ["validation"] * 2 + ["test"] * 7
    assert splits(rows, (1.0, 0.0)) == ["train"] * 10
    assert splits([], (0.5, 0.5)) == []


def test_rounds_of_a_ladder_do_not_straddle_a_border() -> None:
    rows = [row(at, str(at), "KXBTC15M") for at in range(6)]
    assert splits(rows, (0.5, 0.5)) == ["train"] * 3 + [None] + ["validation"] * 2


@given(
    st.lists(
        st.builds(row, st.integers(0, 30), st.sampled_from("abcdefgh"), st.sampled_from([None, "s"])),
        max_size=30,
    )
)
def test_events_are_whole_and_splits_follow_one_another(
    rows: list[dict[str, Any]],
) -> None:
    chosen = splits(rows, (0.6, 0.2, 0.2))
    of_groups: dict[str, set[str | None]] = {}
    times: dict[str | None, list[int]] = {}
    for each, name in zip(rows, chosen, strict=True):
        of_groups.setdefault(each["group"], set()).add(name)
        times.setdefault(name, []).append(each["settled_at"])
    assert all(len(names) == 1 for names in of_groups.values())
    known = [times[name] for name in ("train", "validation", "test") if name in times]
    for before, after in pairwise(known):
        assert max(before) < min(after)


def test_the_first_of_the_same_questions_is_kept() -> None:
    rows = [row(3, "a", title="Will it rain?"), row(1, "b", title="will it  RAIN"), row(2, "c"), row(2, "d")]
    assert first_of_each_question(rows) == [False, True, True, True]


@pytest.mark.parametrize("given", ["80", "80,30", "a,b", "50,60,-10"])
def test_shares_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(ArgumentError, match="percents like 80,10,10"):
        shares_of(given)
