"""Two recorders of one feed in one archive: each message once, gaps closed by each other, misses counted."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive import Archive
from marketarchive.research.recorders import longest, pairs_within, recorders
from marketarchive.research.report import sections
from marketarchive.times import SECOND
from tests.archive.writing import NOON
from tests.properties import examples
from tests.research.making import book
from tests.research.streaming import Frame, Line, Lost, Socket, record
from tests.venues.polymarket.rows import CONDITION
from tests.venues.polymarket.tape import START_MS, Tape

_OWN = ["time", "run", "seq", "connection", "index", "position", "verified", "is_stale", "gap_before"]


def frames_of(tape: Tape, count: int) -> list[tuple[float, bytes]]:
    """Frames of a tape, received so many seconds after noon; all books come first and last."""
    found = [*tape.frames(count), (tape.now * 1_000_000 + 100_000_000, tape.dump())]
    return [((ns - START_MS * 1_000_000) / SECOND, payload) for ns, payload in found]


def recording(
    tape: Tape, frames: Sequence[tuple[float, bytes]], lost: set[int], delay: float, *more: Line
) -> list[Line]:
    """Lines of a recorder that receives each frame `delay` later, but for the numbers in `lost`."""
    begin, end = frames[0][0] - 1, max(at for at, _ in frames) + 1
    received = [
        Frame(payload, at + delay) for number, (at, payload) in enumerate(frames) if number not in lost
    ]
    return [Socket(tokens=tape.tokens, at=begin), *received, *more, Socket("closed", end)]


def tracked(tape: Tape) -> dict[str, Any]:
    return {
        f"btc-updown-5m-{number}": {
            "condition_id": market.id,
            "tokens": dict(zip(("Up", "Down"), market.tokens, strict=True)),
        }
        for number, market in enumerate(tape.markets)
    }


def contents(archive: Archive, name: str, **chosen: Any) -> Counter[str]:
    """Rows of a frame without what is of the recording."""
    frame = getattr(archive, name)(exact=True, **chosen)
    return Counter(map(str, frame.drop(columns=[each for each in _OWN if each in frame]).to_dict("records")))


def events(payload: bytes) -> int:
    """How many messages of books a frame is: an event tells something of each of its tokens."""
    found = json.loads(payload)
    told = 0
    for event in found if isinstance(found, list) else [found]:
        if event["event_type"] == "book":
            told += 1
        elif event["event_type"] == "price_change":
            told += len({change["asset_id"] for change in event["price_changes"]})
    return told


@pytest.mark.process  # works for seconds
@given(
    seed=st.integers(0, 10**6), delay=st.sampled_from([0.0, 0.004, 7.5]), share=st.sampled_from([0.1, 0.4])
)
@examples(5)
def test_two_lossy_recorders_are_one_without_loss(seed: int, delay: float, share: float) -> None:
    """No message that either received is missing or doubled, and what each missed is counted exactly."""
    random = Random(seed)
    tape = Tape(seed, steps_ms=(1, 2, 30))
    frames = frames_of(tape, 40)
    inner = range(1, len(frames) - 1)
    lost_a = {number for number in inner if random.random() < share}
    lost_b = {number for number in inner if random.random() < share and number not in lost_a}
    with tempfile.TemporaryDirectory() as place:
        single, double = Path(place, "single"), Path(place, "double")
        record(single, recording(tape, frames, set(), 0), tracked=tracked(tape))
        first = record(double, recording(tape, frames, lost_a, 0), tracked=tracked(tape))
        second = record(double, recording(tape, frames, lost_b, delay), tracked=tracked(tape))
        one, two = Archive(single), Archive(double)
        for name in ("book_changes", "books", "trades"):
            assert contents(two, name) == contents(one, name), name
        verdicts = two.book_changes(columns="verified")["verified"]
        assert len(verdicts) == len(one.book_changes(columns="verified"))
        found = {row["run"]: row for row in two.recorders().to_dict("records")}
        assert found.keys() == {first, second}
        counts = [events(payload) for _, payload in frames]
        missed = {
            run: sum(counts[number] for number in lost) for run, lost in ((first, lost_a), (second, lost_b))
        }
        assert {run: row["missed"] for run, row in found.items()} == missed
        assert {row["both"] for row in found.values()} == {sum(counts) - sum(missed.values())}


SLUG = "btc-updown-5m-1784853900"
TRACKED = {SLUG: {"condition_id": CONDITION, "tokens": {"Up": "1", "Down": "2"}}}


def at(seconds: float) -> datetime:
    return datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(seconds=seconds)


def dump(second: int) -> bytes:
    """Both books of the market as they changed last at a second."""
    books = [json.loads(book(token, timestamp=str(NOON // 10**6 + second * 1000))) for token in ("1", "2")]
    return json.dumps([each | {"event_type": "book"} for each in books]).encode()


def seen(seconds: Sequence[int], *more: Line, delay: float = 0.0) -> list[Line]:
    """Lines of a recorder that received both books at each of these seconds."""
    frames = [Frame(dump(second), second + delay) for second in seconds]
    lines = sorted([*frames, *more], key=lambda line: line.end if isinstance(line, Lost) else line.at)  # type: ignore[attr-defined]  # all of these have one
    return [Socket(tokens=("1", "2"), at=0, has_keys=True), *lines, Socket("closed", 61)]


def test_what_one_recorder_missed_another_one_closes(tmp_path: Path) -> None:
    """Of three gaps one is closed whole, one in part, one not at all; raw keeps what each one recorded."""
    lost = {"tokens": ["1", "2"]}
    one = seen([1, 5, 20, 25, 40, 50, 59], Lost(6, 19, lost), Lost(26, 39, lost), Lost(51, 55, lost))
    other = seen([1, 5, 12, 20, 25, 34, 40, 50, 59], Lost(26, 33, lost), Lost(51, 55, lost), delay=0.01)
    first, second = record(tmp_path, one, tracked=TRACKED), record(tmp_path, other, tracked=TRACKED)
    archive = Archive(tmp_path)
    books = archive.books(token="1")
    assert [each.second for each in books["time"]] == [1, 5, 12, 20, 25, 34, 40, 50, 59]
    assert books["gap_before"].tolist() == [False] * 5 + [True, False, False, True]
    told = [(gap["from"][17:19], gap["to"][17:19]) for gap in books.attrs["gaps"]]
    assert sorted(set(told)) == [("26", "33"), ("51", "55")], "what is left of them"
    assert len(archive.gaps()) == 5, "as they were recorded"
    [day] = archive.coverage().to_dict("records")
    assert day["gapped_s"] == 7 + 4
    found = {row["run"]: row for row in archive.recorders().to_dict("records")}
    assert (found[first]["missed"], found[second]["missed"]) == (4, 0), "two books at two moments"
    assert (found[first]["gapped_s"], found[first]["closed_s"]) == (13 + 13 + 4, 13 + 6)
    assert (found[second]["gapped_s"], found[second]["closed_s"]) == (7 + 4, 0)
    assert not archive.book_at("1", at(10)).gap  # type: ignore[union-attr]  # there is one
    assert archive.book_at("1", at(30)).gap  # type: ignore[union-attr]  # likewise


def test_spans_side_by_side_are_the_whole_and_a_reconnect_misses_nothing(tmp_path: Path) -> None:
    """Receipts around a border are one message; a snapshot that only one of them requested is its own."""
    seconds = [1, 5, 12, 20, 25]
    again = [Socket("closed", 13), Socket(tokens=("1", "2"), at=14, connection="c2", has_keys=True)]
    fresh = Frame(dump(13), 15, connection="c2")
    rest = [Frame(dump(second), second + 0.2, connection="c2") for second in (20, 25)]
    lines = [*seen([1, 5, 12], delay=0.2)[:-1], *again, fresh, *rest, Socket("closed", 61, connection="c2")]
    record(tmp_path, seen(seconds), tracked=TRACKED)
    record(tmp_path, lines, tracked=TRACKED)
    archive = Archive(tmp_path)
    whole = archive.books()
    assert len(whole) == 2 * (len(seconds) + 1)
    parts = [
        archive.books(end=at(12.1)),
        archive.books(start=at(12.1), end=at(20)),
        archive.books(start=at(20)),
    ]
    assert [row for part in parts for row in part["seq"]] == whole["seq"].tolist()
    assert archive.recorders()["missed"].tolist() == [0, 0]
    assert archive.recorders(end=at(0)).empty


def test_what_is_left_of_a_gap_is_left_for_its_markets_alone(tmp_path: Path) -> None:
    """One recorder lost two markets for 8 s; the other one proved half of it, of one market."""
    slugs = {"1": SLUG, "3": f"{SLUG}-other"}
    tracked = {
        slugs["1"]: {"condition_id": CONDITION, "tokens": {"Up": "1", "Down": "2"}},
        slugs["3"]: {"condition_id": "0x3", "tokens": {"Up": "3", "Down": "4"}},
    }

    def told(second: int, tokens: Sequence[str]) -> bytes:
        stamp = str(NOON // 10**6 + second * 1000)
        markets = {token: CONDITION if token in "12" else "0x3" for token in tokens}
        found = [json.loads(book(token, timestamp=stamp, market=markets[token])) for token in tokens]
        return json.dumps([each | {"event_type": "book"} for each in found]).encode()

    every = ("1", "2", "3", "4")
    socket = [Socket(tokens=every, at=0, has_keys=True), Frame(told(1, every), 1)]
    end = [Frame(told(40, every), 40), Socket("closed", 41)]
    lost = Lost(2, 10, {"tokens": list(every)})
    record(tmp_path, [*socket, lost, *end], tracked=tracked)
    half = [Frame(told(2, ("1", "2")), 2), Lost(6, 10, {"tokens": ["1", "2"]})]
    whole_gap = Lost(2, 10, {"tokens": ["3", "4"]})
    record(tmp_path, [*socket, *half, whole_gap, *end], tracked=tracked)
    archive = Archive(tmp_path)
    for token, left in (("1", {("06", "10")}), ("3", {("02", "10")})):
        for books in (archive.books(token=token), archive.books(market=slugs[token])):
            assert {(gap["from"][17:19], gap["to"][17:19]) for gap in books.attrs["gaps"]} == left, token
    assert not archive.book_at("1", at(4)).gap  # type: ignore[union-attr]  # there is one
    assert archive.book_at("3", at(4)).gap  # type: ignore[union-attr]  # likewise


def test_of_many_pairs_those_that_recorded_together_longest_are_compared(tmp_path: Path) -> None:
    ended = (61, 41, 31)
    runs = []
    for end in ended:
        lines = [line for line in seen([1, 5, 20, 25]) if not (isinstance(line, Socket) and line.at)]
        runs.append(record(tmp_path, [*lines, Socket("closed", end)], tracked=TRACKED))
    assert len(recorders(tmp_path)) == 2 * 3
    rows = recorders(tmp_path, pairs=longest(pairs_within(tmp_path), 1)).to_pylist()
    assert {row["run"] for row in rows} == set(runs[:2])
    assert "The 12 of 13 pairs of runs that" in sections.recorders(rows, 13).text
    assert "pairs of runs" not in sections.recorders(rows, 1).text
