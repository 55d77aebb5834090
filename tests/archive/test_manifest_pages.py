"""What is known of manifests that were read before says what they say, and hides nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketarchive.archive.disk_budget import Room
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.manifest_pages import EndedRun, entered_manifests, seal_manifest_pages
from marketarchive.archive.recover import recover
from marketarchive.archive.status import Status, status
from tests.archive import museum
from tests.archive.writing import HandClock, ledger_of


def looked(root: Path) -> Status:
    found = status(root, HandClock())
    found.disk, found.room = {}, Room(0, Path())  # the pages themselves are on it
    return found


def pages(root: Path) -> list[Path]:
    return sorted(root.glob("index/manifests-*.page"))


@pytest.fixture
def before(tmp_path: Path) -> Status:
    """The status of the museum, of which pages are then made."""
    museum.build(tmp_path)
    found = looked(tmp_path)
    Ledger(tmp_path, page_lines=1).seal_pages()
    seal_manifest_pages(tmp_path, Ledger(tmp_path))
    return found


def refuse(data: bytes) -> EndedRun | None:
    raise AssertionError(f"{data[:60]!r} is read again")


def test_a_manifest_that_is_known_is_not_read(
    tmp_path: Path, before: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(before.runs) == 2
    monkeypatch.setattr("marketarchive.archive.manifest_pages.ended_run", refuse)
    assert looked(tmp_path) == before


def test_a_start_makes_what_is_missing(
    tmp_path: Path, before: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {path: path.read_bytes() for path in pages(tmp_path)}
    pages(tmp_path)[0].unlink()
    assert recover(tmp_path, HandClock()).failures == []
    assert {path: path.read_bytes() for path in pages(tmp_path)} == made
    monkeypatch.setattr("marketarchive.archive.manifest_pages.ended_run", refuse)
    assert looked(tmp_path) == before


@pytest.mark.parametrize("content", [None, b"", b'{"spider":"x"', b'{"spider":"x","raw":5}', b"\xff"])
def test_one_that_is_missing_or_was_changed_since_is_named(
    tmp_path: Path, before: Status, content: bytes | None
) -> None:
    entry = ledger_of(tmp_path, "manifest")[0]
    path = tmp_path / entry["path"]
    path.unlink() if content is None else path.write_bytes(content)
    [problem] = looked(tmp_path).problems
    assert problem.startswith(f"{entry['path']}: ")
    assert before.problems == []


def test_one_that_could_not_be_read_is_read_when_it_is_mended(tmp_path: Path) -> None:
    museum.build(tmp_path)
    before = looked(tmp_path)
    path = tmp_path / ledger_of(tmp_path, "manifest")[0]["path"]
    whole = path.read_bytes()
    path.unlink()
    Ledger(tmp_path, page_lines=1).seal_pages()
    seal_manifest_pages(tmp_path, Ledger(tmp_path))
    assert len(looked(tmp_path).problems) == 1
    path.write_bytes(whole)
    assert looked(tmp_path) == before


@pytest.mark.parametrize("bit", [5, 300, 801])
def test_pages_that_are_damaged_are_none(tmp_path: Path, before: Status, bit: int) -> None:
    for path in pages(tmp_path):
        museum.flip(path, bit)
    assert looked(tmp_path) == before


def test_of_a_ledger_that_was_rolled_back_and_went_on_nothing_is_known(
    tmp_path: Path, before: Status
) -> None:
    named = [each.path for each in entered_manifests(tmp_path, Ledger(tmp_path))]
    assert len(named) == len(before.runs)
    museum.edit(museum.ledger(tmp_path), lambda lines: lines[:1])
    ledger = Ledger(tmp_path, page_lines=1)
    for number in range(20):
        ledger.append({"kind": "label", "path": f"raw/{number}", "label": "invalid", "why": "a test"})
    ledger.seal_pages()
    assert list(entered_manifests(tmp_path, ledger)) == []
