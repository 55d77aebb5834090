"""Folders below raw/ that have not changed are not listed again, and nothing in them is missed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from marketarchive.archive import folders
from marketarchive.archive.folders import UnsettledFiles, unentered
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.paths import SETTLED_FOLDERS
from marketarchive.archive.recover import recover
from marketarchive.times import MILLISECOND
from tests.archive import museum
from tests.archive.writing import HandClock

COARSE_S = 0.05
"""Times of folders move on in steps of some milliseconds."""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The museum, with all its folders settled."""
    monkeypatch.setattr(folders, "SETTLED_AFTER_NS", 20 * MILLISECOND)
    museum.build(tmp_path)
    settle(tmp_path)
    return tmp_path


def settle(root: Path) -> None:
    time.sleep(COARSE_S)
    ledger = Ledger(root)
    found = UnsettledFiles.of(root, ledger)
    found.settle(ledger, {entry["path"] for entry in ledger.naming(found.paths)})


def listed(root: Path) -> list[str]:
    return UnsettledFiles.of(root, Ledger(root)).paths


def test_settled_folders_are_not_listed_again(root: Path) -> None:
    assert listed(root) == []
    assert unentered(root, Ledger(root)) == []
    assert recover(root, HandClock()).warnings == []


@pytest.mark.parametrize("place", ["hour", "new hour", "venue", "raw"])
def test_a_file_that_comes_later_is_found(root: Path, place: str) -> None:
    sealed = museum.sealed(root)
    folder = {
        "hour": sealed.parent,
        "new hour": sealed.parent.with_name("hour=23"),
        "venue": root / "raw/venue=polymarket",
        "raw": root / "raw",
    }[place]
    folder.mkdir(exist_ok=True)
    (folder / "x.jsonl.gz.part").write_bytes(b"")
    path = (folder / "x.jsonl.gz.part").relative_to(root).as_posix()
    assert unentered(root, Ledger(root)) == [path]
    settle(root)
    assert unentered(root, Ledger(root)) == [path]  # what the ledger does not name is never settled


def test_a_file_replaced_or_removed_is_found(root: Path) -> None:
    sealed = museum.sealed(root)
    sealed.rename(sealed.with_suffix(".gz.part"))
    assert unentered(root, Ledger(root)) == [sealed.with_suffix(".gz.part").relative_to(root).as_posix()]


def test_of_a_ledger_that_was_rolled_back_nothing_is_settled(root: Path) -> None:
    museum.edit(museum.ledger(root), lambda lines: lines[:1])
    assert len(unentered(root, Ledger(root))) > 3


def test_a_folder_changed_just_now_is_not_settled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "SETTLED_AFTER_NS", 3_600_000 * MILLISECOND)
    (root / SETTLED_FOLDERS).unlink()
    settle(root)
    assert listed(root)
    assert not (root / SETTLED_FOLDERS).exists()


def test_each_damage_of_what_is_known_is_found(root: Path) -> None:
    path = root / SETTLED_FOLDERS
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 97):
        museum.flip(path, bit)
        assert listed(root)
        path.write_bytes(whole)
    for size in (0, 1, 40, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert listed(root)


def test_a_link_that_leads_elsewhere_is_listed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    disk, hour = tmp_path_factory.mktemp("disk"), museum.sealed(root).parent
    hour.rename(disk / "hour")
    hour.symlink_to(disk / "hour")
    assert {Path(path).parent for path in listed(root)} >= {hour.relative_to(root)}
    settle(root)
    assert listed(root) == []
    (disk / "hour/x.part").write_bytes(b"")
    assert unentered(root, Ledger(root)) == [(hour / "x.part").relative_to(root).as_posix()]
