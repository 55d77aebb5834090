"""Finished day files become gzip, and what stands beside them is never lost."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from marketarchive.archive.compress_rows import Compressed, compress_days
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.offload.offload import OffloadOptions, offload
from marketarchive.archive.offload.rclone import Rclone
from marketarchive.archive.recover import recover
from marketarchive.archive.store import Store
from marketarchive.archive.verify import verify
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.exceptions import ArchiveError
from marketarchive.times import SECOND
from tests.archive.faulty_files import FailNth
from tests.archive.writing import NOON, HandClock, ledger_of, open_run, writer
from tests.waiting import until

DAY = 86_400 * SECOND
NAME = "KXBTC15M-2026-11-21.jsonl"


def written(made: ArchiveWriter, folder: Path | None = None) -> None:
    run = open_run(made)
    for n in range(3):
        run.write_record(
            "KXBTC15M", NOON + n * SECOND, b'{"n":%d,"run":"%b"}' % (n, run.run.encode()), folder
        )
    run.write_record("other", NOON, b'{"run":"%b"}' % run.run.encode(), folder)
    run.close("finished", {}).result(10)


def compressed(root: Path, clock: HandClock, *, alone: bool = False) -> list[Compressed]:
    with writer(root, clock) as made:
        store: Store = made.store.of_rows(root) if alone else made.store
        return compress_days(store, ("KXBTC15M",))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_a_day_that_is_over_is_replaced_by_a_gzip_that_holds_it(tmp_path: Path, clock: HandClock) -> None:
    with writer(tmp_path, clock) as made:
        written(made)
    plain = (tmp_path / "records" / NAME).read_bytes()
    assert [each.outcome for each in compressed(tmp_path, clock)] == ["open"]
    clock.pass_s(86_400)
    [done] = compressed(tmp_path, clock)
    assert done.outcome == "compressed"
    assert gzip.decompress((tmp_path / "records" / f"{NAME}.gz").read_bytes()) == plain
    assert not (tmp_path / "records" / NAME).exists()
    assert (tmp_path / "records" / "other-2026-11-21.jsonl").exists()
    entered, gzipped = ledger_of(tmp_path, "day_file")
    assert gzipped["replaces"] == entered["sha256"] == hashlib.sha256(plain).hexdigest()
    [manifest] = tmp_path.glob("manifests/compress-*.json")
    assert json.loads(manifest.read_bytes())["files"][0]["sha256"] == gzipped["sha256"]
    report = verify(tmp_path)
    assert report.problems == []
    assert report.checked["replaced"] == 1
    assert compressed(tmp_path, clock) == []


def test_a_folder_of_its_own_has_a_ledger_of_its_own(tmp_path: Path, clock: HandClock) -> None:
    folder = tmp_path / "records of kxbtc15m"
    folder.mkdir()
    with writer(tmp_path / "out", clock) as made:
        written(made, folder)
    assert (folder / NAME).exists()
    clock.pass_s(86_400)
    [done] = compressed(folder, clock, alone=True)
    assert (done.path, done.outcome) == (NAME, "compressed")
    assert verify(folder).problems == []
    assert verify(tmp_path / "out").problems == []


def test_a_gzip_that_nobody_entered_is_named_and_written_anew(tmp_path: Path, clock: HandClock) -> None:
    with writer(tmp_path, clock) as made:
        written(made)
    clock.pass_s(86_400)
    plain, partial = tmp_path / "records" / NAME, tmp_path / "records" / f"{NAME}.gz"
    rows = plain.read_bytes()
    partial.write_bytes(gzip.compress(rows)[:30])
    problem = next(each for each in verify(tmp_path).problems if each.path == f"records/{NAME}.gz")
    assert f"records/{NAME} lies beside it" in problem.what
    [done] = compressed(tmp_path, clock)
    assert done.outcome == "compressed"
    assert gzip.decompress(partial.read_bytes()) == rows
    assert not plain.exists()
    assert verify(tmp_path).problems == []


def test_a_call_that_dies_at_any_step_is_completed_by_the_next(tmp_path: Path, clock: HandClock) -> None:
    with writer(tmp_path / "whole", clock) as made:
        written(made)
    rows = (tmp_path / "whole" / "records" / NAME).read_bytes()
    clock.pass_s(86_400)
    for n in range(1, 1000):
        root = Path(shutil.copytree(tmp_path / "whole", tmp_path / str(n)))
        files = FailNth(n, persistent=True)
        dying = Store(root, clock, ArchiveConfig(), files, Ledger(root, files))
        with suppress(OSError, ArchiveError):
            compress_days(dying, ("KXBTC15M",))
        assert all(each.outcome == "compressed" for each in compressed(root, clock))
        assert gzip.decompress((root / "records" / f"{NAME}.gz").read_bytes()) == rows
        assert not (root / "records" / NAME).exists()
        assert verify(root).problems == []
        if not files.failed:
            assert n > 10
            return
    pytest.fail("it never came to its end")


@pytest.mark.process  # starts rclone
def test_no_file_is_replaced_while_an_offload_copies_it(
    tmp_path: Path, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    if shutil.which("rclone") is None:
        pytest.skip("rclone is not installed: `apt install rclone`")
    root, done = tmp_path / "archive", list[Compressed]()
    with writer(root, clock) as made:
        written(made)
    clock.pass_s(86_400)
    recover(root, clock)  # enters the day files
    other = threading.Thread(target=lambda: done.extend(compressed(root, clock)))

    def progress(text: str) -> None:
        if not other.ident:
            other.start()
            until(lambda: done or "waiting for another process" in caplog.text)

    store = Store(root, clock, ArchiveConfig(), Files(), Ledger(root))
    copied = offload(store, Rclone(str(tmp_path / "target")), OffloadOptions(DAY), progress)
    other.join(60)
    assert copied.problems == {}
    assert [each.outcome for each in done] == ["compressed"]
    assert verify(root).problems == []


def test_a_folder_without_rows_stays_as_it_is(tmp_path: Path, clock: HandClock) -> None:
    store = Store(tmp_path / "none", clock, ArchiveConfig(), Files(), Ledger(tmp_path / "none"))
    assert compress_days(store, ("KXBTC15M",)) == []
    assert not store.root.exists()


def test_a_gzip_that_changed_is_named(tmp_path: Path, clock: HandClock) -> None:
    with writer(tmp_path, clock) as made:
        written(made)
    clock.pass_s(86_400)
    compressed(tmp_path, clock)
    path = tmp_path / "records" / f"{NAME}.gz"
    path.write_bytes(gzip.compress(b"something else\n"))
    assert [problem.path for problem in verify(tmp_path).problems] == [f"records/{NAME}.gz"]


def test_a_crash_before_the_removal_is_made_good(tmp_path: Path, clock: HandClock) -> None:
    with writer(tmp_path, clock) as made:
        written(made)
    plain = (tmp_path / "records" / NAME).read_bytes()
    clock.pass_s(86_400)
    compressed(tmp_path, clock)
    (tmp_path / "records" / NAME).write_bytes(plain)
    assert verify(tmp_path).problems == []
    assert [each.outcome for each in compressed(tmp_path, clock)] == ["compressed"]
    assert not (tmp_path / "records" / NAME).exists()
    assert len(ledger_of(tmp_path, "day_file")) == 2
