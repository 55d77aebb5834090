"""Every operation on the disk may fail, and the power may go before any of them."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.exceptions import DiskError
from tests.archive.faulty_files import FailNth, Full, PowerCut, T
from tests.archive.writing import (
    FEED,
    NOON,
    HandClock,
    frames,
    ledger_of,
    open_run,
    readable,
    response,
    segments,
    seqs,
    writer,
)
from tests.waiting import until

ROUNDS = 3


class Outcome:
    """What the small run below was promised."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, int] = {FEED: 0, "stream": 0}  # feed -> highest seq promised to last
        self.rows = 0
        self.manifest: str | None = None
        self.failure: DiskError | None = None


def small_run(root: Path, files: Files) -> Outcome:
    """Two feeds, a day file, members, a rotation, an end: every kind of operation the write side has.

    One flush per step keeps the order of operations the same in every repetition.
    """
    outcome, clock = Outcome(), HandClock()
    failures: list[DiskError] = []
    with writer(root, clock, files, flush_s=1000.0, member_s=60.0) as made:
        made.on_failure.append(failures.append)
        try:
            run = open_run(made)
        except DiskError as error:
            outcome.failure = error
            return outcome
        try:
            for round_ in range(ROUNDS):
                run.write(response(run, b'{"round":%d}' % round_))
                run.write(frames(run, b"[1]", b"not JSON"))
                run.write_record("polymarket_btc", NOON, b'{"round":%d}' % round_)
                run.flush().result(20)
                outcome.acknowledged = {FEED: round_ + 1, "stream": 2 * (round_ + 1)}
                outcome.rows = round_ + 1
                clock.pass_s(1801)
            outcome.manifest = run.close("finished", {}).result(20)
        except DiskError as error:
            outcome.failure = error
        if outcome.failure is not None:
            assert made.failure is outcome.failure
            until(lambda: failures == [outcome.failure])
            assert isinstance(run.flush().exception(1), DiskError)
    return outcome


def check_what_is_left(root: Path, outcome: Outcome) -> None:
    """Everything promised is there, everything sealed is whole, the ledger is one chain."""
    ledger = Ledger(root)
    assert ledger.check() == []
    for entry in ledger.entries():
        if entry.fields is not None and entry.kind in {"segment", "manifest", "day_file"}:
            data = (root / entry["path"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == entry["sha256"], entry["path"]
            if entry.kind == "segment":
                assert gzip.decompress(data).count(b"\n") == entry["lines"]
    seen: dict[str, list[int]] = {FEED: [], "stream": []}
    for path, lines in segments(root).items():
        feed = path.split("feed=")[1].split("/")[0]
        seen[feed] += [line.envelope["seq"] for line in lines if "seq" in line.envelope]
        if path.endswith(".gz"):  # has its final name, so it must be whole
            assert lines[-1].kind == "end"
            assert lines[-1].envelope["lines"] == len(lines)
    for feed, highest in outcome.acknowledged.items():
        assert sorted(seen[feed])[:highest] == list(range(1, highest + 1)), feed
        assert len(set(seen[feed])) == len(seen[feed])
    rows = b"".join(path.read_bytes() for path in sorted(root.glob("records/*"))).split(b"\n")
    assert [json.loads(row)["round"] for row in rows[: outcome.rows]] == list(range(outcome.rows))
    if outcome.manifest is not None:
        assert [entry["path"] for entry in ledger_of(root, "manifest")] == [outcome.manifest]
        assert json.loads((root / outcome.manifest).read_text())["exit_reason"] == "finished"
        assert not list(root.glob("manifests/*.lock"))


@pytest.mark.parametrize("half", [False, True], ids=["nothing done", "half done"])
@pytest.mark.parametrize("persistent", [False, True], ids=["once", "from then on"])
def test_each_operation_failing_ends_the_run_and_breaks_no_promise(
    tmp_path: Path, persistent: bool, half: bool
) -> None:
    seen: set[str] = set()
    for n in range(1, 1000):
        root = tmp_path / str(n)
        files = FailNth(n, persistent=persistent, half=half)
        outcome = small_run(root, files)
        check_what_is_left(root, outcome)
        if not files.failed:  # a run passed untouched
            assert outcome.failure is None
            assert outcome.manifest is not None
            break
        operation, path = files.failed[0]
        seen.add(operation)
        assert outcome.failure is not None, (operation, path)
        assert str(path) in str(outcome.failure)
        assert "Input/output error (EIO)" in str(outcome.failure)
        assert "start again" in str(outcome.failure)
    assert n > 60
    assert seen >= {
        "create",
        "open_append",
        "write",
        "fdatasync",
        "fsync",
        "rename",
        "unlink",
        "sync_dir",
        "make_dir",
    }


def test_after_a_failure_what_is_handed_over_is_counted_and_not_kept(tmp_path: Path) -> None:
    with writer(tmp_path, files=FailNth(20, persistent=True), flush_s=1000.0) as made:
        run = open_run(made)
        for _ in range(10):
            run.write(response(run))
        assert isinstance(run.flush().exception(10), DiskError)
        lost = made.lost_lines
        for _ in range(100):
            run.write(response(run, b"x" * 1000))
            run.write(frames(run, b"1", b"2"))
            run.write_record("polymarket_btc", NOON, b"{}")
        assert made.lost_lines - lost == 400
        assert made.buffered == 0
        assert made.stalled_s() == 0.0
        assert isinstance(run.close("finished", {}).exception(10), DiskError)


def test_after_a_failure_the_disk_is_left_alone(tmp_path: Path) -> None:
    untouched = FailNth(0)
    small_run(tmp_path / "whole", untouched)
    for n in range(1, untouched.count + 1):
        files = Watcher(n)
        small_run(tmp_path / str(n), files)
        # All that may follow is the word in the lock file that tells recovery why.
        assert {path.suffix for _, path in files.after} <= {".lock"}, files.after


class Watcher(FailNth):
    """Operation `n` fails; `after` are those tried later, without attempts to read or close."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.after: list[tuple[str, Path]] = []

    def at(self, operation: str, path: Path, do: Callable[[], T]) -> T:
        if self.failed:
            self.after.append((operation, path))
        return super().at(operation, path, do)


def test_the_lock_tells_recovery_that_the_disk_failed(tmp_path: Path) -> None:
    class OneSync(FailNth):
        def at(self, operation: str, path: Path, do: Callable[[], T]) -> T:
            if operation == "fdatasync" and not self.failed:
                self.n = self.count + 1
            return super().at(operation, path, do)

    small_run(tmp_path, OneSync(0))
    (lock,) = tmp_path.glob("manifests/*.lock")
    identity, failed = [json.loads(line) for line in lock.read_text().splitlines()]
    assert identity["spider"] == "polymarket_orderbook"
    assert "Input/output error" in failed["failed"]


@pytest.mark.parametrize("certain_only", [True, False])
def test_power_cut_before_each_operation_loses_nothing_that_was_promised(
    tmp_path: Path, certain_only: bool
) -> None:
    random = Random(20261121)
    for n in range(1, 1000):
        root = tmp_path / str(n)
        root.mkdir()
        files = PowerCut(root, n)
        outcome = small_run(root, files)
        after = tmp_path / f"after-{n}"
        files.survive(after, None if certain_only else random)
        check_what_is_left(after, outcome)
        if outcome.failure is None:
            break
    assert n > 60
    assert outcome.manifest is not None


def test_a_ledger_line_lasts_when_append_returns(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    files = PowerCut(root, 0)
    head = Ledger(root, files).append({"kind": "label", "path": "raw"})
    files.survive(tmp_path / "after")
    assert Ledger(tmp_path / "after").head() == head


def test_a_run_is_known_to_recovery_when_open_run_returns(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    files = PowerCut(root, 0)
    with writer(root, files=files) as made:
        run = open_run(made)
        files.survive(tmp_path / "after")
    lock = tmp_path / "after" / "manifests" / f"{run.name}.lock"
    assert json.loads(lock.read_bytes()) == run.identity


@pytest.mark.parametrize("size", [0, 100, 1000, 2000, 3000, 4000, 5000])
def test_a_full_disk_ends_the_run_by_name(tmp_path: Path, size: int) -> None:
    outcome = small_run(tmp_path, Full(size))
    assert outcome.failure is not None
    assert "No space left on device (ENOSPC)" in str(outcome.failure)
    assert "Free space" in str(outcome.failure)
    check_what_is_left(tmp_path, outcome)


def test_a_full_disk_loses_no_sealed_hour(tmp_path: Path) -> None:
    clock, files = HandClock(), Full(10_000)
    with writer(tmp_path, clock, files) as made:
        run = open_run(made)
        written = 0
        while made.failure is None:
            run.write(response(run, Random(written).randbytes(100)))
            written += run.flush().exception(10) is None
            clock.pass_s(600)
        assert "ENOSPC" in str(made.failure)
    sealed = ledger_of(tmp_path)
    assert len(sealed) >= 2
    assert sum(entry["counts"]["response"] for entry in sealed) <= written <= len(seqs(segments(tmp_path)))
    for entry in sealed:
        assert readable(tmp_path / entry["path"])[-1].kind == "end"


CHILD = """
import sys
from pathlib import Path
from tests.archive.writing import HandClock, open_run, response, writer
with writer(Path(sys.argv[1])) as made:
    for _ in range(5):
        run = open_run(made, sys.argv[2])
        for _ in range(20):
            run.write(response(run))
        run.flush().result(30)
        run.close("finished", {}).result(30)
"""


@pytest.mark.process
def test_runs_of_several_processes_leave_one_valid_ledger(tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), f"spider{n}"]) for n in range(3)
    ]
    small_run(tmp_path, Files())
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert Ledger(tmp_path).check() == []
    assert len(ledger_of(tmp_path, "manifest")) == 16
    by_run: dict[str, int] = {}
    for entry in ledger_of(tmp_path):
        if entry["spider"] != "polymarket_orderbook":
            by_run[entry["run"]] = by_run.get(entry["run"], 0) + entry["counts"]["response"]
            assert readable(tmp_path / entry["path"])[-1].kind == "end"
    assert list(by_run.values()) == [20] * 15
    assert not list(tmp_path.glob("manifests/*.lock"))


def test_an_error_keeps_the_name_the_system_gave_it(tmp_path: Path) -> None:
    files = Files()
    handle = files.create(tmp_path / "file")
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "file")
    files.close(handle)
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        files.write(handle, b"x")
    assert caught.value.errno == errno.EBADF


def test_an_error_of_the_disk_names_the_file_as_one_types_it(tmp_path: Path) -> None:
    files, path = Files(), tmp_path / "a file"
    handle = files.open_append(path)
    try:
        with pytest.raises(OSError, match=rf": '{re.escape(str(path))}'$"):
            files.truncate(handle, -1)
    finally:
        files.close(handle)
