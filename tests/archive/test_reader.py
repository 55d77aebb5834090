"""The reader gives back the exact bytes, from the segments that were asked for and no others."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.archive import lines
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.reader import ArchiveReader, canonical_url, read_segment
from marketarchive.archive.recover import recover
from marketarchive.exceptions import ArchiveError, CorruptError
from marketarchive.invocation import command as named
from marketarchive.items import BookState, Connection, Frames, Gap, Invalid, Response
from marketarchive.scope import Scope
from marketarchive.times import SECOND
from tests.archive.writing import (
    NOON,
    VENUE,
    HandClock,
    frames,
    ledger_of,
    open_run,
    parts_of,
    response,
    two_hours,
    writer,
)
from tests.properties import examples

BODIES = [
    b"",
    b"{}",
    b'  {"price": 0.00200000}\r\n',
    b'{"a":"\xe2\x82\xac","payload":{"payload":1}}',
    b'{"a":NaN}',
    b'"\\ud800"',
    b"<html>\r\n</html>",
    bytes(range(256)),
    b"[" * 300 + b"]" * 300,
    b"\xff\xfe",
]


def archived(root: Path, *bodies: bytes) -> list[bytes]:
    with writer(root) as made:
        run = open_run(made)
        for body in bodies:
            run.write(response(run, body))
        run.write(frames(run, *bodies))
        run.close("finished", {}).result()
    return list(bodies)


def test_every_body_comes_back_byte_for_byte(tmp_path: Path) -> None:
    bodies = archived(tmp_path, *BODIES)
    reader = ArchiveReader(tmp_path)
    for kind in ("response", "frame"):
        assert [message.payload for message in reader.messages(kinds=(kind,))] == bodies
        assert [message.seq for message in reader.messages(kinds=(kind,))] == list(range(1, len(bodies) + 1))


@examples(30)
@given(st.lists(st.binary(max_size=80) | st.text(max_size=40).map(lambda text: text.encode()), min_size=1))
def test_whatever_was_received_comes_back(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes]
) -> None:
    root = tmp_path_factory.mktemp("any")
    archived(root, *bodies)
    for kind in ("response", "frame"):
        assert [message.payload for message in ArchiveReader(root).messages(kinds=(kind,))] == bodies


@pytest.mark.parametrize("fill", [b"x", "€".encode(), b"\xff"])
def test_large_bodies_are_joined_of_their_parts(tmp_path: Path, fill: bytes) -> None:
    body = fill * (2 * lines.PART_BYTES // len(fill)) + b"the end"
    with writer(tmp_path) as made:
        run = open_run(made)
        run.write(response(run, body))
        run.write(response(run, b"small"))
        run.flush().result()
        reader = ArchiveReader(tmp_path)
        assert [message.payload for message in reader.messages(open_parts=True)] == [body, b"small"]
        run.close("finished", {}).result()
    assert [message.payload for message in reader.messages()] == [body, b"small"]
    assert [message.line_number for message in reader.messages()] == [2, 6]


def test_messages_carry_where_they_come_from(tmp_path: Path) -> None:
    url = "ws://127.0.0.1:8900/ws-subscriptions-clob.polymarket.com/ws/market"
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_run(made)
        run.write(Connection(VENUE, "stream", NOON, run.next_seq(VENUE, "stream"), "c1", "opened", url))
        run.write(frames(run, b"[]"))
        run.write(BookState(VENUE, "stream", NOON, "c1", "1", 2, b'{"bids":[]}'))
        gap = Gap(
            VENUE,
            "stream",
            NOON,
            run.next_seq(VENUE, "stream"),
            NOON,
            None,
            Scope(VENUE, "stream"),
            "stall",
            "venue",
        )
        run.write(gap)
        run.write(Invalid(VENUE, "stream", NOON, 2, "Book", "no hash", ("hash",)))
        run.flush().result()
        clock.pass_s(3600)
        run.write(frames(run, b"{}"))
        run.close("finished", {}).result()
    kinds = ("connection", "frame", "book_state", "gap", "invalid")
    found = list(ArchiveReader(tmp_path).messages(kinds=kinds))
    assert [message.kind for message in found] == [*kinds, "frame"]
    assert [message.seq for message in found] == [1, 2, 0, 3, 0, 4]
    assert [message.payload for message in found] == [b"", b"[]", b'{"bids":[]}', b"", b"", b"{}"]
    (first, second) = (message for message in found if message.kind == "frame")
    assert (first.run, first.venue, first.feed) == (run.run, VENUE, "stream")
    assert first.received_at == NOON + 2 * 1000
    assert first.envelope == {
        "kind": "frame",
        "collected_at_utc": "2026-11-21T12:00:00.000002Z",
        "seq": 2,
        "connection": "c1",
    }
    assert [entry["path"] for entry in ledger_of(tmp_path)] == [first.path, second.path]
    assert (first.line_number, second.line_number) == (3, 2)
    for message in (first, second):  # the connection was opened in the segment before
        assert message.url == url
        assert message.canonical_url == "wss://ws-subscriptions-clob.polymarket.com/ws/market"


@pytest.mark.parametrize(
    ("requested", "canonical"),
    [
        ("http://127.0.0.1:8900/clob.polymarket.com/book", "https://clob.polymarket.com/book"),
        ("http://localhost:1/a.b/c?d=e", "https://a.b/c?d=e"),
        ("ws://127.0.0.1:8900/a.b/ws", "wss://a.b/ws"),
        ("http://127.0.0.1:8900/a.b", "https://a.b"),
        ("https://clob.polymarket.com/book", "https://clob.polymarket.com/book"),
        ("http://127.0.0.1:8900/_clock", "http://127.0.0.1:8900/_clock"),
        ("http://10.0.0.1:8900/a.b/c", "http://10.0.0.1:8900/a.b/c"),
        ("", ""),
    ],
)
def test_the_simulators_prefix_is_taken_off(requested: str, canonical: str) -> None:
    assert canonical_url(requested) == canonical


def test_selection_by_venue_feed_and_time(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_run(made)
        for n in range(4):
            for feed in ("orderbook", "trades"):
                seq = run.next_seq(VENUE, feed)
                run.write(
                    Response(
                        VENUE, feed, clock.now_ns(), seq, "GET", "https://a.b", {}, 200, {}, 1.0, b"%d" % n
                    )
                )
            run.flush().result()
            clock.pass_s(1800)
        run.close("finished", {}).result()
    reader = ArchiveReader(tmp_path)
    at = [NOON + n * 1800 * SECOND for n in range(4)]

    def found(**chosen: Any) -> list[tuple[str, bytes]]:
        return [(message.feed, message.payload) for message in reader.messages(**chosen)]

    assert len(found()) == 8
    assert found(venue="kalshi") == []
    assert found(feed="trades") == [("trades", b"%d" % n) for n in range(4)]
    assert found(feed="trades", since=at[1], until=at[3]) == [("trades", b"1"), ("trades", b"2")]
    assert found(feed="trades", since=at[3] + 1) == []
    assert len(reader.segments(venue=VENUE, feed="trades")) == 2
    assert len(reader.segments(feed="trades", until=at[2])) == 1
    assert len(reader.segments(feed="trades", since=at[2])) == 1
    assert [entry["first"] for entry in reader.segments()] == sorted(
        entry["first"] for entry in ledger_of(tmp_path)
    )


def test_a_segment_in_a_list_costs_no_memory_for_its_members(tmp_path: Path) -> None:
    two_hours(tmp_path)
    ledger = tmp_path / "manifests/ledger.jsonl"
    lines = [msgspec.json.decode(line) for line in ledger.read_bytes().splitlines()]
    [segment, *_] = [line for line in lines if line["kind"] == "segment"]
    member = [0, 100_000, 600, "0" * 64]
    with ledger.open("ab") as file:
        for n in range(1000):  # as `collect` leaves them, a member each minute
            path = segment["path"].replace("-1.jsonl.gz", f"-{n + 3}.jsonl.gz")
            file.write(msgspec.json.encode({**segment, "path": path, "members": [member] * 60}) + b"\n")
    reader = ArchiveReader(tmp_path)
    reader.segments()  # what is kept once for all calls
    tracemalloc.start()
    try:
        found = reader.segments()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == 1002
    assert held / len(found) < 5000


def test_open_parts_up_to_their_last_whole_line(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
        run.write(response(run, b"1"))
        run.flush().result()
        reader = ArchiveReader(tmp_path)
        assert [message.payload for message in reader.messages(open_parts=True)] == [b"1"]
        assert list(reader.messages()) == []
        (part,) = parts_of(tmp_path)
        whole = part.read_bytes()
        run.write(response(run, b"2"))
        run.flush().result()
        longer = part.read_bytes()
    seen = set()
    for size in range(len(whole), len(longer) + 1):  # however much of the next flush has arrived
        part.write_bytes(longer[:size])
        payloads = [message.payload for message in reader.messages(open_parts=True)]
        assert payloads in ([b"1"], [b"1", b"2"])
        seen.add(len(payloads))
    assert seen == {1, 2}
    part.write_bytes(longer + bytes(100))  # after a power cut: what is whole there is for recovery to say
    assert [message.payload for message in reader.messages(open_parts=True)] in ([], [b"1"], [b"1", b"2"])
    part.write_bytes(b"")
    assert list(reader.messages(open_parts=True)) == []
    part.write_bytes(longer)
    recover(tmp_path, HandClock())
    assert [message.payload for message in reader.messages(open_parts=True)] == [b"1", b"2"]
    assert [message.payload for message in reader.messages()] == [b"1", b"2"]


def test_a_damaged_segment_is_not_read_silently(tmp_path: Path) -> None:
    archived(tmp_path, *(b"%d" % n for n in range(50)))
    entry = next(entry for entry in Ledger(tmp_path).entries() if entry.kind == "segment")
    path = tmp_path / entry["path"]
    whole = path.read_bytes()
    text = gzip.decompress(whole)
    for damaged in (
        whole[: len(whole) // 2],
        whole[:300] + bytes([whole[300] ^ 1]) + whole[301:],
        whole + b"garbage",
        gzip.compress(text.replace(b'"seq":7,', b'"seq":7', 1)),
    ):
        path.write_bytes(damaged)
        with pytest.raises(CorruptError, match=f"run `{named('verify')}`"):
            list(read_segment(tmp_path, entry))
    path.unlink()
    with pytest.raises(ArchiveError, match="is in the ledger, but not on the disk"):
        list(ArchiveReader(tmp_path).messages(kinds=("response", "frame")))


def test_frames_of_several_connections_keep_their_own_urls(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
        for name in ("c1", "c2"):
            seq = run.next_seq(VENUE, "stream")
            run.write(Connection(VENUE, "stream", NOON, seq, name, "opened", f"wss://{name}.x/ws"))
        for name in ("c2", "c1", "c3"):
            run.write(Frames(VENUE, "stream", name, ((NOON, run.next_seq(VENUE, "stream"), b"[]"),)))
        run.close("finished", {}).result()
    urls = [message.url for message in ArchiveReader(tmp_path).messages()]
    assert urls == ["wss://c2.x/ws", "wss://c1.x/ws", ""]
