"""Folders below raw/ that are symlinks to another disk: recovered, checked, read, counted like others."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketarchive.archive.labels import label
from marketarchive.archive.reader import ArchiveReader
from marketarchive.archive.recover import recover
from marketarchive.archive.status import status
from marketarchive.archive.tree import raw_files, walk
from marketarchive.archive.verify import verify
from marketarchive.clock import RealClock
from tests.archive.killed import children
from tests.archive.writing import FEED, VENUE, HandClock, open_run, parts_of, response, writer

LEVELS = ["raw", "raw/venue=polymarket", f"raw/venue=polymarket/feed={FEED}"]


def linked(root: Path, folder: str) -> Path:
    """Let `folder` lie on another disk; return where."""
    disk = root.parent / "disk"
    disk.mkdir()
    (root / folder).parent.mkdir(parents=True)
    (root / folder).symlink_to(disk)
    return disk


@pytest.mark.process
@pytest.mark.parametrize("folder", LEVELS)
def test_a_part_behind_a_link_survives_a_kill(tmp_path: Path, folder: str) -> None:
    root = tmp_path / "archive"
    disk = linked(root, folder)
    with children(root, range(1)) as [child]:
        while child.promised.get(FEED, 0) < 30:
            assert child.hear(30)
        child.kill()
        promised = child.promised
    assert any(path.resolve().is_relative_to(disk) for path in parts_of(root))
    assert verify(root).problems != []
    assert status(root, RealClock()).feeds[0].open == 1
    in_parts = {message.seq for message in ArchiveReader(root).messages(VENUE, FEED, open_parts=True)}
    assert in_parts >= set(range(1, promised[FEED] + 1))
    recovery = recover(root, RealClock())
    assert [run.name for run in recovery.runs] == [child.run]
    assert (recovery.failures, recovery.warnings) == ([], [])
    assert verify(root).problems == []
    assert parts_of(root) == []
    for feed, last in promised.items():
        found = {message.seq for message in ArchiveReader(root).messages(VENUE, feed)}
        assert found >= set(range(1, last + 1)), feed


def filled(root: Path) -> str:
    """A finished run; the path of its segment."""
    with writer(root, HandClock()) as made:
        run = open_run(made)
        run.write(response(run, bytes(range(256)) * 100))
        run.close("finished", {}).result(10)
    [path] = raw_files(root)
    return path


@pytest.mark.parametrize("folder", LEVELS)
def test_a_sealed_segment_behind_a_link_is_read_checked_counted_and_labelled(
    tmp_path: Path, folder: str
) -> None:
    root = tmp_path / "archive"
    linked(root, folder)
    path = filled(root)
    assert verify(root).problems == []
    assert status(root, HandClock()).disk["raw/"] >= (root / path).stat().st_size
    stray = (root / path).with_name("notes.txt")
    stray.write_text("mine")
    assert [problem.path for problem in verify(root).problems] == [stray.relative_to(root).as_posix()]
    label(root, root / path, "invalid", "a test")
    assert list(ArchiveReader(root).messages()) == []


def test_links_in_a_circle_are_not_followed_for_ever(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    path = filled(root)
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    (one / "next").symlink_to(other)
    (other / "next").symlink_to(one)
    (root / "raw/one").symlink_to(one)
    (root / "raw/here").symlink_to(".")
    (root / "raw/venue=polymarket/up").symlink_to(root)
    (root / "raw/nowhere").symlink_to(tmp_path / "not mounted")
    assert list(raw_files(root)) == ["raw/nowhere", path]
    folders = [folder.relative_to(root / "raw").as_posix() for folder, _ in walk(root / "raw")]
    assert folders[:4] == [".", "one", "one/next", "venue=polymarket"]
    assert status(root, HandClock()).problems == []
    assert recover(root, HandClock()).runs == []
