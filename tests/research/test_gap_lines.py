"""The newest line of a gap that names a subject holds for it: in Python, in SQL, by day, all the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.research.engine import connect
from marketarchive.research.tables import gaps
from tests.gap_lines import holding
from tests.properties import examples

if TYPE_CHECKING:
    import duckdb

Row = dict[str, Any]
NOON = datetime(2026, 11, 21, 12, tzinfo=ZoneInfo("UTC"))  # as Arrow gives it back
FEEDS = [("kraken", "stream"), ("kraken", "orderbook"), ("polymarket", "stream")]
RUN = "20261121T120000Z-0123abcd"
SCHEMA = gaps.nothing().schema
NOTHING: Row = dict.fromkeys(SCHEMA.names)
CURRENT = f"SELECT * FROM {gaps.current('stated')}"
OF_A_FEED = itemgetter("venue", "feed")
OF_A_DAY = itemgetter("venue", "feed", "date")


@st.composite
def rows_of_lines(draw: st.DrawFn) -> list[Row]:
    """Rows of gap lines, those of schema 1 among them: `id` null. `date`: a clock may have stepped back."""
    made: list[Row] = []
    first: dict[tuple[str, str], list[int]] = {}
    for seq in range(1, draw(st.integers(0, 12)) + 1):
        venue, feed = draw(st.sampled_from(FEEDS))
        known = first.setdefault((venue, feed), [])
        number = draw(st.sampled_from([None, seq, *known, *known]))
        if number == seq:
            known.append(seq)
        begin = draw(st.integers(0, 2))
        end = draw(st.none() | st.integers(begin, begin + 2))
        made.append(
            NOTHING
            | {
                "venue": venue,
                "feed": feed,
                "date": f"2026-11-2{draw(st.integers(1, 3))}",
                "from": NOON + timedelta(seconds=begin),
                "to": None if end is None else NOON + timedelta(seconds=end),
                "reason": "stall",
                "connection": draw(st.none() | st.just("c1")),
                "run": RUN,
                "seq": seq,
                "id": None if number is None else f"{RUN}:{number}",
                "subjects": draw(st.lists(st.sampled_from("abc"), max_size=3, unique=True)),
            }
        )
    return draw(st.permutations(made))


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """One for all examples: to open it takes longer than to ask it."""
    with connect() as opened:
        yield opened


def by_sql(database: duckdb.DuckDBPyConnection, rows: Iterable[Row]) -> list[str]:
    """The rows that hold by the SQL over all of them; comparable."""
    database.register("stated", pa.Table.from_pylist(list(rows), SCHEMA))
    found = database.sql(CURRENT).to_arrow_table().to_pylist()
    return comparable(found)


def by_python(rows: Iterable[Row], part: Any) -> list[Row]:
    """The rows that hold in each part, void ones too."""
    return [
        row
        for _, found in groupby(sorted(rows, key=part), part)
        for some in [list(found)]
        for row in gaps.newest_lines(some, some[0]["venue"], some[0]["feed"])
    ]


def comparable(rows: Iterable[Row]) -> list[str]:
    return sorted(str(sorted(row.items())) for row in rows)


def is_void(row: Row) -> bool:
    return bool(row["id"]) and row["id"] != f"{row['run']}:{row['seq']}" and row["from"] == row["to"]


@given(rows=rows_of_lines())
@examples(100)
def test_sql_and_python_agree(database: duckdb.DuckDBPyConnection, rows: list[Row]) -> None:
    alike = comparable(row for row in by_python(rows, OF_A_FEED) if not is_void(row))
    assert by_sql(database, rows) == alike
    assert by_sql(database, by_python(rows, OF_A_DAY)) == alike, "a day's file keeps what the other days need"


@given(rows=rows_of_lines())
@examples(100)
def test_the_newest_line_of_a_subject_holds(database: duckdb.DuckDBPyConnection, rows: list[Row]) -> None:
    stated = [row for row in rows if row["id"] is not None]
    due = holding((row["venue"], row["feed"], row, row["subjects"]) for row in stated)
    assert by_sql(database, stated) == comparable(dict(row) | {"subjects": list(held)} for row, held in due)


@given(rows=rows_of_lines())
@examples(100)
def test_lines_without_an_id_are_read_as_they_were(
    database: duckdb.DuckDBPyConnection, rows: list[Row]
) -> None:
    """A line without an end counts where none with an end, the same beginning and connection is newer."""
    old = [row | {"id": None} for row in rows]
    same = itemgetter("venue", "feed", "from", "connection")
    due = [
        row
        for row in old
        if row["to"] is not None
        or not any(
            same(row) == same(other) and other["to"] is not None and other["seq"] > row["seq"]
            for other in old
        )
    ]
    assert by_sql(database, old) == comparable(due)
