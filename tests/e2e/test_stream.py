"""Streams as a user runs them, against all that the simulated venue said."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from marketarchive.archive.reader import ArchiveReader
from marketarchive.venues.polymarket.clob import parse_book, verify_book
from marketarchive.venues.polymarket.market_channel import BookEvent, PriceChanges, decode
from tests.e2e.harness import Output, command, crawl, crawling, simulator
from tests.e2e.stream_truth import KINDS, compare, schedule, spells
from tests.waiting import until

pytestmark = pytest.mark.e2e

START = "2026-11-20T23:54:00Z"
ROUNDS = ("ahead=10m", "durations=5m,15m")


def _faulty(folder: Path, seconds: int, every_s: float, speed: float, start: str) -> None:
    faults = folder / "faults.json"
    faults.write_text(json.dumps(schedule(seconds, every_s)))
    options = ("--speed", str(speed), "--start", start, "--faults", str(faults))
    with simulator(folder / "truth", *options) as venue:
        done = crawl(
            venue.url,
            folder / "out",
            "polymarket_stream",
            *ROUNDS,
            f"duration={seconds}",
            timeout=7200,
        )
        assert venue.process.poll() is None, "the simulator did not keep up"
        assert done.code == 0, done.log[-3000:]
    compared = compare(folder / "out", folder / "truth")
    told = f"{compared.frames} frames, {len(compared.missing)} missing, {len(compared.gaps)} gaps"
    print(f"{told}, {compared.hidden} hidden by whole books")
    assert compared.frames > 10 * seconds
    assert compared.hidden < 0.001 * compared.frames
    assert not compared.unexplained, compared.unexplained[:5]
    assert not compared.groundless, compared.groundless[:5]
    verified = command("verify", folder / "out", "--books")
    assert verified.returncode == 0, verified.stdout


def test_every_lost_frame_is_in_a_gap_and_every_gap_is_true(tmp_path: Path) -> None:
    """Every kind of fault once, over midnight and the change of the hour."""
    _faulty(tmp_path, 60 * len(KINDS) + 60, every_s=60, speed=40, start=START)
    reasons = {gap.reason for gap in spells(tmp_path / "out", "stream", 0)}
    assert {"disconnect", "stall", "hash", "checksum"} <= reasons


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_six_hours(tmp_path: Path) -> None:
    """As above for six simulated hours."""
    speed = float(os.environ.get("SOAK_SPEED", "12"))
    _faulty(tmp_path, 6 * 3600, every_s=150, speed=speed, start="2026-11-20T20:10:00Z")


def test_without_faults_nothing_is_missing_and_segments_stand_alone(tmp_path: Path) -> None:
    """Over a change of the hour: the new segment begins with the books as they stood."""
    with simulator(tmp_path / "truth", "--speed", "40", "--start", "2026-11-20T10:59:20Z") as venue:
        done = crawl(venue.url, tmp_path / "out", "polymarket_stream", *ROUNDS, "duration=90")
        assert done.code == 0, done.log[-3000:]
    compared = compare(tmp_path / "out", tmp_path / "truth")
    assert compared.frames > 500
    assert not compared.missing
    assert not compared.gaps
    states = list(ArchiveReader(tmp_path / "out").messages(feed="stream", kinds=("book_state",)))
    books = [parse_book(state.payload) for state in states]
    tracked = {token for known in _tracked(tmp_path / "out") for token in known["tokens"].values()}
    assert {book.token for book in books} <= tracked
    written = max(state.envelope["derived_from_seq"] for state in states)
    carried = _events(tmp_path / "out", "10")[0] & _events(tmp_path / "out", "11", after=written)[1]
    assert len(carried) >= 6  # both tokens of the three rounds that went on
    assert carried <= {book.token for book in books}
    assert {verify_book(book)[0] for book in books} == {"ok"}
    assert all("hour=11" in state.path and state.envelope["derived_from_seq"] > 0 for state in states)


def test_a_named_market_ends_the_run_when_it_is_resolved(tmp_path: Path) -> None:
    with simulator(tmp_path / "truth", "--speed", "40", "--start", "2026-11-20T10:04:00Z") as venue:
        slug = "btc-updown-5m-1795168800"  # 10:00 to 10:05
        done = crawl(venue.url, tmp_path / "out", "polymarket_stream", f"markets={slug}")
        assert done.code == 0, done.log[-3000:]
    assert not Output(tmp_path / "out").gaps()
    [manifest] = Output(tmp_path / "out").manifests()
    assert manifest["exit_reason"] == "finished"
    closed = [
        line for line in Output(tmp_path / "out").lines("stream", "connection") if line["event"] == "closed"
    ]
    assert [line["close_code"] for line in closed] == [1000]


def test_a_kill_loses_a_second_and_the_next_start_says_so(tmp_path: Path) -> None:
    with simulator(tmp_path / "truth", "--start", "2026-11-20T10:02:00Z") as venue:
        out = tmp_path / "out"
        with crawling(venue.url, out, "polymarket_stream", *ROUNDS) as process:
            until(lambda: list(out.glob("raw/venue=*/feed=stream/**/*.part")))
            time.sleep(4)
            process.kill()
        sent = [
            line
            for line in map(json.loads, (tmp_path / "truth" / "frames.jsonl").read_text().splitlines())
            if line["line"] == "frame" and line["sent"]
        ]
        assert command("recover", out).returncode == 0
    frames = list(ArchiveReader(out).messages(feed="stream", kinds=("frame",)))
    last_sent, last_kept = max(line["simulated_ns"] for line in sent), max(one.received_at for one in frames)
    assert last_sent - last_kept < 2_000_000_000
    [gap] = [gap for gap in spells(out, "stream", last_sent) if gap.reason == "crash"]
    compared = compare(out, tmp_path / "truth")
    assert not compared.unexplained
    assert gap.first <= last_kept + 1_000_000
    assert command("verify", out).returncode == 0


def test_a_full_buffer_pauses_reading_and_loses_nothing(tmp_path: Path) -> None:
    options = ("--pace", "fixed", "--speed", "5", "--start", "2026-11-20T10:02:00Z")
    with simulator(tmp_path / "truth", *options) as venue:
        out = tmp_path / "out"
        done = crawl(venue.url, out, "polymarket_stream", *ROUNDS, "duration=60", ARCHIVE_BUFFER_SOFT=2000)
        assert done.code == 0, done.log[-3000:]
    [manifest] = Output(out).manifests()
    assert manifest["summary"]["stream"]["holds"] > 5
    compared = compare(out, tmp_path / "truth")
    assert compared.frames > 500
    assert not compared.missing
    assert not compared.gaps


def test_it_stops_within_seconds(tmp_path: Path) -> None:
    with simulator(tmp_path / "truth", "--start", "2026-11-20T10:02:00Z") as venue:
        out = tmp_path / "out"
        with crawling(venue.url, out, "polymarket_stream", *ROUNDS) as process:
            until(lambda: list(out.glob("raw/venue=*/feed=stream/**/*.part")))
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0
            assert time.monotonic() - started < 5
    assert command("verify", out, "--books").returncode == 0
    assert not Output(out).gaps()


def test_a_half_open_venue_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps([{"kind": "ws_half_open", "route": "ws-subscriptions*", "after": 20}]))
    with simulator(tmp_path / "truth", "--start", "2026-11-20T10:02:00Z", "--faults", str(faults)) as venue:
        out = tmp_path / "out"
        with crawling(venue.url, out, "polymarket_stream", *ROUNDS) as process:
            until(lambda: '"ws_half_open"' in (tmp_path / "truth" / "frames.jsonl").read_text())
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0
    assert command("verify", out).returncode == 0


def _events(out: Path, hour: str, after: int = 0) -> tuple[set[str], set[str]]:
    """Return the tokens that have a whole book in a segment of this hour, and those that have a change.

    after: the seq of a line; only later ones count
    """
    books: set[str] = set()
    changes: set[str] = set()
    for message in ArchiveReader(out).messages(feed="stream", kinds=("frame",)):
        if f"hour={hour}/" in message.path and message.seq > after:
            for event in decode(message.payload):
                if isinstance(event, BookEvent):
                    books.add(event.book.token)
                elif isinstance(event, PriceChanges):
                    changes.update(change.token for change in event.price_changes)
    return books, changes


def _tracked(out: Path) -> list[dict[str, dict[str, str]]]:
    [manifest] = Output(out).manifests()
    return list(manifest["summary"]["markets"]["tracked"].values())
