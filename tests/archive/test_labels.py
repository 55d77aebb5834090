"""Labels take a file out of use, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketarchive.archive.labels import label, labels
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.reader import ArchiveReader
from marketarchive.archive.verify import verify
from marketarchive.exceptions import ArgumentError
from tests.archive.writing import HandClock, ledger_of, two_hours


@pytest.fixture
def root(tmp_path: Path) -> Path:
    two_hours(tmp_path)
    return tmp_path


def test_readers_leave_labelled_files_out(root: Path) -> None:
    first, second = (entry["path"] for entry in ledger_of(root))
    before = (root / first).read_bytes()
    head = label(root, first, "invalid", " wrong market ", HandClock())
    assert head == Ledger(root).head()
    reader = ArchiveReader(root)
    assert [entry["path"] for entry in reader.segments()] == [second]
    assert [entry["path"] for entry in reader.segments(labelled=True)] == [first, second]
    assert [message.path for message in reader.messages()] == [second]
    assert len(list(reader.messages(labelled=True))) == 2
    assert (root / first).read_bytes() == before
    (entry,) = ledger_of(root, "label")
    assert (entry["label"], entry["why"]) == ("invalid", "wrong market")
    assert entry["labelled_at_utc"] == "2026-11-21T12:00:00.000000Z"
    assert verify(root).problems == []


def test_the_newest_label_counts(root: Path) -> None:
    path = ledger_of(root)[0]["path"]
    label(root, path, "deprecated", "a better one exists")
    label(root, path, "invalid", "it was wrong")
    assert labels(Ledger(root).entries()) == {path: "invalid"}


def test_a_path_may_be_given_as_it_lies_on_the_disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ledger_of(root)[0]["path"]
    label(root, root / path, "deprecated", "absolute")
    monkeypatch.chdir((root / path).parent)
    label(root, Path(path).name, "deprecated", "from where one stands")
    assert [entry["path"] for entry in ledger_of(root, "label")] == [path, path]


@pytest.mark.parametrize(
    ("path", "which", "why", "message"),
    [
        ("raw/none.jsonl.gz", "invalid", "x", "is not in"),
        ("/etc/passwd", "invalid", "x", "is not in"),
        (None, "wrong", "x", "is not a label"),
        (None, "invalid", "  ", "give a reason"),
    ],
)
def test_what_cannot_be_labelled(root: Path, path: str | None, which: str, why: str, message: str) -> None:
    before = Ledger(root).head()
    with pytest.raises(ArgumentError, match=message):
        label(root, path or ledger_of(root)[0]["path"], which, why)
    assert Ledger(root).head() == before
