"""compact: the same lines in fewer files, read once wherever they lie, at whatever step it was killed."""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.archive.compact import Compaction, compact
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.labels import label
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.paths import parse_segment_path
from marketarchive.archive.reader import ArchiveReader
from marketarchive.archive.recover import recover
from marketarchive.archive.report import VerifyReport
from marketarchive.archive.store import Store
from marketarchive.archive.verify import verify
from marketarchive.exceptions import ArchiveError, ArgumentError, DiskError
from marketarchive.times import HOUR, SECOND
from tests.archive import museum
from tests.archive.checking import check, check_members, described_ledger
from tests.archive.faulty_files import FailNth, Full, WatchedFiles
from tests.archive.killed import kill_at_step
from tests.archive.writing import (
    FEED,
    NOON,
    HandClock,
    cron,
    frames,
    ledger_of,
    open_run,
    response,
    segments,
    writer,
)
from tests.properties import examples

T = TypeVar("T")
ALL = ("response", "frame", "connection", "gap", "book_state")
ALL_SIZES = 10**9
LATER = NOON + 30 * HOUR


def joining(
    root: Path,
    files: Files | None = None,
    older_than_ns: int = 0,
    smaller_than: int = ALL_SIZES,
    *,
    remove: bool = False,
    now: int = LATER,
) -> Compaction:
    files = files or Files()
    store = Store(root, HandClock(now), ArchiveConfig(), files, Ledger(root, files))
    return compact(store, older_than_ns, smaller_than, remove=remove)


def read(root: Path, **options: Any) -> list[tuple[Any, ...]]:
    """All there is to say of every line, in the reader's order."""
    return [
        (one.path, one.line_number, one.kind, one.seq, one.payload, one.envelope, one.canonical_url)
        for one in ArchiveReader(root).messages(kinds=ALL, **options)
    ]


def files_of(root: Path) -> dict[str, str]:
    """Digest of every file but locks, which hold nothing."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def counted(report: VerifyReport) -> Counter[str]:
    """What was found of segments and lines."""
    kinds = ("segment", "recovered", "torn", "lines", "day_file")
    return Counter({kind: report.checked[kind] for kind in kinds})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours of a cron line, three files in each."""
    root = tmp_path_factory.mktemp("cron") / "small"
    cron(root)
    cron(root, start=NOON + HOUR)
    return root


@pytest.fixture
def root(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "copy"))


def small_files(root: Path) -> list[Path]:
    return [root / entry["path"] for entry in ledger_of(root) if (root / entry["path"]).exists()]


def joined_files(root: Path) -> list[Path]:
    return sorted((root / "raw").rglob("compact-*.jsonl.gz*"))


@pytest.mark.parametrize("remove", [False, True])
def test_joined_files_hold_all_lines_in_order_and_each_is_read_once(root: Path, remove: bool) -> None:
    before, report = read(root), verify(root)
    texts: dict[str, bytes] = {}
    for path in sorted(small_files(root)):  # a run's name begins with its time
        hour = path.parent.name
        texts[hour] = texts.get(hour, b"") + gzip.decompress(path.read_bytes())
    done = joining(root, remove=remove)
    assert [one.segments for one in done.joined] == [3, 3]
    assert (done.resumed, done.open, done.refused) == ([], {}, {})
    assert all(parse_segment_path(path.relative_to(root).as_posix()) for path in joined_files(root))
    assert {path.parent.name: gzip.decompress(path.read_bytes()) for path in joined_files(root)} == texts
    assert read(root) == read(root, open_parts=True) == before
    assert len(small_files(root)) == (0 if remove else 6)
    assert done.removed == (6 if remove else 0)
    after = verify(root)
    assert (after.problems, after.notes, counted(after)) == ([], [], counted(report))
    assert after.checked["joined"] == 2
    assert verify(root, head=str(report.head)).problems == []


def test_what_is_joined_is_not_joined_again(root: Path) -> None:
    joining(root)
    state = files_of(root)
    assert joining(root) == Compaction()
    assert files_of(root) == state
    assert joining(root, remove=True).removed == 6
    state = files_of(root)
    assert joining(root, remove=True) == Compaction()
    assert files_of(root) == state


def test_only_small_segments_of_hours_that_are_over_are_joined(root: Path) -> None:
    cron(root, 2, size=200)
    largest = max(path.stat().st_size for path in small_files(root))
    assert joining(root, older_than_ns=2 * HOUR, now=NOON + 3 * HOUR - 1).joined == []
    [first] = joining(root, older_than_ns=2 * HOUR, smaller_than=largest - 100, now=NOON + 3 * HOUR).joined
    assert (first.segments, Path(first.path).parent.name) == (3, "hour=12")
    [second] = joining(root, smaller_than=largest - 100).joined
    assert Path(second.path).parent.name == "hour=13"
    [large] = joining(root).joined
    assert (large.segments, Path(large.path).parent.name) == (2, "hour=12")


def test_one_small_segment_and_other_feeds_stay_apart(tmp_path: Path) -> None:
    cron(tmp_path, 1)
    cron(tmp_path, 1, feed="trades")
    cron(tmp_path, 2, feed="markets")
    done = joining(tmp_path)
    assert [one.path.split("/")[2] for one in done.joined] == ["feed=markets"]


def test_a_running_collector_is_not_disturbed_and_keeps_its_files(root: Path) -> None:
    clock = HandClock(NOON + 120 * SECOND)
    with writer(root, clock) as made:
        run = open_run(made)
        run.write(response(run))
        run.flush().result()
        waits = joining(root)
        assert [Path(hour).name for hour in waits.open] == ["hour=12"]
        assert all(why.endswith(".part is open, or not in the ledger") for why in waits.open.values())
        assert [Path(one.path).parent.name for one in waits.joined] == ["hour=13"]
        clock.pass_s(3600)
        run.write(response(run))
        run.flush().result()  # the first is sealed; its run goes on
        [done] = joining(root, remove=True).joined
        assert done.segments == 3
        report = verify(root)
        assert (report.problems, len(report.open)) == ([], 1)
        kept = [path for path in small_files(root) if run.run in path.name]
        assert len(kept) == 1
        run.close("finished", {}).result()
    assert verify(root).problems == []
    assert not joining(root).joined  # each hour has one left


def test_recovered_torn_labelled_and_unknown_files_stay(tmp_path: Path) -> None:
    museum.build(tmp_path)
    cron(tmp_path)
    bad = ledger_of(tmp_path)[-1]["path"]
    label(tmp_path, bad, "invalid", "a test")
    before, report = read(tmp_path), verify(tmp_path)
    evidence = {
        entry["path"]: files_of(tmp_path)[entry["path"]]
        for kind in ("recovered", "torn")
        for entry in ledger_of(tmp_path, kind)
    }
    done = joining(tmp_path, remove=True, now=NOON + 10 * 24 * HOUR)
    [book] = [one for one in done.joined if f"feed={FEED}" in one.path]
    assert book.segments == 3  # two of the cron line, one of the museum
    assert not done.refused
    after = files_of(tmp_path)
    assert {path: after.get(path) for path in evidence} == evidence
    assert (tmp_path / bad).exists()
    assert (read(tmp_path), counted(verify(tmp_path))) == (before, counted(report))
    assert verify(tmp_path).problems == []
    strange = museum.copied(joined_files(tmp_path)[0], "notes.txt")
    cron(tmp_path)
    assert list(joining(tmp_path).open.values()) == [f"{strange.name} is open, or not in the ledger"]
    assert described_ledger(tmp_path) >= {"segment", "recovered", "torn", "label", "joined", "merged"}


def test_a_label_holds_for_the_segment_after_it_was_joined(root: Path) -> None:
    joining(root)
    first, second, *_ = [entry["path"] for entry in ledger_of(root)]
    label(root, first, "invalid", "its clock was wrong")
    assert joining(root, remove=True).removed == 5
    assert (root / first).exists()
    label(root, second, "deprecated", "a test")  # its own file is gone
    assert {row[0] for row in read(root)} == {entry["path"] for entry in ledger_of(root)} - {first, second}
    assert {row[0] for row in read(root, labelled=True)} == {entry["path"] for entry in ledger_of(root)}
    assert verify(root).problems == []
    with pytest.raises(ArgumentError, match="holds several segments"):
        label(root, joined_files(root)[0], "invalid", "a test")


def test_a_damaged_segment_is_refused_and_the_others_are_joined(root: Path) -> None:
    damaged = museum.flip(small_files(root)[1], 800)
    done = joining(root, remove=True)
    assert list(done.refused) == [damaged.relative_to(root).as_posix()]
    assert [one.segments for one in done.joined] == [2, 3]
    assert damaged.exists()


def test_a_copy_that_differs_from_either_side_keeps_the_small_file(root: Path) -> None:
    joining(root)
    own = museum.flip(small_files(root)[0], 800)
    museum.flip(joined_files(root)[1], 800)  # in the first segment of the second hour
    done = joining(root, remove=True)
    assert (done.removed, len(done.refused), own.exists()) == (4, 2, True)
    assert len(small_files(root)) == 2
    museum.remove(joined_files(root)[1])
    assert list(joining(root, remove=True).refused)[-1].rpartition("/")[2].startswith("compact-")


def _members(root: Path) -> list[dict[str, Any]]:
    return ledger_of(root, "merged")


def _entered_anew(root: Path, kind: str, change: dict[str, object]) -> None:
    """The ledger again, the first line of `kind` changed, chained properly as someone would who means it."""
    lines = [entry.fields or {} for entry in Ledger(root).entries()]
    at = next(number for number, line in enumerate(lines) if line["kind"] == kind)
    lines[at] = {**lines[at], **change}
    museum.ledger(root).unlink()
    Ledger(root).append(*({key: line[key] for key in line if key != "previous"} for line in lines))


@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize("name", ["flipped", "cut", "longer", "gone"])
def test_damage_of_a_joined_file_is_named(root: Path, name: str, remove: bool) -> None:
    joining(root, remove=remove)
    path = joined_files(root)[0]
    if name == "flipped":
        museum.flip(path, 800)
    elif name == "cut":
        museum.cut(path, path.stat().st_size - 10)
    elif name == "longer":
        museum.append(path, gzip.compress(b"{}\n"))
    else:
        museum.remove(path)
    named = {problem.path: problem.what for problem in verify(root).problems}
    assert path.relative_to(root).as_posix() in named
    inside = [line["path"] for line in _members(root) if line["to"] == path.relative_to(root).as_posix()]
    spoiled = {"flipped": inside[:1], "cut": inside[2:], "longer": [], "gone": inside}[name]
    assert {each for each in inside if each in named} == (set(spoiled) if remove else set())
    if remove and spoiled:
        with pytest.raises(ArchiveError, match=spoiled[0]):
            read(root)


@pytest.mark.parametrize(
    "change",
    [
        {"offset": 1},
        {"offset": 10**6},
        {"offset": -1},
        {"offset": "0"},
        {"length": 5},
        {"sha256": "0" * 64},
        {"to": "raw/none"},
        {"path": "raw/none"},
    ],
)
def test_a_merged_line_that_lies_is_named(root: Path, change: dict[str, object]) -> None:
    joining(root)
    _entered_anew(root, "merged", change)
    whole = verify(root)
    assert whole.state == "failed"
    assert any("ledger" in str(problem) for problem in whole.problems)


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "0" * 64},
        {"bytes": 7},
        {"segments": None},
        {"segments": 2},
        {"segments": 9},
        {"path": "raw/x"},
        {"first": "now"},
    ],
)
def test_a_joined_line_that_lies_is_named(root: Path, change: dict[str, object]) -> None:
    joining(root, remove=True)
    _entered_anew(root, "joined", change)
    assert verify(root).state == "failed"


def test_a_joined_file_that_nobody_joined_is_named_and_left(root: Path) -> None:
    joining(root, remove=True)
    path = joined_files(root)[0]
    forged = museum.copied(path, path.name.replace("-1.jsonl", "-9.jsonl"))
    museum.append(forged, gzip.compress(b"{}\n"))
    [problem] = verify(root).problems
    assert problem.path == forged.relative_to(root).as_posix()
    assert list(joining(root).refused) == [problem.path]
    assert forged.exists()
    recovery = recover(root, HandClock(LATER))
    assert (recovery.runs, recovery.failures) == ([], [])
    assert ledger_of(root, "recovered") == []


def test_a_ledger_from_before_the_compact_is_mended_by_the_next_one(root: Path) -> None:
    before, kept = read(root), museum.ledger(root).read_bytes()
    joining(root, remove=True)
    museum.ledger(root).write_bytes(kept)  # a backup, say: now the joined files hold the only copies
    assert len(verify(root).problems) == 6
    done = joining(root, remove=True)
    assert ([one.segments for one in done.resumed], done.joined, done.refused) == ([3, 3], [], {})
    assert verify(root).problems == []
    assert read(root) == before


@pytest.mark.parametrize(
    "change", [{"bytes": "many"}, {"path": "raw/venue=a/feed=b/date=2026-13-01/hour=99/x"}]
)
def test_a_damaged_ledger_line_keeps_nothing_from_being_joined(root: Path, change: dict[str, object]) -> None:
    if "path" in change:
        change["path"] = f"{change['path']}-20261121T120000Z-0000-1.jsonl.gz"
    _entered_anew(root, "segment", change)
    done = joining(root)
    assert [one.segments for one in done.joined] in ([3], [2, 3])


def test_since_leaves_older_joined_files_unread(root: Path) -> None:
    joining(root, remove=True)
    museum.flip(joined_files(root)[0], 800)
    assert verify(root, since=NOON + HOUR).problems == []
    assert verify(root, since=NOON).state == "failed"
    museum.cut(joined_files(root)[0], 100)
    assert {problem.path.rpartition("/")[2][:8] for problem in verify(root, since=NOON + HOUR).problems} == {
        "compact-",
        "polymark",
    }


def _steps(small: Path) -> int:
    """How often a compact that removes touches the disk."""
    counting = FailNth(0)
    copy = Path(shutil.copytree(small, small.parent / "steps"))
    joining(copy, counting, remove=True)
    shutil.rmtree(copy)
    return counting.count


@pytest.mark.parametrize("half", [False, True])
def test_a_failure_at_any_step_leaves_what_verifies_and_a_rerun_ends_it(
    small: Path, tmp_path: Path, half: bool
) -> None:
    before, report, steps = read(small), verify(small), _steps(small)
    assert steps > 20
    for step in range(1, steps + 1):
        root = Path(shutil.copytree(small, tmp_path / str(step)))
        with pytest.raises(DiskError):
            joining(root, FailNth(step, persistent=True, half=half), remove=True)
        _check_interrupted(root, before, report)


@pytest.mark.process
def test_sigkill_at_any_step_leaves_what_verifies_and_a_rerun_ends_it(small: Path, tmp_path: Path) -> None:
    before, report, steps = read(small), verify(small), _steps(small)
    for step in range(1, steps + 1, 3):
        root = Path(shutil.copytree(small, tmp_path / str(step)))
        assert kill_at_step(root, LATER, step) == -signal.SIGKILL
        _check_interrupted(root, before, report)


def _check_interrupted(root: Path, before: list[tuple[Any, ...]], report: VerifyReport) -> None:
    left = verify(root)
    assert (left.problems, counted(left)) == ([], counted(report))
    assert read(root) == read(root, open_parts=True) == before
    assert recover(root, HandClock(LATER)).warnings == []
    joining(root, remove=True)
    ended = verify(root)
    assert (ended.problems, counted(ended)) == ([], counted(report))
    assert [note for note in ended.notes if "torn by a crash" not in note] == []
    assert read(root) == before
    assert small_files(root) == []
    assert [path.suffix for path in joined_files(root)] == [".gz", ".gz"]
    assert len(_members(root)) == len({line["path"] for line in _members(root)}) == 6
    assert len(ledger_of(root, "joined")) == 2


@pytest.mark.parametrize("size", [0, 100, 1500])
def test_a_full_disk_while_joining_changes_nothing_and_is_said(root: Path, size: int) -> None:
    state = files_of(root)
    with pytest.raises(DiskError, match=r"No space left on device.*Every segment is where the ledger says"):
        joining(root, Full(size), remove=True)
    assert files_of(root) == state


def test_a_disk_that_is_full_at_the_ledger_leaves_what_a_rerun_ends(root: Path) -> None:
    before, report = read(root), verify(root)
    sizes = [sum(path.stat().st_size for path in small_files(root) if path.parent.name == "hour=12")]
    with pytest.raises(DiskError, match="No space left on device"):
        joining(root, Full(sizes[0] + 900), remove=True)  # the `joined` line fits, a `merged` one is torn
    assert len(ledger_of(root, "joined")) == 1
    assert len(_members(root)) < 3
    assert any("a compact was interrupted" in note for note in verify(root).notes)
    _check_interrupted(root, before, report)


def test_a_disk_that_gives_back_other_bytes_is_found_before_anything_is_entered(root: Path) -> None:
    class Lying(Files):
        def rename(self, source: Path, target: Path) -> None:
            super().rename(source, target)
            museum.flip(target, 800)

    state = files_of(root)
    with pytest.raises(ArchiveError, match="does not read back"):
        joining(root, Lying(), remove=True)
    assert files_of(root) == state


def test_the_second_of_two_compacts_waits_and_says_so(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Held(WatchedFiles):
        is_there, release = threading.Event(), threading.Event()

        def at(self, operation: str, path: Path, do: Callable[[], T]) -> T:
            if operation == "rename":
                self.is_there.set()
                assert self.release.wait(60)
            return do()

    class Noticing(logging.Handler):
        noticed = threading.Event()

        def emit(self, record: logging.LogRecord) -> None:
            if "waiting for another process" in record.getMessage():
                self.noticed.set()

    before, done = read(root), dict[str, Compaction]()
    held, handler = Held(), Noticing()
    logging.getLogger("marketarchive").addHandler(handler)
    try:
        first = threading.Thread(target=lambda: done.update(first=joining(root, held, remove=True)))
        first.start()
        assert held.is_there.wait(60)
        assert len(verify(root).open) == 1  # what it is writing
        second = threading.Thread(target=lambda: done.update(second=joining(root, remove=True)))
        second.start()
        assert handler.noticed.wait(60)
        held.release.set()
        first.join(60)
        second.join(60)
    finally:
        held.release.set()
        logging.getLogger("marketarchive").removeHandler(handler)
    assert ([one.segments for one in done["first"].joined], done["first"].removed) == ([3, 3], 6)
    assert done["second"] == Compaction()
    assert read(root) == before


def test_a_reader_goes_on_while_files_are_removed(root: Path) -> None:
    before = read(root)
    messages = ArchiveReader(root).messages(kinds=ALL)
    begun = [next(messages).path]
    joining(root, remove=True)
    begun += [message.path for message in messages]
    assert begun == [row[0] for row in before]


@examples(30)
@given(
    st.lists(st.tuples(st.integers(150, 1500), st.booleans(), st.booleans()), max_size=4),
    st.integers(0, 2**32),
)
def test_any_order_of_compacts_gives_the_same_lines_and_findings(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, bool, bool]], seed: int
) -> None:
    root = Path(shutil.copytree(_various(tmp_path_factory), tmp_path_factory.mktemp("any") / "copy"))
    before, report = read(root), verify(root)
    for number, (smaller_than, remove, is_interrupted) in enumerate(calls):
        failing = FailNth(1 + seed % (9 + number), persistent=True)
        with suppress(DiskError):
            joining(root, failing if is_interrupted else None, 0, smaller_than, remove=remove)
        assert read(root) == before
        after = verify(root)
        assert (after.problems, counted(after)) == ([], counted(report))
    shutil.rmtree(root)


_made: dict[str, Path] = {}


def _various(factory: pytest.TempPathFactory) -> Path:
    """Segments of many sizes in two hours and feeds, with what a killed run left; made once."""
    if "root" not in _made:
        made = _made["root"] = factory.mktemp("various") / "root"
        for size in (1, 3, 9, 27, 81):
            cron(made, 1, NOON + size * 60 * SECOND, size=size)
            cron(made, 1, NOON + size * 60 * SECOND, feed="markets", size=size)
        with writer(made, HandClock(NOON)) as opened:
            dead = open_run(opened)
            dead.write(response(dead))
            dead.write(frames(dead, b"[]", feed="stream"))
            dead.flush().result()
        recover(made, HandClock(NOON + 2 * HOUR))
    return _made["root"]


@pytest.mark.process
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_documented_lines_check_joined_files_and_their_segments(root: Path) -> None:
    joining(root)
    assert (check(root).returncode, check(root).stdout) == (0, "")
    passed = check_members(root)
    assert (passed.returncode, passed.stdout, passed.stderr) == (0, "", "")
    joining(root, remove=True)
    assert check_members(root).stdout == ""
    assert check(root).returncode == 1  # the small files are gone, and it says which
    assert check(root, "--ignore-missing").returncode == 0
    spoiled = museum.flip(joined_files(root)[0], 800)
    assert spoiled.name in check(root, "--ignore-missing").stdout
    failed = check_members(root)
    assert failed.stdout == f"{_members(root)[0]['path']}: FAILED\n"


@pytest.mark.process
def test_zcat_reads_a_joined_file(root: Path) -> None:
    whole = [line for path in sorted(segments(root)) if "hour=12" in path for line in _lines(root / path)]
    joining(root, remove=True)
    told = subprocess.run(["zcat", os.fspath(joined_files(root)[0])], capture_output=True, check=True)
    assert told.stdout.splitlines(keepends=True) == whole


def _lines(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)
