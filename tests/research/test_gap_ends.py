"""Schema 2: a gap has an id, end lines name what came back, readers show one gap with its ends."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from marketarchive import Archive
from marketarchive.research.tables.normalize import normalize
from tests.research.streaming import Frame, Line, Lost, Rotate, Socket, record, rows
from tests.research.test_stream_api import SLUG, TRACKED, dump

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
BOTH = {"connection": "c1", "tokens": ["1", "2"]}
UP, DOWN = ({"connection": "c1", "tokens": [token]} for token in "12")
BEGUN = 2  # the place of the gap's first line
OPENED: list[Line] = [
    Socket(tokens=("1", "2"), has_keys=True),
    Frame(dump("1", "2"), 1),
    Lost(3, 3, BOTH, is_open=True, begun=BEGUN),
]


def spans(found: list[dict[str, Any]]) -> list[tuple[float, float | None, list[str]]]:
    """From, to (seconds after noon) and subjects, by seq."""
    return [
        (
            (gap["from"] - NOON).total_seconds(),
            None if gap["to"] is None else (gap["to"] - NOON).total_seconds(),
            list(gap["subjects"]),
        )
        for gap in sorted(found, key=lambda gap: gap["seq"])
    ]


def of_archive(root: Path) -> list[dict[str, Any]]:
    frame = Archive(root).gaps()
    found: list[Any] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return found


def test_a_gap_that_ended_is_one_row_with_both_ends(tmp_path: Path) -> None:
    record(tmp_path, [*OPENED, Lost(3, 5, BOTH, begun=BEGUN), Socket("closed", 10)], tracked=TRACKED)
    normalize(tmp_path)
    [gap] = rows(tmp_path, "gaps")
    assert spans([gap]) == [(3, 5, ["1", "2"])]
    assert gap["id"] == f"{gap['run']}:{gap['seq'] - 1}"
    [shown] = of_archive(tmp_path)
    assert list(shown["markets"]) == [SLUG]  # by its tokens


def test_what_came_back_alone_has_its_end_and_the_rest_has_none(tmp_path: Path) -> None:
    record(tmp_path, [*OPENED, Lost(3, 5, UP, begun=BEGUN)], tracked=TRACKED)
    normalize(tmp_path)
    assert spans(rows(tmp_path, "gaps")) == [(3, None, ["2"]), (3, 5, ["1"])]
    assert spans(of_archive(tmp_path)) == [(3, None, ["2"]), (3, 5, ["1"])]


def test_ends_of_other_days_count_too(tmp_path: Path) -> None:
    day = 86_400
    lines = [*OPENED, Lost(3, 5, UP, begun=BEGUN), *[Rotate()] * 24, Lost(3, day + 5, DOWN, begun=BEGUN)]
    record(tmp_path, lines, tracked=TRACKED)
    normalize(tmp_path)
    assert spans(rows(tmp_path, "gaps")) == [(3, None, ["2"]), (3, 5, ["1"])]
    assert spans(rows(tmp_path, "gaps", day="2026-11-22")) == [(3, day + 5, ["2"])]
    assert spans(of_archive(tmp_path)) == [(3, 5, ["1"]), (3, day + 5, ["2"])]


def test_two_gaps_alike_are_told_apart_by_their_ids(tmp_path: Path) -> None:
    lines = [*OPENED, Lost(3, 3, BOTH, is_open=True, begun=3), Lost(3, 5, BOTH, begun=3)]
    record(tmp_path, lines, tracked=TRACKED)
    normalize(tmp_path)
    assert spans(rows(tmp_path, "gaps")) == [(3, None, ["1", "2"]), (3, 5, ["1", "2"])]


def test_a_day_with_lines_of_both_schemas(tmp_path: Path) -> None:
    """The same connection, beginning, reason and detail: each end belongs to its own schema's beginning."""
    old = {"connection": "c1", "markets": [SLUG]}
    record(tmp_path, [*OPENED, Lost(3, 5, UP, begun=BEGUN), Lost(3, 6, old)], tracked=TRACKED)
    record(tmp_path, [Socket(tokens=("1", "2")), Lost(3, 3, old, is_open=True), Lost(3, 7, old)])
    normalize(tmp_path)
    found = spans(rows(tmp_path, "gaps"))
    assert sorted(found, key=str) == sorted(
        [(3, None, ["2"]), (3, 5, ["1"]), (3, 6, [SLUG]), (3, 7, [SLUG])], key=str
    )


def test_keys_and_texts_say_the_same(tmp_path: Path) -> None:
    """Coverage of a run that says what it subscribed by keys, and of one of schema 1 that has only texts."""
    seen = []
    for name, has_keys in (("old", False), ("new", True)):
        lines = [Socket(tokens=("1", "2"), has_keys=has_keys), Frame(dump("1", "2"), 1), Socket("closed", 9)]
        record(tmp_path / name, lines, tracked=TRACKED)
        normalize(tmp_path / name)
        seen.append(rows(tmp_path / name, "coverage"))
    assert seen[0] == seen[1]
    assert seen[0][0]["observed_s"] == 8


def test_keys_win_over_texts_that_no_venue_hook_can_read(tmp_path: Path) -> None:
    lines = [
        Socket(tokens=("1", "2"), text="sub 1 2", has_keys=True),
        Frame(dump("1", "2"), 1),
        Socket("closed", 9),
    ]
    record(tmp_path, lines, tracked=TRACKED)
    normalize(tmp_path)
    [row] = rows(tmp_path, "coverage")
    assert (row["tracked_s"], row["observed_s"]) == (9, 8)
