"""Archives that nobody may write to: read whole, with what is derived in a folder of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from marketarchive import Archive
from marketarchive.archive.locks import try_lock
from marketarchive.exceptions import ArgumentError
from marketarchive.master.rebuild import rebuild
from marketarchive.research.labels.ground_truth import ground_truth
from marketarchive.times import SECOND, from_iso
from tests.archive.mounting import read_only
from tests.research.simulated_rounds import archive, rounds
from tests.waiting import until

START = from_iso("2026-08-06T23:50:00Z") // SECOND
FRAMES = ("quotes", "reference", "coverage", "gaps", "labels", "markets", "canonical")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A round, its tables not made yet."""
    folder = tmp_path_factory.mktemp("archive")
    archive(folder, rounds(START, 1))
    rebuild(folder, f"sqlite:///{folder}/master.db")
    return folder


@pytest.fixture(scope="module")
def snapshot(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with read_only(root, tmp_path_factory.mktemp("mount") / "here") as place:
        yield place


def state(folder: Path) -> dict[str, tuple[int, int]]:
    found = {path: path.lstat() for path in folder.rglob("*")}
    return {str(path): (each.st_size, each.st_mtime_ns) for path, each in found.items()}


def frames(of: Archive) -> dict[str, pd.DataFrame]:
    ground_truth(of.root)
    return {name: getattr(of, name)() for name in FRAMES}


@pytest.mark.process  # works for seconds
def test_a_cache_has_what_is_derived_and_the_archive_stays_as_it_is(
    snapshot: Path, root: Path, tmp_path: Path
) -> None:
    before = state(root)
    cache = tmp_path / "cache"
    found = frames(Archive(snapshot, cache=cache))
    assert min(map(len, found.values())) > 0 or found["gaps"].empty
    made = {path: when for path, when in state(cache / "tables").items() if path.endswith(".parquet")}
    assert made
    again = Archive(snapshot, cache=cache)
    pd.testing.assert_frame_equal(again.quotes(), found["quotes"])
    assert state(cache / "tables").items() >= made.items(), "nothing was made twice"
    assert state(root) == before


def test_without_a_cache_a_temporary_folder_has_it_and_a_warning_says_so(snapshot: Path, root: Path) -> None:
    with pytest.warns(UserWarning, match="cannot be written: tables are made in a temporary folder"):
        one = Archive(snapshot)
    place = one.root
    assert len(one.quotes()) > 100
    assert place.is_dir()
    del one
    assert not place.exists()
    assert not (root / "tables").exists()


def test_a_relation_is_read_after_its_archive_is_gone(snapshot: Path) -> None:
    with pytest.warns(UserWarning, match="temporary folder"):
        one = Archive(snapshot, frames="duckdb")
    relation: Any = one.gaps()
    del one
    assert relation.to_arrow_table().column_names[0] == "time"


def test_what_the_archive_gets_and_loses_the_cache_follows(root: Path, tmp_path: Path) -> None:
    copy, cache = tmp_path / "copy", tmp_path / "cache"
    copy.mkdir()
    archive(copy, rounds(START, 1))
    (copy / "notes.txt").write_text("one")
    assert Archive(copy, cache=cache).markets().empty
    assert (cache / "notes.txt").read_text() == "one"
    (copy / "notes.txt").unlink()
    rebuild(copy, f"sqlite:///{copy}/master.db")
    markets = Archive(copy, cache=cache).markets()
    assert markets["market"].tolist() == Archive(root, cache=tmp_path / "other").markets()["market"].tolist()
    assert not os.path.lexists(cache / "notes.txt")
    assert not (copy / "tables").exists()


def test_a_cache_of_something_else_is_refused(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    archive(other, rounds(START, 1))
    with pytest.raises(ArgumentError, match="is of another archive"):
        Archive(root, cache=other)
    with pytest.raises(ArgumentError, match="is within the archive"):
        Archive(root, cache=root / "cache")


def test_waiting_for_another_process_is_told(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = Archive(root, cache=tmp_path / "cache")
    one.coverage()
    with (one.root / "tables" / "normalize.lock").open("w") as other:
        assert try_lock(other.fileno())
        asking = threading.Thread(target=one.quotes)
        asking.start()
        until(lambda: "waiting for another process that writes there" in caplog.text)
    asking.join(60)
    assert not asking.is_alive()
