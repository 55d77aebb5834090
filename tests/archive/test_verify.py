"""verify: silent on what is whole, and names everything that is not."""

from __future__ import annotations

import errno
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from marketarchive.archive.book_checks import BookChecks
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.manifest import store_manifest
from marketarchive.archive.paths import LEDGER, new_run_id
from marketarchive.archive.reader import Message
from marketarchive.archive.report import VerifyReport
from marketarchive.archive.run import run_name
from marketarchive.archive.store import Store
from marketarchive.archive.verify import verify
from marketarchive.exceptions import ArgumentError
from marketarchive.invocation import command as named
from marketarchive.times import from_iso
from tests.archive import museum
from tests.archive.checking import check
from tests.archive.faulty_files import WatchedFiles
from tests.archive.writing import (
    FEED,
    NOON,
    VENUE,
    HandClock,
    cron,
    ledger_of,
    open_run,
    response,
    two_hours,
    writer,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("museum") / "whole"
    museum.build(root)
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def test_a_whole_archive_passes(whole: Path) -> None:
    report = verify(whole)
    assert report.problems == []
    assert report.state == "passed"
    assert report.head == Ledger(whole).head()
    kinds = ("segment", "recovered", "torn", "manifest", "day_file")
    assert {kind: report.checked[kind] for kind in kinds} == {
        kind: len(ledger_of(whole, kind)) for kind in kinds
    }
    assert min(report.checked[kind] for kind in kinds) >= 1
    assert verify(whole, head=str(report.head)).state == "passed"


@pytest.mark.parametrize("name", museum.DAMAGES)
def test_every_damage_is_named(root: Path, name: str) -> None:
    damaged = museum.DAMAGES[name](root).relative_to(root).as_posix()
    report = verify(root)
    assert report.state == "failed"
    assert damaged in {problem.path for problem in report.problems}, list(map(str, report.problems))


def test_the_lines_of_a_damaged_member_are_named(root: Path) -> None:
    offset = museum.member_offset(root, 1)
    path = museum.flip(museum.sealed(root), 8 * (offset + 20)).relative_to(root).as_posix()
    first = next(entry for entry in ledger_of(root) if entry["path"] == path)["members"][0][2] + 1
    report = verify(root)
    changed = next(problem for problem in report.problems if "not the file that was sealed" in problem.what)
    assert changed.line is None or changed.line == first
    assert any(problem.line == first for problem in report.problems)


def test_removal_of_the_newest_ledger_lines_needs_a_head(root: Path) -> None:
    head = str(Ledger(root).head())
    label = {"kind": "label", "path": ledger_of(root)[0]["path"], "label": "invalid", "why": "a test"}
    newer = str(Ledger(root).append(label))
    assert verify(root, head=head).state == verify(root, head=newer).state == "passed"
    museum.edit(museum.ledger(root), lambda lines: lines[:-1])
    assert verify(root).state == "passed"  # nothing in the archive shows it
    assert [problem.path for problem in verify(root, head=newer).problems] == ["manifests/ledger.jsonl"]
    changed = head[:-1] + ("0" if head[-1] != "0" else "1")
    assert [problem.line for problem in verify(root, head=changed).problems] == [int(head.split(":")[0])]
    with pytest.raises(ArgumentError, match="is not a ledger head"):
        verify(root, head="newest")


def test_no_flipped_bit_is_silent(whole: Path, root: Path) -> None:
    """200 random bits of everything that is in the archive, each file as often as another."""
    random = Random(20261121)
    head = str(Ledger(root).head())
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name != "recovery.lock"]
    for _ in range(200):
        path = random.choice(files)
        bit = random.randrange(8 * path.stat().st_size)
        before = path.read_bytes()
        museum.flip(path, bit)
        named = {problem.path for problem in verify(root, head=head).problems}
        assert path.relative_to(root).as_posix() in named, (path, bit)
        path.write_bytes(before)
    assert verify(root).state == "passed"


def test_a_torn_ledger_line_is_allowed_where_the_next_names_it(root: Path) -> None:
    museum.append(museum.ledger(root), b'{"kind":"label","pa')
    torn = verify(root)
    assert torn.state == "passed"
    assert torn.notes == [f"manifests/ledger.jsonl line {torn.head.count}: torn by a crash, and kept"]
    Ledger(root).append({"kind": "label", "path": ledger_of(root)[0]["path"], "label": "invalid", "why": "x"})
    assert verify(root).problems == []
    museum.edit(museum.ledger(root), lambda lines: [*lines[:-2], b"{}\n", lines[-1]])
    assert verify(root).state == "failed"


def test_a_line_that_lacked_only_its_newline_passes_whatever_the_next_says(root: Path) -> None:
    """Early versions said `torn_before` of it."""
    museum.edit(museum.ledger(root), lambda lines: [*lines[:-1], lines[-1].removesuffix(b"\n")])
    assert verify(root).state == "passed"
    line = {"kind": "label", "path": ledger_of(root)[0]["path"], "label": "deprecated", "why": "x"}
    Ledger(root).append(line)
    report = verify(root)
    assert (report.problems, report.notes) == ([], [])
    museum.edit(museum.ledger(root), lambda lines: lines[:-1])
    Ledger(root).append({**line, "torn_before": True})
    report = verify(root)
    assert (report.state, len(report.notes)) == ("passed", 1)
    assert f"line {report.head.count}: says that the line before it is torn" in report.notes[0]


def test_what_living_runs_have_open_is_listed_and_no_problem(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_run(made)
        run.write(response(run))
        run.next_seq(VENUE, FEED)  # under way
        run.flush().result()
        clock.pass_s(3600)
        run.write(response(run))
        run.flush().result()
        report = verify(tmp_path)
        assert report.problems == []
        assert [Path(path).suffix for path in report.open] == [".part"]
        run.close("finished", {}).result()
    assert any("seq 2 missing" in problem.what for problem in verify(tmp_path).problems)


def test_a_dead_run_asks_for_recovery(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
        run.write(response(run))
        run.flush().result()
    whats = [problem.what for problem in verify(tmp_path).problems]
    assert len(whats) == 2
    assert all(f"run `{named('recover')}`" in what for what in whats)


def test_a_manifest_that_its_command_could_not_enter_is_noted(tmp_path: Path) -> None:
    class FullAtTheLedger(WatchedFiles):
        def write(self, handle: int, data: bytes) -> None:
            if self.paths[handle].name == LEDGER.name:
                raise OSError(errno.ENOSPC, "No space left on device")
            super().write(handle, data)

    cron(tmp_path)
    files, run = FullAtTheLedger(), new_run_id(NOON)
    store = Store(tmp_path, HandClock(), ArchiveConfig(), files, Ledger(tmp_path, files))
    with pytest.raises(OSError, match="No space left"):
        store_manifest(store, f"normalize-{run}", {"kind": "manifest", "command": "normalize", "run": run})
    report = verify(tmp_path)
    assert report.problems == []
    [note] = report.notes
    assert note.startswith(f"manifests/normalize-{run}.json: is not in the ledger")
    (tmp_path / "manifests" / f"normalize-{run}.json").rename(tmp_path / "manifests" / "other.json")
    assert [problem.path for problem in verify(tmp_path).problems] == ["manifests/other.json"]


def test_each_manifest_is_compared_with_the_segments_of_its_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With those of every run, a year of a cron line would take hours."""

    class Counting(str):
        comparisons = 0

        def __eq__(self, other: object) -> bool:
            Counting.comparisons += 1
            return super().__eq__(other)

        __hash__ = str.__hash__

    runs = 12
    cron(tmp_path, runs)
    name_of = "marketarchive.archive.check_ledger.run_name"
    monkeypatch.setattr(name_of, lambda *parts: Counting(run_name(*parts)))
    assert verify(tmp_path).state == "passed"
    assert 0 < Counting.comparisons < 10 * runs


def test_a_segment_entered_after_the_manifest_of_its_run_is_checked_with_its_run(tmp_path: Path) -> None:
    two_hours(tmp_path)
    first, second, manifest = (*ledger_of(tmp_path), *ledger_of(tmp_path, "manifest"))
    museum.edit(museum.ledger(tmp_path), lambda _: [])
    Ledger(tmp_path).append(first, manifest, second)
    whats = [problem.what for problem in verify(tmp_path).problems]
    assert [what for what in whats if "which is not a head of this ledger" not in what] == [
        f"its figures of {VENUE}/{FEED} differ from those of the ledger and the files"
    ]


def test_a_ledger_that_is_cut_while_it_is_read_does_not_pass(tmp_path: Path) -> None:
    class Cutting(BookChecks):
        def look(self, message: Message, report: VerifyReport) -> None:
            os.truncate(museum.ledger(tmp_path), 100)

    cron(tmp_path, 20)
    [problem] = verify(tmp_path, books=Cutting()).problems
    assert problem.path == str(LEDGER)
    assert "while it was read" in problem.what


def test_the_lines_of_a_long_ledger_are_not_held_in_memory(tmp_path: Path) -> None:
    cron(tmp_path)
    line = ledger_of(tmp_path)[0]
    del line["previous"]
    line["members"] *= 60  # as of an hour
    runs = [f"{line['run'][:-8]}{n:08x}" for n in range(1500)]
    Ledger(tmp_path).append(
        *({**line, "run": run, "path": line["path"].replace(line["run"], run)} for run in runs)
    )
    tracemalloc.start()
    try:
        report = verify(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(report.problems) == 2 * len(runs)  # neither their segments nor their manifests are here
    assert peak < museum.ledger(tmp_path).stat().st_size


def test_lost_and_doubled_seqs_are_named(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
        first = response(run)
        for item in (first, response(run), first):
            run.write(item)
        for _ in range(3):
            run.next_seq(VENUE, FEED)
        run.write(response(run))
        run.close("finished", {}).result()
    assert [problem.what.split(": ")[1] for problem in verify(tmp_path).problems] == [
        "seq 1 appear twice",
        "seq 3 to 5 missing",
    ]


def test_since_leaves_older_segments_unread(root: Path) -> None:
    path = museum.sealed(root, 1)
    entries = {entry["path"]: entry for entry in ledger_of(root)}
    since = from_iso(entries[path.relative_to(root).as_posix()]["last"]) + 1
    assert verify(root, since=since).state == "passed"
    assert verify(root, since=since).checked["segment"] < verify(root).checked["segment"]
    museum.flip(path, 800)
    assert verify(root, since=since).state == "passed"
    assert verify(root, since=since - 1).state == "failed"
    museum.cut(path, 100)
    assert verify(root, since=since).state == "failed"


def test_a_moved_file_may_be_absent_and_nothing_else(root: Path) -> None:
    entry = ledger_of(root)[0]
    Ledger(root).append({"kind": "moved", "path": entry["path"], "sha256": entry["sha256"], "to": "s3://x"})
    (root / entry["path"]).unlink()
    report = verify(root)
    assert report.problems == []
    assert report.checked["moved"] == 1
    museum.sealed(root, 2).unlink()
    assert verify(root).state == "failed"


def test_a_label_or_move_of_an_unknown_file_is_named(root: Path) -> None:
    Ledger(root).append({"kind": "label", "path": "raw/none", "label": "invalid", "why": "x"})
    assert [problem.line for problem in verify(root).problems] == [Ledger(root).head().count]


@pytest.mark.parametrize("change", [{"bytes": "many"}, {"first": "now"}, {"path": "../x"}, {"n": 5}])
def test_a_ledger_line_that_lies_is_named(root: Path, change: dict[str, object]) -> None:
    """Chained properly, as someone would who means it."""
    entry = {key: value for key, value in ledger_of(root)[0].items() if key != "previous"}
    museum.edit(museum.ledger(root), lambda lines: lines[:0])
    Ledger(root).append({**entry, **change})
    assert verify(root).state == "failed"


def test_nothing_to_check_is_its_own_state(tmp_path: Path) -> None:
    assert verify(tmp_path).state == "nothing to check"


def test_books_are_counted_and_failed_ones_named(whole: Path) -> None:
    class FirstFails(BookChecks):
        def look(self, message: Message, report: VerifyReport) -> None:
            if message.seq == 1:
                report.books["failed"] += 1
                report.problem(message.path, "the book does not match", message.line_number)
            elif message.kind == "response":
                report.books["ok"] += 1

    report = verify(whole, books=FirstFails())
    responses = sum(
        entry["counts"].get("response", 0)
        for kind in ("segment", "recovered")
        for entry in ledger_of(whole, kind)
    )
    assert report.books.total() >= responses
    assert report.books["failed"] == len(report.problems) > 0
    assert all(problem.line == 2 for problem in report.problems)


@pytest.mark.process
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_documented_line_checks_the_archive_without_our_code(root: Path) -> None:
    passed = check(root)
    assert (passed.returncode, passed.stdout, passed.stderr) == (0, "", "")
    museum.flip(museum.sealed(root), 800)
    failed = check(root)
    assert failed.returncode == 1
    assert museum.sealed(root).name in failed.stdout


def test_a_collection_lists_only_runs_whose_manifests_came_before_its_own(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        fed, listing = open_run(made), made.open_run("collect", "", (), {}, {})
        fed.write(response(fed))
        known = fed.close("finished", {}).result(10)
        listing.close("finished", {"runs": [{"manifest": known}, {"manifest": None}]}).result(10)
        assert verify(tmp_path).problems == []
        other = made.open_run("collect", "", (), {}, {})
        path = other.close("finished", {"runs": [{"manifest": "manifests/gone-1.json"}]}).result(10)
    [problem] = verify(tmp_path).problems
    assert problem.path == path
    assert "manifests/gone-1.json" in str(problem)


def with_rows_of_today(root: Path) -> Path:
    """Two runs, one after the other, whose rows stand in the file of a day that is not over."""
    with writer(root) as made:
        for rows in (3, 2):
            run = open_run(made)
            run.write(response(run))
            for n in range(rows):
                run.write_record("quotes", NOON + n, b'{"n":%d,"run":"%b"}' % (n, run.run.encode()))
            run.flush().result(10)
            run.close("finished", {}).result(10)
    return root / "records/quotes-2026-11-21.jsonl"


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: museum.edit(path, lambda lines: lines[1:]),
        lambda path: museum.edit(path, lambda lines: lines[:-1]),
        lambda path: museum.edit(path, lambda lines: [lines[0].replace(b'"n":0', b'"n":7'), *lines[1:]]),
        lambda path: museum.edit(path, lambda lines: [lines[1], lines[0], *lines[2:]]),
        museum.remove,
    ],
    ids=["first deleted", "last deleted", "changed", "swapped", "file deleted"],
)
def test_rows_of_today_are_those_that_manifests_list(tmp_path: Path, damage: Callable[[Path], Path]) -> None:
    path = with_rows_of_today(tmp_path)
    report = verify(tmp_path)
    assert report.problems == []
    assert report.checked["rows not in the ledger yet"] == 5
    damage(path)
    assert {problem.path for problem in verify(tmp_path).problems} == {"records/quotes-2026-11-21.jsonl"}


def test_rows_that_came_after_what_a_manifest_lists_are_no_damage(tmp_path: Path) -> None:
    museum.append(with_rows_of_today(tmp_path), b'{"n":9,"run":"of a living one"}\n')
    assert verify(tmp_path).problems == []
