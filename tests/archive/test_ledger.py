from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.archive.ledger import NOTHING, Head, Ledger
from tests.archive.faulty_files import WatchedFiles
from tests.properties import examples

T = TypeVar("T")

APPEND = """
import sys
from pathlib import Path
from marketarchive.archive.ledger import Ledger
for n in range(int(sys.argv[3])):
    line = {"kind": "label", "path": f"{sys.argv[2]}/{n}"}
    Ledger(Path(sys.argv[1])).append(line, {"kind": "label", "path": "x"})
"""


def sha(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def filled(root: Path, count: int = 4) -> Ledger:
    ledger = Ledger(root)
    for n in range(count):
        ledger.append({"kind": "label", "path": f"raw/{n}", "label": "invalid"})
    return ledger


def test_each_line_holds_the_digest_of_the_one_before(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.head() == Head(0, NOTHING)
    assert list(ledger.entries()) == []
    assert ledger.append({"kind": "torn", "path": "a"}).count == 1
    head = ledger.append({"kind": "label", "path": "é"}, {"kind": "moved", "path": "c"})
    first, second, third = ledger.path.read_bytes().splitlines()
    assert first == b'{"kind":"torn","path":"a","previous":"%b"}' % NOTHING.encode()
    assert json.loads(second) == {"kind": "label", "path": "é", "previous": sha(first)}
    assert json.loads(third)["previous"] == sha(second)
    assert head == Head(3, sha(third)) == ledger.head()
    assert str(head) == f"3:{sha(third)}"
    assert [(entry.number, entry.kind, entry["path"], entry.raw) for entry in ledger.entries()] == [
        (1, "torn", "a", first),
        (2, "label", "é", second),
        (3, "moved", "c", third),
    ]
    assert ledger.check() == []


def test_only_the_first_append_of_a_process_syncs_the_folders(tmp_path: Path) -> None:
    class Listed(WatchedFiles):
        def at(self, operation: str, path: Path, do: Callable[[], T]) -> T:
            done.append((operation, path.name))
            return super().at(operation, path, do)

    done: list[tuple[str, str]] = []
    ledger = Ledger(tmp_path, Listed())
    for line in range(2):
        done.clear()
        ledger.append({"kind": "label", "path": f"raw/{line}"})
        assert {each for each in done if "sync" in each[0]} == {("fsync", "ledger.jsonl")} | (
            {("sync_dir", tmp_path.name), ("sync_dir", "manifests")} if line == 0 else set()
        )
    copy = ledger.path.with_name("copy")
    shutil.copy(ledger.path, copy)
    copy.replace(ledger.path)
    done.clear()
    ledger.append({"kind": "label", "path": "raw/3"})
    assert ("sync_dir", "manifests") in done


@pytest.mark.parametrize(
    "torn", [b"{", b'{"kind":"label","path":"raw/9","previous":"12', b"\0\0\0", b"x" * 3_000_000]
)
def test_a_torn_line_stays_is_named_and_chained_to(tmp_path: Path, torn: bytes) -> None:
    ledger = filled(tmp_path, 2)
    with ledger.path.open("ab") as file:
        file.write(torn)
    assert ledger.head() == Head(3, sha(torn))
    assert ledger.check() == []  # what a crash leaves is no problem
    head = ledger.append({"kind": "label", "path": "a"}, {"kind": "label", "path": "b"})
    assert head.count == 5
    entries = list(ledger.entries())
    assert (entries[2].raw, entries[2].fields, entries[2].kind, entries[2].get("path", 0)) == (
        torn,
        None,
        None,
        0,
    )
    assert (entries[3]["torn_before"], entries[3]["previous"]) == (True, sha(torn))
    assert list(json.loads(entries[3].raw))[-1] == "previous"
    assert entries[4].get("torn_before") is None
    assert ledger.check() == []
    with pytest.raises(KeyError):
        entries[2]["path"]


def test_a_line_that_lacks_only_its_newline_is_whole(tmp_path: Path) -> None:
    ledger = filled(tmp_path, 2)
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole[:-1])
    ledger.append({"kind": "label", "path": "a"})
    assert ledger.path.read_bytes().startswith(whole)
    assert [entry.get("torn_before") for entry in ledger.entries()] == [None, None, None]
    assert ledger.check() == []


def test_a_torn_line_nobody_named_is_a_problem(tmp_path: Path) -> None:
    ledger = filled(tmp_path, 2)
    lines = ledger.path.read_bytes().splitlines()
    third = b'{"kind":"label","previous":"%b"}' % sha(b"torn").encode()
    ledger.path.write_bytes(b"\n".join([*lines, b"torn", third, b""]))
    assert ledger.check() == ["line 3: is not JSON, and the next line does not name it as torn"]
    ledger.path.write_bytes(b"\n".join([*lines, b"torn", b"torn", b""]))
    assert ledger.check() == ["line 3: is not JSON, and the next line does not name it as torn"]


@examples(200)
@given(st.data())
def test_any_flipped_bit_but_in_the_last_line_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    ledger = filled(tmp_path_factory.mktemp("ledger"))
    intact = ledger.path.read_bytes()
    at = data.draw(st.integers(0, intact.rindex(b"\n", 0, -1) - 1))
    changed = bytearray(intact)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    ledger.path.write_bytes(changed)
    assert ledger.check()
    assert all(problem.startswith("line ") for problem in ledger.check())


def test_paths_of_lines_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    ledger.append({"kind": "torn", "path": "raw/é"})
    whole = ledger.path.read_bytes()
    at = whole.index(b"raw/1")
    assert [each["path"] for each in ledger.of_kind("label", "torn")] == [
        "raw/0",
        "raw/1",
        "raw/2",
        "raw/3",
        "raw/é",
    ]
    for damaged in (b"\xf2aw/1", b"ra\x00/1", b"ra\\/1"):
        ledger.path.write_bytes(whole[:at] + damaged + whole[at + 5 :])
        assert [each["path"] for each in ledger.of_kind("label")] in (
            ["raw/0", "raw/2", "raw/3"],
            ["raw/0", "ra/1", "raw/2", "raw/3"],
        )
        assert [each["path"] for each in ledger.of_kind("torn")] == ["raw/é"]


@pytest.mark.parametrize(
    ("order", "named"),
    [([0, 2, 3], "line 2:"), ([1, 2, 3], "line 1:"), ([0, 2, 1, 3], "line 2:"), ([0, 0, 1, 2], "line 2:")],
)
def test_removed_moved_and_repeated_lines_are_found(tmp_path: Path, order: list[int], named: str) -> None:
    ledger = filled(tmp_path)
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(lines[n] for n in order))
    assert ledger.check()[0].startswith(named)


def test_removing_the_newest_lines_shows_only_against_a_head(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    head = ledger.head()
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(lines[:-1]))
    assert ledger.check() == []
    assert ledger.head() != head


@examples(60)
@given(
    lines=st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), max_size=6),
    is_torn=st.booleans(),
)
def test_head_and_entries_agree_on_any_file(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], is_torn: bool
) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    ledger.path.parent.mkdir()
    text = b"".join(line + b"\n" for line in lines)
    ledger.path.write_bytes(text.removesuffix(b"\n") if is_torn else text)
    entries = list(ledger.entries())
    assert ledger.head().count == len(entries)
    if entries:
        assert ledger.head().sha256 == entries[-1].sha256
        assert ledger.append({"kind": "label"}).count == len(entries) + 1
        assert list(ledger.entries())[-1]["previous"] == entries[-1].sha256


@pytest.mark.process
def test_many_writers_at_once_make_one_chain(tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", APPEND, str(tmp_path), name, "30"]) for name in ("a", "b")
    ]
    own = Ledger(tmp_path)

    def append() -> None:
        for n in range(30):
            own.append({"kind": "label", "path": f"thread/{n}"})

    threads = [threading.Thread(target=append) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(child.poll() is None for child in children):
        assert own.check() == []  # also while it grows
    for thread in threads:
        thread.join()
    assert [child.wait() for child in children] == [0, 0]
    assert own.check() == []
    assert own.head().count == 2 * 60 + 2 * 30
    for name in ("a", "b"):
        paths = [entry["path"] for entry in own.entries() if entry["path"].startswith(f"{name}/")]
        assert paths == [f"{name}/{n}" for n in range(30)]
