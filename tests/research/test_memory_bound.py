"""Bounded queries: what exceeds their memory goes to the disk, and other queries keep theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketarchive.research.engine import connect, run, sorting

_LIMIT = "SELECT current_setting('memory_limit')"


@pytest.mark.process  # works for seconds
def test_a_sort_larger_than_its_bound_is_right_and_leaves_the_bound_as_it_was(tmp_path: Path) -> None:
    rows = 1_000_000
    texts = f"SELECT sha256(range::VARCHAR) || repeat('x', 200) AS text FROM range({rows})"
    with connect(tmp_path / "spill") as connection:
        run(connection, "SET threads = 1")
        before = run(connection, _LIMIT)
        with sorting(connection):
            assert run(connection, _LIMIT) != before
            run(connection, f"COPY ({texts} ORDER BY text) TO '{tmp_path / 'sorted.parquet'}'")
        assert run(connection, _LIMIT) == before
        [(count, unordered)] = run(
            connection,
            f"""SELECT count(*), count(*) FILTER (text < before) FROM (
                    SELECT text, lag(text) OVER () AS before FROM '{tmp_path / "sorted.parquet"}')""",
        )
    assert (count, unordered) == (rows, 0)


def test_the_bound_ends_with_a_query_that_fails(tmp_path: Path) -> None:
    with connect(tmp_path / "spill") as connection:
        before = run(connection, _LIMIT)
        with pytest.raises(Exception, match="no such thing"), sorting(connection):
            run(connection, "SELECT error('no such thing')")
        assert run(connection, _LIMIT) == before
