"""Torn segments: cut at every byte, every line that can be read whole comes out, and nothing else."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from marketarchive.archive import codec, lines
from marketarchive.archive.paths import lock_path, run_of
from marketarchive.archive.recover import recover
from marketarchive.archive.torn import IntactMember, LooseLines, TornScan, scan_torn
from marketarchive.archive.verify import verify
from marketarchive.items import Response
from tests.archive.writing import (
    FEED,
    NOON,
    VENUE,
    HandClock,
    open_run,
    parts_of,
    readable,
    response,
    writer,
)


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three members and an unfinished one, each flushed three times."""
    root = tmp_path_factory.mktemp("torn")
    clock = HandClock()
    with writer(root, clock, member_s=60.0) as made:
        run = open_run(made)
        for n in range(12):
            run.write(response(run, b'{"n":%d,"price":"0.00200000"}' % n))
            run.write(response(run, "<html>\u20ac</html>\r\n".encode()))
            run.flush().result()
            clock.pass_s(21)
    (found,) = parts_of(root)
    return found


def text_of(found: TornScan, path: Path) -> bytes:
    data = path.read_bytes()
    return b"".join(
        gzip.decompress(data[piece.offset : piece.offset + piece.bytes])
        if isinstance(piece, IntactMember)
        else piece.text
        for piece in found.pieces
        if isinstance(piece, IntactMember | LooseLines)
    )


def test_cut_at_every_byte(part: Path, tmp_path: Path) -> None:
    whole = part.read_bytes()
    every = readable(part)
    torn = tmp_path / part.name
    most = 0
    for size in range(len(whole) + 1):
        torn.write_bytes(whole[:size])
        found = scan_torn(torn)
        kept = [lines.parse(line) for line in text_of(found, torn).splitlines()]
        assert kept == readable(torn) == every[: len(kept)], size
        assert len(kept) >= most
        most = len(kept)
    assert most == len(every) == 25


def test_recovered_from_any_cut(part: Path, tmp_path: Path) -> None:
    """The whole way, at every thirtieth byte."""
    whole = part.read_bytes()
    name = part.relative_to(part.parents[5])
    for size in range(0, len(whole) + 1, 30):
        root = tmp_path / str(size)
        torn = root / name
        torn.parent.mkdir(parents=True)
        torn.write_bytes(whole[:size])
        lock = root / lock_path(str(run_of(name.as_posix())))  # it vouches for a part that tells nothing yet
        lock.parent.mkdir()
        lock.touch()
        kept = len(readable(torn))
        (found,) = recover(root, HandClock(NOON + 10**13)).runs
        assert verify(root).problems == [], size
        final = readable(root / found.recovered[0])
        assert len(final) == max(kept, 1) + 2  # the gap and the end; a segment line where there was none
        assert (root / found.torn[0]).read_bytes() == whole[:size]


def test_a_flipped_bit_of_a_finished_member_costs_that_member_at_most(part: Path, tmp_path: Path) -> None:
    whole = part.read_bytes()
    every = readable(part)
    torn = tmp_path / part.name
    first = scan_torn(part).pieces[0]
    assert isinstance(first, IntactMember)
    members_lines = gzip.decompress(whole[: first.bytes]).count(b"\n")
    for at in range(0, first.bytes, 7):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        torn.write_bytes(data)
        found = scan_torn(torn)
        kept = [lines.parse(line) for line in text_of(found, torn).splitlines()]
        assert all(line in every for line in kept), at
        assert len(kept) >= len(every) - members_lines, at


def test_a_message_in_parts_comes_whole_or_not_at_all(tmp_path: Path) -> None:
    body = b"x" * (lines.PART_BYTES + 10)
    first = lines.build(Response(VENUE, FEED, NOON, 1, "GET", "https://x", {}, 200, {}, 1.0, b"{}"))
    big = lines.build(Response(VENUE, FEED, NOON, 2, "GET", "https://x", {}, 200, {}, 1.0, body))
    path = tmp_path / "torn"
    whole, cut = first.data + big.data, first.data + big.data[: big.data.rindex(b"{")]
    for data, due in ((whole, whole), (cut, first.data)):
        stream = codec.compressor(1)
        path.write_bytes(stream.compress(data) + codec.flushed(stream))
        found = scan_torn(path)
        assert hashlib.sha256(text_of(found, path)).digest() == hashlib.sha256(due).digest()


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind":"frame","collected_at_utc":"2026-11-21T12:00:00.000000Z","seq":3,"connection":"c1","payload":{]}\n',
        b'{"kind":"frame","collected_at_utc":"2026-11-21T12:00:00.000000Z","seq":3,"connec\n',
        b'{"kind":"response","seq":3,"sha256":"00","payload":{}}\n',
        b'{"kind":"part","ref_seq":1,"part":1,"parts":1,"payload_text":""}\n',
        b"\n",
    ],
)
def test_what_cannot_have_been_written_ends_a_torn_member(tmp_path: Path, line: bytes) -> None:
    good = lines.build(Response(VENUE, FEED, NOON, 1, "GET", "https://x", {}, 200, {}, 1.0, b"{}")).data
    stream = codec.compressor(1)
    path = tmp_path / "torn"
    path.write_bytes(stream.compress(good + line + good) + codec.flushed(stream))
    assert text_of(scan_torn(path), path) == good
