from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import importlib
import json
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import Future
from pathlib import Path

import duckdb
import pytest

from marketarchive.archive import codec
from marketarchive.archive.clock_evidence import evidence
from marketarchive.archive.config import ArchiveConfig, files_from_settings
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.paths import parse_segment_path
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.clock import Clock, RealClock, SteppedClock
from marketarchive.exceptions import ArchiveError, ConfigurationError, DiskError
from marketarchive.items import Connection, Frames, Gap, Invalid
from marketarchive.scope import Scope
from marketarchive.simulated_time import SimulatedClock
from marketarchive.times import SECOND, iso
from tests.archive.checking import check
from tests.archive.faulty_files import Held
from tests.archive.writing import (
    FEED,
    NOON,
    VENUE,
    HandClock,
    frames,
    ledger_of,
    open_run,
    parts_of,
    readable,
    response,
    segments,
    seqs,
    writer,
)
from tests.waiting import until


def test_a_run_leaves_a_sealed_segment_a_manifest_and_a_ledger(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_run(made, ARCHIVE_MEMBER_S=60)
        for _ in range(3):
            run.write(response(run))
        run.write(response(run, b"<html>slow down</html>", status=429))
        gap_seq = run.next_seq(VENUE, FEED)
        run.write(
            Gap(
                VENUE,
                FEED,
                NOON,
                gap_seq,
                NOON,
                None,
                Scope(VENUE, FEED, ("m",), kind="market"),
                "rate_limited",
                "venue",
                "429",
            )
        )
        run.write(Invalid(VENUE, FEED, NOON, 1, "Market", "no end", ("endDate",)))
        run.flush().result(10)
        clock.pass_s(2.5)
        manifest_path = run.close("finished", {"requests": 4}).result(10)

    (entry,) = ledger_of(tmp_path)
    path = tmp_path / entry["path"]
    assert entry["path"] == (
        f"raw/venue=polymarket/feed=orderbook/date=2026-11-21/hour=12/{run.name}-1.jsonl.gz"
    )
    stored = readable(path)
    assert [line.kind for line in stored] == [
        "segment", "response", "response", "response", "response", "gap", "invalid", "end",
    ]  # fmt: skip
    assert stored[4].payload == b"<html>slow down</html>"
    opened = stored[0].envelope
    assert (opened["n"], opened["seq_next"], opened["settings"]) == (1, 1, {"ARCHIVE_MEMBER_S": 60})
    assert opened["collected_at_utc"] == iso(NOON)
    assert opened["clock"].keys() == {
        "synchronised", "offset_ms", "error_bound_ms", "source", "boot_id", "simulated", "speed",
    }  # fmt: skip
    assert stored[-1].envelope == {
        "kind": "end",
        "lines": 8,
        "seq_min": 1,
        "seq_max": 5,
        "reason": "finished",
    }
    data = path.read_bytes()
    assert entry == {
        "kind": "segment",
        "path": entry["path"],
        "run": run.run,
        "spider": "polymarket_orderbook",
        "venue": "polymarket",
        "feed": "orderbook",
        "n": 1,
        "bytes": len(data),
        "lines": 8,
        "first": iso(NOON),
        "last": iso(NOON + 4_000_000),
        "seq_min": 1,
        "seq_max": 5,
        "counts": {"end": 1, "gap": 1, "invalid": 1, "response": 4, "segment": 1},
        "statuses": {"200": 3, "429": 1},
        "gaps": {"rate_limited": 1},
        "members": [[0, len(data), 8, hashlib.sha256(data).hexdigest()]],
        "sha256": hashlib.sha256(data).hexdigest(),
        "sealed_at_utc": iso(NOON + 2_500_000_000),
        "previous": "0" * 64,
    }
    manifest = json.loads((tmp_path / manifest_path).read_text())
    assert manifest_path == f"manifests/{run.name}.json"
    assert manifest["duration_s"] == 2.5
    assert (manifest["exit_reason"], manifest["recovered"]) == ("finished", False)
    assert (manifest["arguments"], manifest["summary"]) == ({"markets": "all"}, {"requests": 4})
    (feed,) = manifest["raw"]
    assert (feed["lines"], feed["counts"]["response"], feed["statuses"]) == (8, 4, {"200": 3, "429": 1})
    assert (feed["seq_min"], feed["seq_max"], feed["gaps"]) == (1, 5, {"rate_limited": 1})
    assert feed["files"][0]["sha256"] == entry["sha256"]
    first, second = Ledger(tmp_path).entries()
    assert manifest["ledger"] == {"count": 1, "head": first.sha256}
    assert second["sha256"] == hashlib.sha256((tmp_path / manifest_path).read_bytes()).hexdigest()
    assert Ledger(tmp_path).check() == []
    assert sorted(path.name for path in (tmp_path / "manifests").iterdir()) == [
        "ledger.jsonl",
        f"{run.name}.json",
    ]


@pytest.mark.process
def test_other_programs_read_what_is_sealed(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock, member_s=1.0) as made:
        run = open_run(made)
        for n in range(200):
            run.write(response(run, b'{"bids":[{"price":"0.%02d","size":"1"}],"n":%d}' % (n % 100, n)))
            if n % 50 == 49:
                clock.pass_s(1)
                run.flush().result(10)
        run.write(response(run, b"not JSON \xff"))
        run.write_record("polymarket_btc", NOON, b'{"is_observed":1}')
        run.close("finished", {}).result(10)
    (entry,) = ledger_of(tmp_path)
    assert len(entry["members"]) >= 4
    checked = check(tmp_path)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    jq = f"zcat {entry['path']} | jq -r 'select(.kind==\"response\") | .payload.n // empty'"
    numbers = subprocess.run(
        ["sh", "-c", jq], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert [int(number) for number in numbers.split()] == list(range(200))
    found = duckdb.sql(
        f"SELECT seq, payload->>'$.bids[0].price' FROM read_json('{tmp_path / entry['path']}', "
        "format='newline_delimited', columns={kind:'VARCHAR', seq:'BIGINT', payload:'JSON'}) "
        "WHERE kind='response' ORDER BY seq LIMIT 2"
    )
    assert found is not None
    assert found.fetchall() == [(1, "0.00"), (2, "0.01")]
    with gzip.open(tmp_path / entry["path"]) as file:
        assert json.loads(file.readlines()[-1])["kind"] == "end"


def test_every_line_kind_of_every_feed_is_dense_over_the_run(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock, segment_bytes=600) as made:
        run = open_run(made)
        for round_ in range(30):
            run.write(frames(run, *[b'{"n":%d}' % n for n in range(20)]))
            run.write(response(run, b"%d" % round_ * 200))
            connection = Connection(
                VENUE, "stream", NOON, run.next_seq(VENUE, "stream"), "c1", "opened", "wss://h"
            )
            run.write(connection)
            if round_ % 7 == 0:
                clock.pass_s(1801)
                run.flush().result(10)
        run.write(Frames(VENUE, "stream", "c1", ()))  # nothing
        run.close("finished", {}).result(10)
    entries = ledger_of(tmp_path)
    assert len(entries) > 6
    by_feed: dict[str, list[int]] = {FEED: [], "stream": []}
    for entry in entries:
        found = readable(tmp_path / entry["path"])
        assert found[-1].envelope["lines"] == entry["lines"] == len(found)
        assert (found[0].kind, found[-1].kind) == ("segment", "end")
        assert found[0].envelope["n"] == entry["n"]
        assert found[0].envelope["seq_next"] == len(by_feed[entry["feed"]]) + 1
        here = [line.envelope["seq"] for line in found if "seq" in line.envelope]
        assert (entry["seq_min"], entry["seq_max"]) == (min(here), max(here))
        by_feed[entry["feed"]] += here
        assert sum(entry["counts"].values()) == entry["lines"]
    assert by_feed == {FEED: list(range(1, 31)), "stream": list(range(1, 30 * 21 + 1))}
    reasons = {readable(tmp_path / entry["path"])[-1].envelope["reason"] for entry in entries}
    assert "size" in reasons
    names = [parse_segment_path(entry["path"]) for entry in entries if entry["feed"] == "stream"]
    assert [name.n for name in names if name] == list(range(1, len(names) + 1))


def test_what_was_written_before_a_mark_is_on_the_disk_once_it_is_synced(tmp_path: Path) -> None:
    with writer(tmp_path, flush_s=3600) as made:
        run = open_run(made)
        run.flush().result(10)
        for n in range(3):
            run.write(response(run, b'{"n":%d}' % n))
            mark = run.mark()
            assert not run.is_synced(mark)
            run.flush().result(10)
            assert run.is_synced(mark)
            (part,) = tmp_path.glob("raw/**/*.part")
            assert b'{"n":%d}' % n in zlib.decompressobj(31).decompress(part.read_bytes())
        run.close("finished", {}).result(10)


def test_a_segment_ends_with_the_utc_hour_even_when_nothing_comes(tmp_path: Path) -> None:
    clock = HandClock(NOON - SECOND)
    with writer(tmp_path, clock) as made:
        run = open_run(made)
        run.write(response(run))
        run.flush().result(10)
        assert len(parts_of(tmp_path)) == 1
        clock.pass_s(2)
        until(lambda: len(ledger_of(tmp_path)) == 1)
        assert parts_of(tmp_path) == []
        run.write(response(run))
        run.close("finished", {}).result(10)
    first, second = ledger_of(tmp_path)
    assert "/hour=11/" in first["path"]
    assert "/hour=12/" in second["path"]
    assert readable(tmp_path / first["path"])[-1].envelope["reason"] == "rotated"


def test_each_member_can_be_read_and_checked_alone(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock, member_s=60.0) as made:
        run = open_run(made)
        for _ in range(5):
            run.write(response(run))
            clock.pass_s(31)
            run.flush().result(10)
            run.flush().result(10)  # nothing new: nothing written
        run.close("finished", {}).result(10)
    (entry,) = ledger_of(tmp_path)
    data = (tmp_path / entry["path"]).read_bytes()
    assert len(entry["members"]) == 3
    offset = lines = 0
    for start, size, count, digest in entry["members"]:
        assert start == offset
        member = data[start : start + size]
        assert hashlib.sha256(member).hexdigest() == digest
        assert gzip.decompress(member).count(b"\n") == count
        offset, lines = offset + size, lines + count
    assert (offset, lines) == (len(data), entry["lines"])


def test_what_flush_promised_is_readable_while_the_segment_is_open(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
        for n in range(1, 40):
            run.write(response(run, b'{"n":%d}' % n))
            run.flush().result(10)
            (part,) = parts_of(tmp_path)
            assert seqs({"": readable(part)}) == list(range(1, n + 1))


def test_what_is_written_reaches_the_disk_without_being_asked(tmp_path: Path) -> None:
    with writer(tmp_path, flush_s=0.05) as made:
        run = open_run(made)
        run.write(response(run))
        until(lambda: seqs(segments(tmp_path)) == [1], 5)


def test_a_large_body_is_never_split_over_segments(tmp_path: Path) -> None:
    body = bytes(range(256)) * (20 * 4096)
    with writer(tmp_path, segment_bytes=1000, gzip_level=1) as made:
        run = open_run(made)
        run.write(response(run, body))
        run.write(response(run))
        run.close("finished", {}).result(30)
    first, second = ledger_of(tmp_path)
    assert first["counts"] == {"end": 1, "part": 3, "response": 1, "segment": 1}
    parts = [line.payload or b"" for line in readable(tmp_path / first["path"]) if line.kind == "part"]
    assert b"".join(parts) == body
    assert second["counts"]["response"] == 1


def test_a_slow_disk_fills_the_buffer_but_blocks_nobody(tmp_path: Path) -> None:
    files = Held()
    with writer(tmp_path, files=files, buffer_soft=100_000) as made:
        run = open_run(made)
        run.write(response(run))
        run.flush().result(10)
        assert made.stalled_s() < 5
        files.hold.set()
        run.write(response(run))
        until(files.is_hanging.is_set)
        started = time.monotonic()
        written = 1
        while made.has_room:
            run.write(response(run, b'"%s"' % (b"x" * 1000)))
            written += 1
        assert time.monotonic() - started < 5
        assert 70 < written < 110
        for _ in range(100):  # what is in flight is accepted above the limit too
            run.write(response(run, b'"%s"' % (b"x" * 1000)))
        assert made.buffered > 200_000
        until(lambda: made.stalled_s() > 0.1)
        assert made.failure is None
        done = run.flush()
        assert not done.done()
        files.hold.clear()
        files.release.set()
        done.result(10)
        assert made.has_room
        assert made.buffered == 0
        until(lambda: made.stalled_s() == 0.0)
        run.close("finished", {}).result(10)
    assert ledger_of(tmp_path)[0]["seq_max"] == written + 101
    assert seqs(segments(tmp_path)) == list(range(1, written + 102))


def test_many_threads_may_write_at_once(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)

        def work() -> None:
            for _ in range(300):
                run.write(response(run))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        run.close("finished", {}).result(10)
    assert seqs(segments(tmp_path)) == list(range(1, 1201))


def test_runs_of_one_process_share_a_writer_and_nothing_else(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        one, two = open_run(made), open_run(made, "polymarket_markets")
        assert one.run != two.run
        one.write(response(one))
        two.write(response(two))
        two.write(response(two))
        one.close("finished", {}).result(10)
        two.write(response(two))
        two.close("shutdown", {}).result(10)
    assert [(entry["spider"], entry["seq_max"]) for entry in ledger_of(tmp_path)] == [
        ("polymarket_orderbook", 1),
        ("polymarket_markets", 3),
    ]
    assert len(ledger_of(tmp_path, "manifest")) == 2


def test_the_lock_says_that_a_run_is_alive(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made, DOWNLOAD_TIMEOUT=10)
        lock = tmp_path / "manifests" / f"{run.name}.lock"
        assert json.loads(lock.read_text()) == run.identity
        assert run.identity.keys() == {
            "run", "spider", "venue", "feeds", "collector", "started_at_utc", "arguments", "settings", "pid",
        }  # fmt: skip
        with lock.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        run.close("finished", {}).result(10)
        assert not lock.exists()
        left = open_run(made)
        left.write(response(left))
    lock = tmp_path / "manifests" / f"{left.name}.lock"
    with lock.open() as file:  # a writer closed before its run leaves the run to recovery
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert len(parts_of(tmp_path)) == 1
    assert seqs(segments(tmp_path)) == [1]


def test_a_run_without_lines_has_a_manifest_all_the_same(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        path = open_run(made).close("nothing_due", {}).result(10)
    assert json.loads((tmp_path / path).read_text())["raw"] == []


def test_a_closed_run_refuses_more(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
        late = response(run)
        run.close("finished", {}).result(10)
        with pytest.raises(ArchiveError, match="is closed"):
            run.write(late)
        with pytest.raises(ArchiveError, match="is closed"):
            run.write_record("x", NOON, b"{}")
        with pytest.raises(ArchiveError, match="is closed"):
            run.close("finished", {})


@pytest.mark.parametrize("name", ["", "a/b", "..", "a-b", "a b"])
def test_names_that_cannot_be_paths_are_refused(tmp_path: Path, name: str) -> None:
    with writer(tmp_path) as made:
        with pytest.raises(ValueError, match="cannot be part of a file name"):
            made.open_run(name, VENUE, [], {}, {})
        run = open_run(made)
        with pytest.raises(ValueError, match="cannot be part of a file name"):
            run.next_seq(VENUE, name)


def test_two_runs_never_get_one_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(letter * 8 for letter in "aababc")
    monkeypatch.setattr("marketarchive.archive.paths.secrets.token_hex", lambda _: next(drawn))
    with writer(tmp_path) as made:
        first, second = open_run(made), open_run(made)
        assert (first.run[-9:], second.run[-9:]) == ("-aaaaaaaa", "-bbbbbbbb")
        first.close("finished", {}).result(10)
        assert open_run(made).run[-9:] == "-cccccccc"  # also not that of a run that has ended


def test_a_step_of_the_clock_is_a_gap_in_every_open_feed(tmp_path: Path) -> None:
    clock = HandClock(NOON + 60 * SECOND)
    with writer(tmp_path, clock) as made:
        run = open_run(made)
        run.write(response(run))
        run.write(response(run, feed="other"))
        run.flush().result(10)
        clock.step_s(-5)
        until(lambda: sum(line.kind == "gap" for found in segments(tmp_path).values() for line in found) == 2)
        clock.step_s(0.05)  # less than can be told from jitter
        clock.pass_s(10)
        run.flush().result(10)
        run.close("finished", {}).result(10)
    for entry in ledger_of(tmp_path):
        (gap,) = [line.envelope for line in readable(tmp_path / entry["path"]) if line.kind == "gap"]
        assert (gap["reason"], gap["cause"], gap["seq"]) == ("clock", "ours", 2)
        assert (gap["from"], gap["to"]) == (iso(NOON + 55 * SECOND), iso(NOON + 60 * SECOND))
        assert gap["scope"] == {"venue": VENUE, "feed": entry["feed"]}
        assert gap["detail"] == "wall clock stepped -5.000 s against the monotonic clock"
        assert entry["counts"]["gap"] == 1
    manifest = json.loads(next((tmp_path / "manifests").glob("*.json")).read_text())
    assert [feed["gaps"] for feed in manifest["raw"]] == [{"clock": 1}, {"clock": 1}]


def test_a_slew_of_the_clock_is_a_gap_when_it_amounts_to_a_step(tmp_path: Path) -> None:
    """Nine hundredths of a second in each second: no look differs from the one before by what a step is."""
    clock = HandClock(NOON)
    with writer(tmp_path, clock, flush_s=3600) as made:  # it looks only when it is woken
        run = open_run(made)
        run.write(response(run))
        for _ in range(6):
            run.flush().result(10)
            clock.pass_s(1)
            clock.step_s(0.09)
        run.close("finished", {}).result(10)
    [entry] = ledger_of(tmp_path)
    gaps = [line.envelope for line in readable(tmp_path / entry["path"]) if line.kind == "gap"]
    assert [(gap["reason"], gap["cause"]) for gap in gaps] == [("clock", "ours")] * 3
    assert {gap["detail"] for gap in gaps} == {"wall clock is off by +0.180 s against the monotonic clock"}
    look = SECOND + SECOND * 9 // 100
    assert [(gap["from"], gap["to"]) for gap in gaps] == [
        (iso(NOON + (number - 1) * look), iso(NOON + number * look)) for number in (2, 4, 6)
    ]


def test_real_and_simulated_clocks_do_not_step_by_themselves(tmp_path: Path) -> None:
    clocks: list[Clock] = [RealClock(), SimulatedClock.fixed(NOON, 200.0)]
    for number, clock in enumerate(clocks):
        root = tmp_path / str(number)
        with writer(root, clock, flush_s=0.01) as made:
            run = open_run(made)
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                run.write(response(run))
                run.flush().result(10)
            run.close("finished", {}).result(10)
        assert all("gap" not in entry["counts"] for entry in ledger_of(root))


def test_a_stepped_clock_is_noticed_on_real_time(tmp_path: Path) -> None:
    clock = SteppedClock(RealClock(), [(2.0, 3600.0)])  # after the writer has looked for the first time
    with writer(tmp_path, clock, segment_s=7200.0) as made:
        run = open_run(made)
        run.write(response(run))
        until(lambda: any(line.kind == "gap" for found in segments(tmp_path).values() for line in found), 60)


def test_clock_evidence_says_what_the_kernel_says() -> None:
    found = evidence(SimulatedClock.fixed(NOON, 20.0))
    assert (found["simulated"], found["speed"]) == (True, 20.0)
    if found["source"] is not None:
        assert found["source"] == "adjtimex"
        assert isinstance(found["synchronised"], bool)
        assert found["error_bound_ms"] >= 0
    boot = Path("/proc/sys/kernel/random/boot_id")
    assert found["boot_id"] == (boot.read_text().strip() if boot.exists() else None)


def test_where_the_kernel_does_not_say_the_evidence_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    found = evidence(RealClock())
    assert (found["synchronised"], found["offset_ms"], found["error_bound_ms"], found["source"]) == (
        None,
    ) * 4


def test_without_isal_the_standard_library_writes_the_same_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "isal", None)
        importlib.reload(codec)
        try:
            assert (codec.CODEC, codec.MAX_LEVEL) == ("zlib", 9)
            with writer(tmp_path, gzip_level=9) as made:
                run = open_run(made)
                run.write(response(run))
                run.flush().result(10)
                run.write(response(run))
                run.close("finished", {}).result(10)
            assert seqs(segments(tmp_path)) == [1, 2]
        finally:
            patch.undo()
            importlib.reload(codec)


def test_a_fault_of_our_own_ends_the_run_as_loudly_as_a_broken_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    with writer(tmp_path) as made:
        run = open_run(made)
        failures: list[DiskError] = []
        made.on_failure += [lambda _: broken(), failures.append]
        monkeypatch.setattr("marketarchive.archive.feed.lines.segment", broken)
        run.write(response(run))
        with pytest.raises(DiskError, match="a bug"):
            run.flush().result(10)
        until(lambda: len(failures) == 1)
    assert "The archive's writer stopped" in caplog.text
    assert "A callback for the disk's failure" in caplog.text


def test_an_impatient_waiter_does_not_break_the_writer(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
        waiting: Future[None] = run.flush()
        assert not waiting.cancel()
        run.write(response(run))
        run.close("finished", {}).result(10)


def test_settings_are_read_by_name() -> None:
    assert ArchiveConfig.from_settings({}) == ArchiveConfig()
    found = ArchiveConfig.from_settings(
        {"ARCHIVE_FLUSH_S": "0.5", "ARCHIVE_SEGMENT_BYTES": "1000", "ARCHIVE_GZIP_LEVEL": 0, "OTHER": 1}
    )
    assert (found.flush_s, found.segment_bytes, found.gzip_level) == (0.5, 1000, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ARCHIVE_FLUSH_S", "soon"),
        ("ARCHIVE_SEGMENT_BYTES", "1e3"),
        ("ARCHIVE_MEMBER_S", 0),
        ("ARCHIVE_SEGMENT_S", "-1"),
        ("ARCHIVE_GZIP_LEVEL", 10),
        ("ARCHIVE_STALL_S", []),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=name):
        ArchiveConfig.from_settings({name: value})


def test_the_disk_can_be_replaced_by_a_setting() -> None:
    assert type(files_from_settings({})) is Files
    assert type(files_from_settings({"ARCHIVE_FILES": "tests.archive.faulty_files.Held"})) is Held
    for wrong in (
        "nothing",
        "no.such.Files",
        "marketarchive.archive.files.Nothing",
        "collections.OrderedDict",
    ):
        with pytest.raises(ConfigurationError, match="ARCHIVE_FILES"):
            files_from_settings({"ARCHIVE_FILES": wrong})


def test_opening_a_run_on_a_broken_disk_is_a_disk_error(tmp_path: Path) -> None:
    class Broken(Files):
        def create(self, path: Path) -> int:
            raise OSError(errno.EROFS, "Read-only file system", str(path))

    with writer(tmp_path, files=Broken()) as made, pytest.raises(DiskError, match=r"\.lock.*Read-only"):
        open_run(made)


def test_a_writer_that_has_failed_opens_no_run(tmp_path: Path) -> None:
    made = ArchiveWriter(tmp_path, HandClock(), ArchiveConfig())
    made.failure = DiskError("gone")
    with pytest.raises(DiskError, match="gone"):
        open_run(made)


def test_a_step_of_the_clock_just_before_the_end_of_a_run_is_its_gap(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock, flush_s=3600) as made:  # it waits, and looks only when it is woken
        run = open_run(made)
        run.write(response(run))
        clock.step_s(7)
        run.close("finished", {}).result()
    [manifest] = [json.loads(path.read_text()) for path in (tmp_path / "manifests").glob("*.json")]
    assert [feed["gaps"] for feed in manifest["raw"]] == [{"clock": 1}]
