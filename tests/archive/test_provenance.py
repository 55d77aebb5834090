"""Recovery enters only what something vouches for; foreign files stay, and `verify` names them."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from marketarchive.archive.ledger import Ledger
from marketarchive.archive.paths import PART, TORN
from marketarchive.archive.reader import ArchiveReader
from marketarchive.archive.recover import recover
from marketarchive.archive.run import RunArchive
from marketarchive.archive.verify import verify
from marketarchive.times import SECOND
from tests.archive import museum
from tests.archive.writing import NOON, HandClock, ledger_of, open_run, parts_of, response, writer

DAY = "2026-11-21"


def later() -> HandClock:
    return HandClock(NOON + 3 * 86_400 * SECOND)


def finished(root: Path) -> RunArchive:
    """A run that has ended, with a segment and a row."""
    with writer(root) as made:
        run = open_run(made)
        run.write(response(run))
        run.close("finished", {}).result(10)
    return run


def dead(root: Path) -> tuple[RunArchive, Path]:
    """A run that died, and its open segment."""
    with writer(root) as made:
        run = open_run(made, "polymarket_stream")
        for _ in range(3):
            run.write(response(run))
        run.flush().result(10)
    [part] = parts_of(root)
    return run, part


def sealed(root: Path) -> Path:
    return root / str(ledger_of(root)[0]["path"])


def problems(root: Path) -> dict[str, str]:
    return {problem.path: problem.what for problem in verify(root).problems}


def another_number(root: Path) -> Path:
    return museum.copied(sealed(root), sealed(root).name.replace("-1.jsonl", "-7.jsonl"))


def another_hour(root: Path) -> Path:
    target = sealed(root).parent.with_name("hour=11") / sealed(root).name
    target.parent.mkdir()
    return Path(shutil.copy(sealed(root), target))


def another_feed(root: Path) -> Path:
    target = Path(str(sealed(root)).replace("feed=orderbook", "feed=trades"))
    target.parent.mkdir(parents=True)
    return Path(shutil.copy(sealed(root), target))


def another_run(root: Path) -> Path:
    return museum.copied(sealed(root), f"polymarket_orderbook-20261121T120000Z-4f2a-1.jsonl.gz{PART}")


def garbage(root: Path) -> Path:
    path = sealed(root).with_name(sealed(root).name.replace("-1.jsonl", "-2.jsonl"))
    path.write_bytes(gzip.compress(b"mine\n"))
    return path


def empty(root: Path) -> Path:
    path = sealed(root).with_name(sealed(root).name.replace("-1.jsonl", "-2.jsonl") + TORN)
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    "forge",
    [another_number, another_hour, another_feed, another_run, garbage, empty],
    ids=lambda f: f.__name__,
)
def test_a_copied_or_foreign_segment_is_left_and_named(tmp_path: Path, forge: Callable[[Path], Path]) -> None:
    finished(tmp_path)
    forged = forge(tmp_path)
    name, data, head = forged.relative_to(tmp_path).as_posix(), forged.read_bytes(), Ledger(tmp_path).head()
    for _ in range(2):
        recovery = recover(tmp_path, later())
        assert (recovery.runs, recovery.failures) == ([], [])
        [warning] = recovery.warnings
        assert warning.startswith(f"{name} does not belong to the archive, and is left alone: ")
        assert forged.read_bytes() == data
        assert Ledger(tmp_path).head() == head
        assert list(problems(tmp_path)) == [name]
        assert "foreign" in problems(tmp_path)[name]
    forged.unlink()
    assert problems(tmp_path) == {}


def test_of_two_open_parts_the_one_in_its_own_hour_is_recovered(tmp_path: Path) -> None:
    run, part = dead(tmp_path)
    earlier = part.parent.with_name("hour=11") / part.name
    earlier.parent.mkdir()
    shutil.copy(part, earlier)
    recovery = recover(tmp_path, later())
    assert [found.name for found in recovery.runs] == [run.name]
    assert [entry["path"].split("/")[4] for entry in ledger_of(tmp_path, "recovered")] == ["hour=12"]
    assert earlier.exists()
    assert list(problems(tmp_path)) == [earlier.relative_to(tmp_path).as_posix()]
    assert [message.seq for message in ArchiveReader(tmp_path).messages()] == [1, 2, 3]


@pytest.mark.parametrize("suffix", ["", TORN])
def test_a_foreign_file_under_a_name_that_recovery_needs_is_not_replaced(tmp_path: Path, suffix: str) -> None:
    run, part = dead(tmp_path)
    finished(tmp_path)
    foreign = part.with_name(part.name.removesuffix(PART) + suffix)
    shutil.copy(sealed(tmp_path), foreign)
    data = foreign.read_bytes()
    recovery = recover(tmp_path, later())
    assert [failure.name for failure in recovery.failures] == [run.name]
    assert "in the way" in str(recovery.failures[0])
    assert (foreign.read_bytes(), part.exists()) == (data, True)
    foreign.unlink()
    assert [found.name for found in recover(tmp_path, later()).runs] == [run.name]
    assert problems(tmp_path) == {}


def test_a_foreign_file_where_the_crash_gap_would_be_written_is_not_replaced(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)  # died before its first line: recovery writes segment 1, now
    now = later().now_ns()
    folder = tmp_path / "raw/venue=polymarket/feed=orderbook/date=2026-11-24/hour=12"
    folder.mkdir(parents=True)
    with writer(tmp_path / "other", HandClock(now)) as made:
        other = open_run(made)
        other.write(response(other))
        other.close("finished", {}).result(10)
    foreign = Path(shutil.copy(sealed(tmp_path / "other"), folder / f"{run.name}-1.jsonl.gz"))
    data = foreign.read_bytes()
    recovery = recover(tmp_path, later())
    assert [failure.name for failure in recovery.failures] == [run.name]
    assert foreign.read_bytes() == data


def test_a_lock_vouches_for_a_part_that_nothing_can_be_read_of(tmp_path: Path) -> None:
    run, part = dead(tmp_path)
    part.write_bytes(b"")
    assert [found.name for found in recover(tmp_path, later()).runs] == [run.name]
    assert problems(tmp_path) == {}


def test_without_a_lock_nothing_vouches_for_it(tmp_path: Path) -> None:
    run, part = dead(tmp_path)
    part.write_bytes(b"")
    (tmp_path / f"manifests/{run.name}.lock").unlink()
    assert recover(tmp_path, later()).runs == []
    assert list(problems(tmp_path)) == [part.relative_to(tmp_path).as_posix()]


def test_a_manifest_vouches_for_the_files_that_it_lists(tmp_path: Path) -> None:
    """The segment's ledger line is damaged, and the segment too: what is whole in it is recovered."""
    run = finished(tmp_path)
    path = sealed(tmp_path)
    museum.edit(museum.ledger(tmp_path), lambda lines: [b"{\n", *lines[1:]])
    path.write_bytes(b"damaged" + path.read_bytes())
    other = museum.copied(path, path.name.replace("-1.jsonl", "-2.jsonl"))
    recovery = recover(tmp_path, later())
    assert [found.name for found in recovery.runs] == [run.name]
    assert recovery.runs[0].torn == (path.relative_to(tmp_path).as_posix() + TORN,)
    assert other.exists()
    assert other.relative_to(tmp_path).as_posix() in problems(tmp_path)


def test_a_segment_whose_ledger_line_is_damaged_is_entered_again(tmp_path: Path) -> None:
    run = finished(tmp_path)
    museum.edit(museum.ledger(tmp_path), lambda lines: [b"{\n", *lines[1:]])
    assert [found.sealed for found in recover(tmp_path, later()).runs] == [
        (sealed(tmp_path).relative_to(tmp_path).as_posix(),)
    ]
    assert {entry["run"] for entry in ledger_of(tmp_path)} == {run.run}
    assert all(path.startswith("manifests/") for path in problems(tmp_path))


def test_a_damaged_path_in_the_ledger_does_not_enter_its_segment_twice(tmp_path: Path) -> None:
    finished(tmp_path)
    path = sealed(tmp_path).relative_to(tmp_path).as_posix()
    museum.edit(museum.ledger(tmp_path), lambda lines: [lines[0].replace(b"hour=12", b"hour=13"), *lines[1:]])
    recovery = recover(tmp_path, later())
    assert recovery.runs == []
    said = path.replace("hour=12", "hour=13")
    [warning] = recovery.warnings
    assert warning == f"{path} does not belong to the archive, and is left alone: that segment is {said}"
    assert {path, said} <= problems(tmp_path).keys()


# ---- rows ------------------------------------------------------------------------------------------------


def day_file(root: Path, series: str, first: bytes) -> str:
    (root / "records").mkdir(exist_ok=True)
    (root / f"records/{series}-{DAY}.jsonl").write_bytes(first)
    return f"records/{series}-{DAY}.jsonl"


def entered(root: Path) -> list[str]:
    return [entry["path"] for entry in ledger_of(root, "day_file")]


@pytest.mark.parametrize(
    "row", [b'{"run":"20261121T120000Z-4f2a"}\n', b'{"n":1}\n', b"mine\n", b"\xff\n", b'{"run":7}\n', b"[]\n"]
)
def test_a_forged_day_file_is_left_and_named(tmp_path: Path, row: bytes) -> None:
    run = finished(tmp_path)
    ours = day_file(tmp_path, "gaps", b'{"run":"%b"}\n' % run.run.encode())
    forged = day_file(tmp_path, "quotes", row + b'{"run":"%b"}\n{"torn' % run.run.encode())
    data = (tmp_path / forged).read_bytes()
    recovery = recover(tmp_path, later())
    [warning] = recovery.warnings
    assert warning.startswith(f"{forged} does not belong to the archive, and is left alone: it is of run '")
    assert entered(tmp_path) == [ours]
    assert (tmp_path / forged).read_bytes() == data
    assert list(problems(tmp_path)) == [forged]


def test_rows_of_a_run_known_by_its_lock_manifest_or_ledger_line_are_entered(tmp_path: Path) -> None:
    by_all, by_ledger = finished(tmp_path), finished(tmp_path)
    (tmp_path / f"manifests/{by_ledger.name}.json").unlink()
    with writer(tmp_path) as made:
        by_lock = open_run(made)
        names = [
            day_file(tmp_path, f"rows_of_{number}", b'{"run":"%b"}\n' % run.run.encode())
            for number, run in enumerate((by_all, by_ledger, by_lock))
        ]
        assert recover(tmp_path, later()).warnings == []
    assert entered(tmp_path) == names


@pytest.mark.parametrize("rest", [b"", b'{"run":"2026', bytes(100), b"x" * 3_000_000])
def test_a_day_file_without_a_whole_row_says_nothing_and_is_left(tmp_path: Path, rest: bytes) -> None:
    finished(tmp_path)
    name = day_file(tmp_path, "quotes", rest)
    assert recover(tmp_path, later()).warnings == []
    assert entered(tmp_path) == []
    assert (tmp_path / name).read_bytes() == rest
    assert problems(tmp_path) == {}
