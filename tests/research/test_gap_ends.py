"""Schema 2: a gap has an id, and of its lines the newest one that names a subject holds for it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from marketarchive import Archive
from marketarchive.research.tables.normalize import normalize
from tests.e2e.harness import Output
from tests.e2e.stream_truth import spells
from tests.research.streaming import Frame, Line, Lost, Rotate, Socket, record, rows
from tests.research.test_stream_api import SLUG, TRACKED, change, dump

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


@pytest.mark.parametrize(
    ("later", "due"),
    [
        ([Lost(1, 5, BOTH, begun=BEGUN)], [(1, 5, ["1", "2"])]),
        ([Lost(3, 8, DOWN, begun=BEGUN)], [(3, 5, ["1"]), (3, 8, ["2"])]),
        ([Lost(3, 4, UP, begun=BEGUN)], [(3, 5, ["2"]), (3, 4, ["1"])]),
        ([Lost(3, 3, UP, is_open=True, begun=BEGUN, noticed=6)], [(3, 5, ["2"]), (3, None, ["1"])]),
        ([Lost(3, 3, UP, begun=BEGUN, noticed=6)], [(3, 5, ["2"])]),
        ([Lost(3, 3, BOTH, begun=BEGUN, noticed=6)], []),
        (
            [Lost(3, 3, BOTH, begun=BEGUN, noticed=6), Lost(2, 4, DOWN, begun=BEGUN, noticed=7)],
            [(2, 4, ["2"])],
        ),
    ],
    ids=["earlier", "later end", "earlier end", "open again", "void in part", "void", "and yet a gap"],
)
def test_an_end_is_replaced_by_a_later_line(
    later: list[Line], due: list[tuple[float, float | None, list[str]]], tmp_path: Path
) -> None:
    record(tmp_path, [*OPENED, Lost(3, 5, BOTH, begun=BEGUN), *later], tracked=TRACKED)
    normalize(tmp_path)
    by_begin = sorted(due, key=lambda span: span[0])
    assert sorted(spans(of_archive(tmp_path)), key=lambda span: span[0]) == by_begin


@pytest.mark.parametrize(
    ("rotations", "noticed"), [(0, 6), (24, 86_406)], ids=["on one day", "over midnight"]
)
def test_a_void_gap_is_none_for_any_reader(rotations: int, noticed: float, tmp_path: Path) -> None:
    void = Lost(3, 3, BOTH, begun=BEGUN, noticed=noticed)
    lines = [
        *OPENED,
        Frame(change("0.5", "9", best_bid="0.50"), 5),
        *[Rotate()] * rotations,
        void,
        Socket("closed", noticed + 3),
    ]
    record(tmp_path, lines, tracked=TRACKED)
    normalize(tmp_path)
    assert not of_archive(tmp_path)
    assert not Output(tmp_path).gaps()
    assert not spells(tmp_path, "stream", 0)
    [row] = rows(tmp_path, "gaps", day="2026-11-22" if rotations else "2026-11-21")[-1:]
    assert row["from"] == row["to"], "the table keeps it: it may make a line of another day void"
    quotes = Archive(tmp_path).quotes(token="1")
    assert quotes["gap_before"].tolist() == [False, False]
    coverage = rows(tmp_path, "coverage", day="2026-11-22" if rotations else "2026-11-21")
    assert not any(each["gapped_s"] for each in coverage)


def test_a_first_line_without_a_length_is_a_gap(tmp_path: Path) -> None:
    """A request that failed at once, say: only a later line says that there was none."""
    lines = [*OPENED[:2], Lost(4, 4, UP, begun=BEGUN), Lost(4, 4, DOWN)]
    record(tmp_path, lines, tracked=TRACKED)
    normalize(tmp_path)
    assert spans(of_archive(tmp_path)) == [(4, 4, ["1"]), (4, 4, ["2"])]
    assert len(Output(tmp_path).gaps()) == 2


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
