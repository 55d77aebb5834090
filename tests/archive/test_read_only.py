"""An archive that nobody may write to, with the lock of a dead run in it, can be audited all the same."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketarchive.archive.status import status
from marketarchive.archive.verify import verify
from marketarchive.invocation import command as named
from tests.archive import museum
from tests.archive.mounting import read_only
from tests.archive.writing import HandClock, open_run, response, writer
from tests.e2e.harness import command

DEAD = f"its run is dead: run `{named('recover')}`"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The museum, and a run that died."""
    folder = tmp_path / "archive"
    museum.build(folder)
    with writer(folder) as made:
        run = open_run(made)
        run.write(response(run))
        run.flush().result(10)
    return folder


@pytest.fixture
def mounted(root: Path, tmp_path: Path) -> Iterator[Path]:
    """The same, mounted read-only."""
    with read_only(root, tmp_path / "mounted") as place:
        yield place


def test_verify_and_status_write_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = verify(root)
    really = os.open

    def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return really(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    assert verify(root).as_dict() == before.as_dict()
    assert DEAD in {problem.what for problem in before.problems}
    states = sorted(run.state for run in status(root, HandClock()).runs)
    assert states == ["dead", "done", "recovered"]


def test_a_living_run_on_another_s_archive_is_seen(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with writer(root) as made:
        run = open_run(made, "polymarket_stream")
        run.write(response(run))
        run.flush().result(10)
        states = {found.name: found.state for found in status(root, HandClock()).runs}
        assert states[run.name] == "alive"
        assert any(run.name in path for path in verify(root).open)


@pytest.mark.process
def test_the_commands_work_on_a_read_only_file_system(mounted: Path) -> None:
    checked = command("verify", mounted)
    assert checked.returncode == 1
    assert f": {DEAD}" in checked.stdout
    assert "Traceback" not in checked.stderr
    shown = command("status", mounted)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "dead" in shown.stdout
