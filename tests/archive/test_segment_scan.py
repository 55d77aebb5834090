"""What lines of a segment cannot be right in themselves, each named with its number."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from marketarchive.archive import codec, lines
from marketarchive.archive.scan import Scan
from marketarchive.archive.segment_scan import MOST_PROBLEMS, SegmentScan
from marketarchive.items import Frames, Invalid, Response
from tests.archive.writing import FEED, NOON, VENUE, ledger_of, open_run, response, writer
from tests.archive.writing import frames as some_frames

SEGMENT = lines.segment("20261121T120000Z-0000", "s", VENUE, FEED, 1, 1, NOON, 1, {}, {}).data


def answer(seq: int, body: bytes = b"{}") -> bytes:
    return lines.build(
        Response(VENUE, FEED, NOON + seq, seq, "GET", "https://x", {}, 200, {}, 1.0, body)
    ).data


def frame(seq: int, body: bytes = b"{}") -> bytes:
    return lines.build(Frames(VENUE, FEED, "c1", ((NOON + seq, seq, body),))).data


def facts(*data: bytes, end: bool = True) -> SegmentScan:
    """Of a segment of these lines, with an end line that says what is there."""
    text = b"".join(data)
    found = SegmentScan()
    found.add(text.splitlines())
    if end:
        found.add([lines.end(found.lines + 1, found.seq_min, found.seq_max, "x")[:-1]])
    found.finish()
    return found


def test_the_same_figures_as_the_writer_counted(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
        for status in (200, 429, 200):
            run.write(response(run, b"x" * 10, status=status))
        run.write(response(run, b"\xff" * (lines.PART_BYTES + 1)))
        run.write(Invalid(VENUE, FEED, NOON, 1, "Book", "no hash", ("hash",)))
        run.write(some_frames(run, *(b"%d" % n for n in range(1000)), feed=FEED))
        run.close("finished", {}).result()
    (entry,) = ledger_of(tmp_path)
    scan = Scan(tmp_path / entry["path"])
    found = SegmentScan.of(scan)
    assert found.problems == []
    assert found.fields() == {key: entry[key] for key in found.fields()}
    assert (scan.bytes, scan.sha256, scan.lines) == (entry["bytes"], entry["sha256"], entry["lines"])
    assert [[one.offset, one.bytes, one.lines, one.sha256] for one in scan.members] == entry["members"]


def test_whole_lines_give_no_problem() -> None:
    found = facts(SEGMENT, answer(1), frame(2), answer(3, b"<html>"), frame(4))
    assert found.problems == []
    assert found.seqs.merged() == ([(1, 4)], [])


BIG = answer(2, b"x" * (lines.PART_BYTES + 1)).splitlines(keepends=True)


@pytest.mark.parametrize(
    ("data", "number", "what"),
    [
        ([answer(1)], 1, "the first line, and no other"),
        ([frame(1)], 1, "before the segment line"),
        ([SEGMENT, SEGMENT], 2, "the first line, and no other"),
        ([SEGMENT, b"{}\n"], 2, "not a line of the archive"),
        ([SEGMENT, b"\n"], 2, "not a line of the archive"),
        ([SEGMENT, b'{"kind":"response"}\n'], 2, "has no seq"),
        ([SEGMENT, b'{"kind":"gap","reason":"x"}\n'], 2, "lacks a key"),
        ([SEGMENT, answer(1).replace(b"{}}", b"{ }}")], 2, "sha256"),
        ([SEGMENT, frame(1, b"1")[:-2] + b"\n"], 2, "is truncated"),
        ([SEGMENT, lines.end(2, None, None, "x"), frame(1)], 3, "after the end line"),
        ([SEGMENT, lines.end(2, None, None, "x"), answer(1)], 3, "follows the end line"),
        ([SEGMENT, BIG[0], BIG[1]], 4, "1 of 2 parts"),
        ([SEGMENT, BIG[0], BIG[2], BIG[1]], 3, "not the next part"),
        ([SEGMENT, BIG[0], frame(3)], 2, "0 of 2 parts"),
        ([SEGMENT, BIG[1]], 2, "not the next part"),
        ([SEGMENT, BIG[0], BIG[1].replace(b"xx", b"xy", 1), BIG[2]], 5, "a sha256 that is not"),
    ],
)
def test_what_is_wrong_is_named(data: list[bytes], number: int, what: str) -> None:
    found = facts(*data)
    assert any(line == number and what in text for line, text in found.problems), found.problems


@pytest.mark.parametrize(
    "end", [lines.end(9, 1, 1, "x"), lines.end(3, 1, 2, "x"), lines.end(3, None, None, "x"), b""]
)
def test_the_end_line_must_say_what_is_there(end: bytes) -> None:
    found = facts(SEGMENT, answer(1), end, end=False)
    assert [number for number, _ in found.problems] == [found.lines]


def test_problems_of_one_file_are_bounded() -> None:
    assert len(facts(SEGMENT, b"noise\n" * 1000).problems) == MOST_PROBLEMS


def damaged_header(data: bytes) -> bytes:
    return b"\x00" + data[1:]


def cut(data: bytes) -> bytes:
    return data[:-4]


@pytest.mark.parametrize(
    ("change", "error", "unfinished"),
    [
        (damaged_header, True, False),
        (cut, False, True),
        (lambda data: data + b"garbage" * 10, True, False),
        (lambda data: data, False, False),
        (lambda data: b"", False, False),
    ],
)
def test_a_scan_says_why_it_stopped(
    tmp_path: Path, change: Callable[[bytes], bytes], error: bool, unfinished: bool
) -> None:
    path = tmp_path / "segment"
    stream = codec.compressor(1)
    data = change(stream.compress(SEGMENT + frame(1) + b"rest") + codec.finished(stream))
    path.write_bytes(data)
    scan = Scan(path)
    found = [line for batch in scan for line in batch]
    assert (bool(scan.error), scan.unfinished) == (error, unfinished)
    assert (scan.bytes, scan.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    if data and change is not damaged_header:
        assert found in ([], [SEGMENT[:-1], frame(1)[:-1]])


def test_a_line_over_many_chunks_is_joined_in_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    line = answer(1, bytes(range(256)) * 16_000)
    path.write_bytes(b"".join(_member(line * 2) for _ in range(3)))
    started = time.process_time()
    assert [one for batch in Scan(path) for one in batch] == [line[:-1]] * 6
    assert time.process_time() - started < 5


def _member(data: bytes) -> bytes:
    stream = codec.compressor(0)
    return stream.compress(data) + codec.finished(stream)
