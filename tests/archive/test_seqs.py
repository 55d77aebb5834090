"""Sequence numbers as ranges: the same answers as a plain set and a plain count."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.archive.ledger import Entry
from marketarchive.archive.seqs import Seqs, Unwritten, claimed

BATCHES = st.lists(st.lists(st.integers(1, 40), max_size=12), max_size=8)


@given(BATCHES, BATCHES)
def test_like_a_set(one: list[list[int]], other: list[list[int]]) -> None:
    seqs, more = Seqs(), Seqs()
    for batch in one:
        seqs.add(list(batch))
    for batch in other:
        more.add(list(batch))
    seqs.update(more)
    counted = Counter(seq for batch in one + other for seq in batch)
    whole, twice = seqs.merged()
    assert [seq for first, last in whole for seq in range(first, last + 1)] == sorted(counted)
    assert all(after[0] > before[1] + 1 for before, after in pairwise(whole))
    assert {seq for first, last in twice for seq in range(first, last + 1)} == {
        seq for seq, count in counted.items() if count > 1
    }
    assert seqs.first_missing() == next(seq for seq in range(1, 42) if seq not in counted)


@given(BATCHES)
def test_the_first_number_that_is_not_written(batches: list[list[int]]) -> None:
    unwritten, written = Unwritten(), set[int]()
    for batch in batches:
        unwritten.remove(batch)
        written.update(batch)
        assert unwritten.first() == next(seq for seq in range(1, 42) if seq not in written)
        assert unwritten.is_gapless == (written == set(range(1, len(written) + 1)))


def test_a_million_in_order_are_one_range() -> None:
    seqs = Seqs()
    for start in range(1, 10**6, 1000):
        seqs.add(list(range(start, start + 1000)))
    assert seqs.merged() == ([(1, 10**6)], [])


@pytest.mark.parametrize(
    ("line", "ranges"),
    [
        ({"seq_min": 3, "seq_max": 6, "counts": {"frame": 3, "gap": 1, "end": 1}}, [(3, 6)]),
        ({"seq_min": 3, "seq_max": 7, "counts": {"frame": 3, "gap": 1, "end": 1}}, None),  # crossed over
        ({"seq_min": None, "seq_max": None, "counts": {"segment": 1, "end": 1}}, []),
        (
            {"seq_min": None, "seq_max": None, "counts": {"segment": 1, "gap": 1, "end": 1}},
            None,
        ),  # a crash gap
    ],
)
def test_what_a_ledger_line_tells(line: dict[str, object], ranges: list[tuple[int, int]] | None) -> None:
    found = claimed(Entry(1, b"", line))
    assert (None if found is None else found.merged()[0]) == ranges
