"""Tables made in several processes: the same as in one, and what a process that dies costs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from marketarchive.exceptions import DiskError
from marketarchive.research.tables.normalize import Normalized, normalize
from tests.e2e.harness import command
from tests.research.making import Answer, book, collect, many

pytestmark = pytest.mark.process

DAY_S = 86_400.0
TOMORROW = "2026-11-22"


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """An archive of three days."""
    root = tmp_path / "archive"
    for day in range(3):
        collect(root, [Answer(many(book(f"{day}a"), book(f"{day}b")), day * DAY_S)])
    return root


@pytest.fixture
def at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of Python that each process runs when it starts."""
    folder = tmp_path / "started"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return folder / "sitecustomize.py"


def tables(root: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        path.relative_to(root).as_posix(): pq.ParquetFile(path).read().to_pylist()
        for path in sorted(root.glob("tables/*/*/*/*/*.parquet"))
    }


def without_manifest(done: Normalized) -> dict[str, Any]:
    return {**done.as_dict(), "manifest": None}


FAULT = f"""
import errno, os, signal
from marketarchive.research.tables import jobs

do = jobs.do

def fail(job, known, progress):
    if "{TOMORROW}" in job.name:
        {{fault}}
    return do(job, known, progress)

jobs.do = fail
"""


def test_processes_make_what_one_makes_and_say_the_same(days: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "manifests").mkdir(parents=True)
    (other / "raw").symlink_to(days / "raw")
    (other / "manifests/ledger.jsonl").write_bytes((days / "manifests/ledger.jsonl").read_bytes())
    one, two = normalize(days), normalize(other, processes=2)
    assert without_manifest(one) == without_manifest(two)
    assert len(one.outputs) == 9
    assert tables(days) == tables(other)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL"),
        ("raise RuntimeError('a fault of ours')", "ended with exit code 1"),
    ],
)
def test_a_process_that_dies_costs_its_day_and_is_reported(
    days: Path, at_start: Path, fault: str, said: str
) -> None:
    at_start.write_text(FAULT.format(fault=fault))
    done = normalize(days, processes=2)
    assert set(done.failed) == {
        f"tables/{table}/venue=polymarket/feed=orderbook/date={TOMORROW}/{table}.parquet"
        for table in ("gaps", "books", "coverage")
    }
    assert all(said in why for why in done.failed.values())
    assert len(done.outputs) == 6
    at_start.unlink()
    again = normalize(days, processes=2)
    assert not again.failed
    assert {TOMORROW in output.path for output in again.outputs} == {True}


def test_a_disk_that_refuses_ends_the_call(days: Path, at_start: Path) -> None:
    at_start.write_text(FAULT.format(fault="raise OSError(errno.ENOSPC, 'no space')"))
    with pytest.raises(DiskError, match="no space"):
        normalize(days, processes=2)
    at_start.unlink()
    assert not normalize(days).failed


@pytest.mark.parametrize("count", ["0", "-1", "two", ""])
def test_a_number_of_processes_is_one(days: Path, count: str) -> None:
    told = command("normalize", days, f"--processes={count}")
    assert told.returncode == 2
    assert "is not a number of processes" in told.stderr


def test_the_command_takes_a_number_of_processes(days: Path) -> None:
    told = command("normalize", days, "--processes", "2")
    assert told.returncode == 0, told.stderr
    assert "9 made, 0 up to date, 0 failed" in told.stdout
