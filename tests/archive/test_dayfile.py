from __future__ import annotations

import fcntl
import hashlib
import json
from pathlib import Path

import pytest

from marketarchive.archive.ledger import Ledger
from marketarchive.archive.recover import recover
from marketarchive.times import SECOND
from tests.archive.writing import NOON, HandClock, ledger_of, open_run, writer
from tests.waiting import until

DAY = 86_400 * SECOND
MIDNIGHT = NOON + DAY // 2
FILE = "records/polymarket_btc-2026-11-21.jsonl"


def rows(path: Path) -> list[int]:
    return [json.loads(line)["n"] for line in path.read_bytes().splitlines()]


def listed(root: Path, path: str, rows: int, offset: int = 0, torn_bytes_cut: int = 0) -> dict[str, object]:
    """What a manifest says of the rows from `offset` to the end of a file."""
    data = (root / path).read_bytes()[offset:]
    place = {"path": path, "rows": rows, "torn_bytes_cut": torn_bytes_cut, "offset": offset}
    return {**place, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def manifest_records(root: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for path in sorted(root.glob("manifests/*.json")):
        found += json.loads(path.read_text())["records"]
    return found


def entered_by_recovery(root: Path, now_ns: int) -> list[str]:
    """Recover at `now_ns`; return the day files that it entered, in order."""
    before = len(ledger_of(root, "day_file"))
    recover(root, HandClock(now_ns))
    return [entry["path"] for entry in ledger_of(root, "day_file")[before:]]


def test_rows_go_to_the_file_of_their_day(tmp_path: Path) -> None:
    clock = HandClock(MIDNIGHT - SECOND)
    with writer(tmp_path, clock) as made:
        run = open_run(made)
        for n in range(4):
            run.write_record("polymarket_btc", MIDNIGHT + (n - 2) * SECOND, b'{"n":%d}' % n)
        run.write_record("chainlink_continuous", MIDNIGHT, b'{"n":9}\n')  # its newline is not doubled
        run.flush().result(10)
        assert rows(tmp_path / FILE) == [0, 1]
        run.close("finished", {}).result(10)
    assert rows(tmp_path / "records/polymarket_btc-2026-11-22.jsonl") == [2, 3]
    assert rows(tmp_path / "records/chainlink_continuous-2026-11-22.jsonl") == [9]
    assert ledger_of(tmp_path, "day_file") == []
    assert manifest_records(tmp_path) == [
        listed(tmp_path, FILE, 2),
        listed(tmp_path, "records/polymarket_btc-2026-11-22.jsonl", 2),
        listed(tmp_path, "records/chainlink_continuous-2026-11-22.jsonl", 1),
    ]


def test_a_day_file_is_entered_once_its_day_and_grace_are_over(tmp_path: Path) -> None:
    clock = HandClock(MIDNIGHT - SECOND)
    with writer(tmp_path, clock, day_grace_s=180.0) as made:
        run = open_run(made)
        run.write_record("polymarket_btc", NOON, b'{"n":1}')
        clock.pass_s(60)
        run.write_record("polymarket_btc", NOON, b'{"n":2}')  # late, but within the grace
        run.flush().result(10)
        assert ledger_of(tmp_path, "day_file") == []
        clock.pass_s(180)
        until(lambda: len(ledger_of(tmp_path, "day_file")) == 1)
        for n in (3, 4):  # later than that: into files of the run, which may still grow until it ends
            run.write_record("polymarket_btc", NOON, b'{"n":%d}' % n)
            run.flush().result(10)
        assert len(ledger_of(tmp_path, "day_file")) == 1
        run.close("finished", {}).result(10)
    first, second = ledger_of(tmp_path, "day_file")
    data = (tmp_path / FILE).read_bytes()
    assert first["path"] == FILE
    assert (first["bytes"], first["lines"], first["sha256"]) == (
        len(data),
        2,
        hashlib.sha256(data).hexdigest(),
    )
    assert second["path"] == f"records/polymarket_btc-2026-11-21-{run.run}.jsonl"
    assert rows(tmp_path / second["path"]) == [3, 4]
    assert rows(tmp_path / FILE) == [1, 2]
    assert [(record["path"], record["rows"]) for record in manifest_records(tmp_path)] == [
        (first["path"], 2),
        (second["path"], 2),
    ]
    assert Ledger(tmp_path).check() == []


def test_a_second_run_writes_its_own_file(tmp_path: Path) -> None:
    with writer(tmp_path) as one, writer(tmp_path) as two:
        first, second = open_run(one), open_run(two)
        first.write_record("polymarket_btc", NOON, b'{"n":1}')
        first.flush().result(10)
        second.write_record("polymarket_btc", NOON, b'{"n":2}')
        second.flush().result(10)
        first.close("finished", {}).result(10)
        second.write_record("polymarket_btc", NOON, b'{"n":3}')
        second.close("finished", {}).result(10)
    assert rows(tmp_path / FILE) == [1]
    assert rows(tmp_path / f"records/polymarket_btc-2026-11-21-{second.run}.jsonl") == [2, 3]


@pytest.mark.parametrize("torn", [b'{"n":2', b"x" * 3_000_000])
def test_a_torn_last_line_is_cut_and_counted(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / FILE).write_bytes(b'{"n":1}\n' + torn)
    with writer(tmp_path) as made:
        run = open_run(made)
        run.write_record("polymarket_btc", NOON, b'{"n":3}')
        run.close("finished", {}).result(10)
    assert rows(tmp_path / FILE) == [1, 3]
    assert manifest_records(tmp_path) == [listed(tmp_path, FILE, 1, offset=8, torn_bytes_cut=len(torn))]


def test_what_a_dead_run_left_is_entered_on_a_later_start(tmp_path: Path) -> None:
    records = tmp_path / "records"
    records.mkdir()
    with writer(tmp_path) as made:
        run = open_run(made).run
    row = f'{{"n":1,"run":"{run}"}}\n'.encode()
    (tmp_path / FILE).write_bytes(row + b'{"n"')
    (records / "polymarket_btc-2026-11-21-20261121T101500Z-4f2a-2.jsonl").write_bytes(row)
    (records / "polymarket_btc-2026-11-22.jsonl").write_bytes(row)
    (records / "notes.jsonl").write_bytes(b"mine\n")
    (records / "kxbtc15m-2026-11-21.jsonl").write_bytes(row)
    with (records / "held-2026-11-21.jsonl").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # another process is still writing it
        held.write(row)
        held.flush()
        assert entered_by_recovery(tmp_path, MIDNIGHT + 599 * SECOND) == []
        assert entered_by_recovery(tmp_path, MIDNIGHT + 600 * SECOND) == [
            "records/kxbtc15m-2026-11-21.jsonl",
            "records/polymarket_btc-2026-11-21-20261121T101500Z-4f2a-2.jsonl",
            FILE,
        ]
    assert entered_by_recovery(tmp_path, MIDNIGHT + 600 * SECOND) == ["records/held-2026-11-21.jsonl"]
    assert entered_by_recovery(tmp_path, MIDNIGHT + 600 * SECOND) == []
    assert rows(tmp_path / FILE) == [1]
    entry = next(entry for entry in ledger_of(tmp_path, "day_file") if entry["path"] == FILE)
    assert (entry["bytes"], entry["lines"], entry["torn_bytes_cut"]) == (len(row), 1, 4)
    assert entry["sha256"] == hashlib.sha256(row).hexdigest()
    assert Ledger(tmp_path).check() == []


def test_without_records_there_is_nothing_to_enter(tmp_path: Path) -> None:
    assert entered_by_recovery(tmp_path, NOON) == []
    assert not (tmp_path / "manifests/ledger.jsonl").exists()


def test_a_finished_file_is_never_touched_again_by_a_later_run(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
        run.write_record("polymarket_btc", NOON, b'{"n":1,"run":"%b"}' % run.run.encode())
        run.flush().result(10)
    entered_by_recovery(tmp_path, MIDNIGHT + 600 * SECOND)
    names = set()
    for n in (2, 3):
        with writer(tmp_path, HandClock(MIDNIGHT + DAY)) as made:
            run = open_run(made)
            run.write_record("polymarket_btc", NOON, b'{"n":%d}' % n)
            run.close("finished", {}).result(10)
            names.add(f"records/polymarket_btc-2026-11-21-{run.run}.jsonl")
    assert rows(tmp_path / FILE) == [1]
    assert {entry["path"] for entry in ledger_of(tmp_path, "day_file")} == {FILE, *names}
