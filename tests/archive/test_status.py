from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from marketarchive.archive.ledger import Ledger
from marketarchive.archive.reader import ArchiveReader
from marketarchive.archive.recover import recover
from marketarchive.archive.scan import Scan
from marketarchive.archive.segment_scan import SegmentScan
from marketarchive.archive.status import FeedStatus, RunStatus, Status, status
from marketarchive.archive.tree import raw_files
from marketarchive.items import Gap, GapReason, Invalid
from marketarchive.pipelines.records import gap_row
from marketarchive.scope import Scope
from marketarchive.times import SECOND, iso
from tests.archive import museum
from tests.archive.writing import (
    FEED,
    NOON,
    VENUE,
    HandClock,
    ledger_of,
    open_run,
    parts_of,
    response,
    writer,
)

DAY_S = 86_400


def feed_of(found: Status, feed: str) -> FeedStatus:
    [one] = [each for each in found.feeds if each.feed == feed]
    return one


def run_of(found: Status, state: str) -> RunStatus:
    [one] = [each for each in found.runs if each.state == state]
    return one


def test_an_empty_folder_is_empty_and_stays_so(tmp_path: Path) -> None:
    found = status(tmp_path, HandClock())
    assert found.is_empty
    assert found.room.free > 0
    assert list(tmp_path.iterdir()) == []


def test_figures_are_those_of_the_ledger_and_manifests(tmp_path: Path) -> None:
    museum.build(tmp_path)
    clock = HandClock(NOON + 3 * DAY_S * SECOND)
    found = status(tmp_path, clock)
    entries = ledger_of(tmp_path) + ledger_of(tmp_path, "recovered")
    assert found.problems == []
    assert found.head == str(Ledger(tmp_path).head())
    done, recovered = run_of(found, "done"), run_of(found, "recovered")
    assert (done.spider, done.exit_reason, done.rows) == ("polymarket_orderbook", "finished", 1)
    assert (recovered.spider, recovered.exit_reason) == ("polymarket_markets", "crash")
    for run in (done, recovered):
        own = [entry for entry in entries if entry["run"] == run.run]
        assert run.lines == sum(entry["lines"] for entry in own)
        assert run.bytes == sum(entry["bytes"] for entry in own)
    assert done.invalid == 1
    for feed in found.feeds:
        own = [entry for entry in entries if entry["feed"] == feed.feed]
        assert feed.lines == sum(entry["lines"] for entry in own)
        kinds = Counter(entry["kind"] for entry in own)
        assert (feed.sealed, feed.recovered, feed.open) == (kinds["segment"], kinds["recovered"], 0)
    assert sum(feed.torn for feed in found.feeds) == len(ledger_of(tmp_path, "torn"))
    assert done.gaps == {"stall": 1}
    assert set(recovered.gaps) == {"crash"}
    assert found.gaps()["crash"] == (sum(recovered.gaps.values()),) * 2  # recovery was a moment ago
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "manifests").iterdir()}
    assert found.disk["manifests/"] == sum(sizes.values())


def test_alive_dead_and_open_files(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        alive = open_run(made)
        alive.write(response(alive))
        alive.flush().result()
        [part] = parts_of(tmp_path)
        clock.pass_s(5)
        os.utime(part, ns=(0, part.stat().st_mtime_ns - 30 * SECOND))
        found = status(tmp_path, clock)
        run = run_of(found, "alive")
        assert (run.run, run.pid, run.ended, run.rows) == (alive.run, os.getpid(), None, None)
        assert run.open_bytes == part.stat().st_size
        feed = feed_of(found, FEED)
        assert (feed.sealed, feed.open, feed.last_from) == (0, 1, "file")
        assert feed.last == pytest.approx(clock.now_ns() - 30 * SECOND, abs=5 * SECOND)
        # looking has not disturbed it
        alive.write(response(alive))
        alive.flush().result()
    # the writer was closed without its run: that is how a process dies
    dead = run_of(status(tmp_path, clock), "dead")
    assert (dead.run, dead.started, dead.ended) == (alive.run, NOON, None)


def test_a_part_whose_lock_is_gone_belongs_to_a_dead_run(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
        run.write(response(run))
        run.flush().result()
    (tmp_path / "manifests" / f"{run.name}.lock").unlink()
    dead = run_of(status(tmp_path, HandClock()), "dead")
    assert (dead.name, dead.venue) == (run.name, VENUE)
    assert dead.open_bytes > 0


def test_recovery_does_not_make_data_look_newer(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_run(made)
        run.write(response(run))
        run.flush().result()
    [part] = parts_of(tmp_path)
    two_hours_ago = part.stat().st_mtime_ns - 7200 * SECOND
    os.utime(part, ns=(two_hours_ago, two_hours_ago))
    clock.pass_s(7200)
    recover(tmp_path, clock)
    feed = feed_of(status(tmp_path, clock), FEED)
    assert feed.recovered == 1
    assert feed.last == pytest.approx(clock.now_ns() - 7200 * SECOND, abs=5 * SECOND)


def test_gaps_of_a_living_run_and_of_the_last_day(tmp_path: Path) -> None:
    clock = HandClock()

    def row(run: str, reason: str, hours_ago: float) -> bytes:
        noticed = iso(clock.now_ns() - int(hours_ago * 3600 * SECOND))
        told = {"run": run, "venue": VENUE, "feed": FEED, "reason": reason, "noticed_at": noticed}
        return json.dumps(told).encode()

    with writer(tmp_path, clock) as made:
        run = open_run(made)
        clock.pass_s(3 * DAY_S)
        for hours_ago in (60, 30, 1, 0.5):
            at = clock.now_ns() - int(hours_ago * 3600 * SECOND)
            run.write_record("gaps", at, row(run.run, "stall", hours_ago))
        run.write_record("gaps", clock.now_ns(), row("another-run", "dns", 2))
        run.flush().result()
        newest = max((tmp_path / "records").glob("gaps-*.jsonl"))
        with newest.open("ab") as file:
            file.write(b'{"run":"' + run.run.encode())  # in the writing
        found = status(tmp_path, clock)
    assert found.gaps() == {"dns": (1, 0), "stall": (2, 4)}
    assert run_of(found, "alive").gaps == {"stall": 4}


def test_a_gap_that_ended_in_parts_is_one_while_its_run_lives_and_after(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_run(made)
        scope = Scope(VENUE, FEED, ("a", "b", "c"), "c1", kind="token")
        first = Gap(VENUE, FEED, NOON, run.next_seq(VENUE, FEED), NOON - 5, None, scope, "stall", "venue")
        first = replace(first, id=f"{run.run}:{first.seq}")
        run.write(first)
        for key in scope.subjects:
            about = replace(scope, subjects=(key,))
            end = replace(first, seq=run.next_seq(VENUE, FEED), to_ns=NOON, scope=about)
            run.write(end)
            run.write_record("gaps", NOON, json.dumps(gap_row(end, run.run)).encode())
        run.flush().result()
        assert status(tmp_path, clock).gaps() == {"stall": (1, 1)}
        run.close("finished", {}).result()
    assert status(tmp_path, clock).gaps() == {"stall": (1, 1)}
    [entry] = ArchiveReader(tmp_path).segments()
    assert SegmentScan.of(Scan(tmp_path / entry["path"])).gaps == {"stall": 1}


def test_a_gap_that_turned_out_void_does_not_count_while_its_run_lives(tmp_path: Path) -> None:
    clock = HandClock()

    def ends(seq: int, id_seq: int, keys: tuple[str, ...], end: int) -> Gap:
        scope = Scope(VENUE, FEED, keys, "c1", kind="token")
        gap_id = f"{run.run}:{id_seq}"
        return Gap(VENUE, FEED, NOON, seq, NOON - SECOND, end, scope, "stall", "venue", id=gap_id)

    with writer(tmp_path, clock) as made:
        run = open_run(made)
        lines = [
            ends(2, 1, ("a", "b"), NOON),
            ends(3, 1, ("a",), NOON - SECOND),  # one of two is void
            ends(5, 4, ("a", "b"), NOON),
            ends(6, 4, ("b",), NOON - SECOND),
            ends(7, 4, ("a",), NOON - SECOND),
        ]
        for line in lines:
            run.write_record("gaps", NOON, json.dumps(gap_row(line, run.run)).encode())
        run.flush().result()
        assert status(tmp_path, clock).gaps() == {"stall": (1, 1)}


def test_gaps_that_have_no_row_count_by_the_end_of_their_run(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_run(made)
        for reason in get_args(GapReason):
            if reason in ("clock", "stall"):
                seq = run.next_seq(VENUE, FEED)
                run.write(Gap(VENUE, FEED, NOON, seq, NOON - 5, NOON, Scope(VENUE, FEED), reason, "ours"))
        run.close("finished", {}).result()
    clock.pass_s(3600)
    assert status(tmp_path, clock).gaps() == {"clock": (1, 1), "stall": (0, 1)}
    clock.pass_s(DAY_S)
    assert status(tmp_path, clock).gaps()["clock"] == (0, 1)


def test_markets_of_a_living_run_are_those_of_its_newest_rows(tmp_path: Path) -> None:
    def row(run: str, tick: int, market: int) -> bytes:
        told = {"timestamp": iso(NOON + tick * SECOND), "run": run, "market_id": f"m{market}"}
        return json.dumps(told).encode()

    with writer(tmp_path) as made:
        run = open_run(made)
        for asset, markets in (("btc", 7), ("eth", 3)):
            for tick in range(4):
                for market in range(markets + (5 if tick == 0 else 0)):  # some ended after the first tick
                    run.write_record(f"polymarket_{asset}", NOON, row(run.run, tick, market))
            run.write_record(f"polymarket_{asset}", NOON, row(run.run, 4, 0))  # a tick in the writing
            run.write_record(f"polymarket_{asset}", NOON, row("another-run", 4, 0))
        run.flush().result()
        assert run_of(status(tmp_path, HandClock()), "alive").markets == 10


def test_damage_is_named(tmp_path: Path) -> None:
    museum.build(tmp_path)
    museum.edit(museum.ledger(tmp_path), lambda lines: lines[1:])
    [problem] = status(tmp_path, HandClock()).problems
    assert problem.startswith("manifests/ledger.jsonl line 1: `previous` is not the digest")


@pytest.mark.parametrize("content", [None, b"", b'{"spider":"x"', b'{"spider":"x","raw":5}', b"\xff"])
def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    museum.build(tmp_path)
    entry = ledger_of(tmp_path, "manifest")[0]
    path = tmp_path / entry["path"]
    path.unlink() if content is None else path.write_bytes(content)
    [problem] = status(tmp_path, HandClock()).problems
    assert problem.startswith(f"{entry['path']}: ")


def test_what_has_moved_is_not_missed_and_other_manifests_are_no_runs(tmp_path: Path) -> None:
    museum.build(tmp_path)
    entry = ledger_of(tmp_path, "manifest")[0]
    (tmp_path / entry["path"]).unlink()
    moved = {"kind": "moved", "path": entry["path"], "sha256": entry["sha256"], "to": "elsewhere"}
    derived = tmp_path / "manifests" / "normalize-1.json"
    derived.write_text('{"command":"normalize","raw":["paths"]}')
    listed = {"kind": "manifest", "path": "manifests/normalize-1.json", "run": "1", "bytes": 1, "sha256": ""}
    Ledger(tmp_path).append(moved, listed)
    found = status(tmp_path, HandClock())
    assert found.problems == []
    assert len(found.runs) == 1


def test_a_lost_ledger_is_named(tmp_path: Path) -> None:
    museum.build(tmp_path)
    museum.ledger(tmp_path).unlink()
    assert "is missing or empty" in status(tmp_path, HandClock()).problems[0]


def test_a_first_segment_that_is_sealed_while_it_is_looked_at_is_no_lost_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    museum.build(tmp_path)
    path = museum.ledger(tmp_path)
    whole = path.read_bytes()
    path.unlink()

    def listed(root: Path) -> Iterator[str]:
        found = list(raw_files(root))
        path.write_bytes(whole)  # their files are there, and now their lines too
        return iter(found)

    monkeypatch.setattr("marketarchive.archive.status.raw_files", listed)
    assert status(tmp_path, HandClock()).problems == []


def test_no_segment_is_read(tmp_path: Path) -> None:
    """Whatever stands in them: their figures are the ledger's."""
    museum.build(tmp_path)
    before = status(tmp_path, HandClock())
    for path in tmp_path.glob("raw/*/*/*/*/*.gz"):
        path.write_bytes(b"\0" * path.stat().st_size)
    assert status(tmp_path, HandClock()).feeds == before.feeds


def test_invalid_lines_are_counted_per_feed(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
        run.write(response(run))
        run.write(Invalid(VENUE, FEED, NOON, 1, "Book", "no hash", ("hash",)))
        run.close("finished", {"exit_code": 0, "markets": {"count": 12, "tracked": {}}}).result()
    found = status(tmp_path, HandClock())
    assert feed_of(found, FEED).invalid == 1
    done = run_of(found, "done")
    assert (done.markets, done.exit_code, done.invalid) == (12, 0, 1)
