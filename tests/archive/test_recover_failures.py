"""What is wrong with the past keeps neither other runs from being recovered nor new ones from starting."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest

from marketarchive.archive.ledger import Ledger
from marketarchive.archive.paths import PART
from marketarchive.archive.recover import recover
from marketarchive.archive.run import RunArchive
from marketarchive.archive.verify import verify
from marketarchive.exceptions import DiskError
from tests.archive import museum
from tests.archive.faulty_files import WatchedFiles
from tests.archive.writing import HandClock, ledger_of, open_run, parts_of, response, writer

LEDGER = "manifests/ledger.jsonl"


def later() -> HandClock:
    clock = HandClock()
    clock.pass_s(3 * 86_400)
    return clock


def die(root: Path, *spiders: str) -> list[RunArchive]:
    """Runs that die with an open segment each."""
    with writer(root) as made:
        runs = [open_run(made, spider) for spider in spiders]
        for run in runs:
            run.write(response(run))
            run.flush().result(10)
    return runs


def problems(root: Path) -> list[str]:
    return [str(problem) for problem in verify(root).problems]


def test_a_ledger_line_that_is_no_utf8_keeps_no_run_from_starting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    museum.build(tmp_path)
    line = museum.ledger(tmp_path).read_bytes().splitlines()[0]
    museum.flip(museum.ledger(tmp_path), 8 * (line.index(b"raw/") + 5) + 7)
    with caplog.at_level(logging.WARNING):
        recovery = recover(tmp_path, later())
    assert recovery.failures == []
    assert recovery.warnings == [f"{LEDGER} line 1 cannot be read"]
    assert [record.getMessage() for record in caplog.records] == recovery.warnings
    assert f"{LEDGER}: line 1: is not JSON, and the next line does not name it as torn" in problems(tmp_path)
    with writer(tmp_path, later()) as made:
        run = open_run(made)
        run.write(response(run))
        run.write_record("quotes", later().now_ns(), b"{}")
        run.close("finished", {}).result(10)
    assert ledger_of(tmp_path, "manifest")[-1]["path"] == f"manifests/{run.name}.json"


def test_a_torn_ledger_line_that_a_crash_explains_is_no_warning(tmp_path: Path) -> None:
    museum.build(tmp_path)
    museum.append(museum.ledger(tmp_path), b'{"kind":"label","pa')
    assert recover(tmp_path, later()).warnings == []
    Ledger(tmp_path).append({"kind": "label", "path": "x"})
    assert recover(tmp_path, later()).warnings == []


def test_a_stray_lock_is_named_and_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    [dead] = die(tmp_path, "polymarket_markets")
    stray = tmp_path / "manifests/foo.lock"
    stray.write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        recovery = recover(tmp_path, later())
    assert [run.name for run in recovery.runs] == [dead.name]
    assert recovery.failures == []
    assert recovery.warnings == ["manifests/foo.lock is not a lock file of a run, and is left alone"]
    assert [record.getMessage() for record in caplog.records] == recovery.warnings
    assert stray.exists()
    assert problems(tmp_path) == [
        "manifests/foo.lock: is not a lock file of a run, nor any other file of the archive"
    ]


def break_segment(root: Path, run: RunArchive) -> Path:
    """Its disk is gone."""
    [part] = [path for path in parts_of(root) if run.name in path.name]
    part.rename(root / "elsewhere")
    part.symlink_to(root / "not mounted")
    return part


def break_lock(root: Path, run: RunArchive) -> Path:
    lock = root / f"manifests/{run.name}.lock"
    lock.write_bytes(lock.read_bytes() + b'{"started_at_utc":"once"}\n[]\n')
    return lock


@pytest.mark.parametrize("harm", [break_segment, break_lock])
def test_a_run_that_cannot_be_recovered_stays_for_the_next_try(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: object
) -> None:
    first, broken, last = die(tmp_path, "polymarket_a", "polymarket_b", "polymarket_c")
    lock = tmp_path / f"manifests/{broken.name}.lock"
    identity = lock.read_bytes()
    harmed = harm(tmp_path, broken)  # type: ignore[operator]  # one of the functions above
    for _ in range(2):
        caplog.clear()
        recovery = recover(tmp_path, later())
        [failure] = recovery.failures
        assert failure.name == broken.name
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert str(failure) in caplog.text
        assert lock.exists()
        assert os.path.lexists(harmed)
    assert {entry["run"] for entry in ledger_of(tmp_path, "manifest")} == {first.run, last.run}
    with writer(tmp_path, later()) as made:
        open_run(made).close("finished", {}).result(10)
    assert all(broken.name in problem for problem in problems(tmp_path))
    if harmed == lock:
        lock.write_bytes(identity)
    else:
        harmed.unlink()
        (tmp_path / "elsewhere").rename(harmed)
    recovery = recover(tmp_path, later())
    assert [run.name for run in recovery.runs] == [broken.name]
    assert problems(tmp_path) == []


class Refusing(WatchedFiles):
    """A disk that refuses one operation on paths that contain `what`."""

    def __init__(self, operation: str, what: str, error: int) -> None:
        super().__init__()
        self.refused = (operation, what, error)

    def at(self, operation: str, path: Path, do: object) -> object:  # type: ignore[override]
        refused, what, error = self.refused
        if operation == refused and what in str(path):
            raise OSError(error, os.strerror(error), str(path))
        return do()  # type: ignore[operator]


def test_a_lock_that_may_not_be_opened_is_that_run_s_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = die(tmp_path, "polymarket_a", "polymarket_b")
    really = os.open

    def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
        if first.name in str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    recovery = recover(tmp_path, later())
    assert [failure.name for failure in recovery.failures] == [first.name]
    assert [run.name for run in recovery.runs] == [last.name]
    assert [path.name.split("-")[0] for path in parts_of(tmp_path)] == ["polymarket_a"]


def test_a_day_file_that_cannot_be_entered_is_its_own_failure(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
        for series in ("quotes", "gaps"):
            run.write_record(series, HandClock().now_ns(), b'{"run":"%b"}' % run.run.encode())
        run.flush().result(10)
    recovery = recover(tmp_path, later(), Refusing("open_append", "gaps-2026", errno.EACCES))
    assert [failure.name for failure in recovery.failures] == ["records/gaps-2026-11-21.jsonl"]
    assert [entry["path"] for entry in ledger_of(tmp_path, "day_file")] == ["records/quotes-2026-11-21.jsonl"]


@pytest.mark.parametrize(
    ("operation", "what", "error"),
    [
        ("open_append", "recovery.lock", errno.EACCES),
        ("open_append", "ledger.jsonl", errno.EACCES),
        ("write", "ledger.jsonl", errno.EIO),
        ("write", ".recovering", errno.ENOSPC),
        ("write", ".recovering", errno.EDQUOT),
    ],
)
def test_what_concerns_all_ends_recovery(tmp_path: Path, operation: str, what: str, error: int) -> None:
    die(tmp_path, "polymarket_a", "polymarket_b")
    with pytest.raises(DiskError, match="run it again"):
        recover(tmp_path, later(), Refusing(operation, what, error))
    assert len(recover(tmp_path, later()).runs) == 2
    assert problems(tmp_path) == []
    assert not [path for path in parts_of(tmp_path) if path.suffix == PART]
