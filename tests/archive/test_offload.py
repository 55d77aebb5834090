"""offload: copies are believed only when compared, on four remotes, each with a flipped bit."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from marketarchive.archive.compact import Compaction, compact
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.labels import label
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.locks import try_lock
from marketarchive.archive.offload.offload import Offloaded, OffloadOptions, offload, plan
from marketarchive.archive.offload.rclone import Rclone
from marketarchive.archive.offload.restore import absent, restore
from marketarchive.archive.paths import LEDGER, OFFLOAD_LOCK
from marketarchive.archive.reader import ArchiveReader
from marketarchive.archive.recover import recover
from marketarchive.archive.run import RunArchive
from marketarchive.archive.status import status
from marketarchive.archive.store import Store
from marketarchive.archive.verify import verify
from marketarchive.exceptions import ArchiveError, ArgumentError, ConfigurationError, RemoteError
from marketarchive.items import Gap
from marketarchive.scope import Scope
from marketarchive.times import DAY, HOUR
from tests.archive import museum
from tests.archive.checking import described_ledger
from tests.archive.faulty_files import FailNth
from tests.archive.remotes import BUCKET, KINDS, WITH_HASH, Remote, serving, webdav
from tests.archive.writing import NOON, HandClock, cron, ledger_of, open_run, response, writer
from tests.waiting import until

pytestmark = pytest.mark.process

T = TypeVar("T")
LATER = NOON + 40 * DAY
ENTERED = ("segment", "recovered", "torn", "manifest", "day_file")
RAW = ENTERED[:3]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "archive"
    museum.build(folder)
    return folder


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "archive"))


@pytest.fixture(autouse=True)
def _own_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 is refused by rclone 1.60.1 where this is set, which is nothing that is tested here."""
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with serving("s3", tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture(scope="module", params=KINDS)
def remote(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    if request.param == "s3":
        yield request.getfixturevalue("s3")
        return
    with serving(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


def store(root: Path, files: Files | None = None) -> Store:
    return Store(root, HandClock(LATER), ArchiveConfig(), files or Files(), Ledger(root, files))


def options(**changed: Any) -> OffloadOptions:
    return OffloadOptions(**{"recheck_ns": 30 * DAY, **changed})


def run(root: Path, rclone: Rclone, **changed: Any) -> Offloaded:
    return offload(store(root), rclone, options(**changed), lambda text: None)


def entered(root: Path, *kinds: str) -> dict[str, str]:
    """Path -> sha256 of final files, but not of this command's manifests."""
    return {
        entry["path"]: entry["sha256"]
        for kind in kinds or ENTERED
        for entry in ledger_of(root, kind)
        if not entry["path"].startswith("manifests/offload-")
    }


def manifest(root: Path, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / path).read_bytes())
    return found


def test_a_whole_life_of_copies(root: Path, remote: Remote) -> None:
    """Copied, verified, recorded; not copied again; rotten, found and kept; mended, pruned, brought back."""
    rclone = Rclone(remote.address("life"), remote.config)
    planned = plan(store(root), rclone, options())
    assert {file.path for file in planned.copied} == entered(root).keys()
    assert not planned.problems
    assert not (root / OFFLOAD_LOCK).exists()

    first = run(root, rclone)
    assert first.problems == {}
    assert {file.path for file in first.copied} == {*entered(root), *first.manifests}
    [made] = first.manifests
    document = manifest(root, made)
    by = WITH_HASH.get(rclone.type, "read_back")
    assert {each["path"]: each["sha256"] for each in document["files"]} == entered(root)
    assert {(each["state"], each["verified_by"]) for each in document["files"]} == {("verified", by)}
    assert document["remote"] == remote.address("life")
    assert first.snapshot == f"manifests/ledger-{'-'.join(str(Ledger(root).head()).split(':'))}.jsonl"

    head = Ledger(root).head()
    again = run(root, rclone)
    assert (again.copied, again.problems, again.manifests, again.snapshot) == ([], {}, [], first.snapshot)
    assert again.verified.keys() == {*entered(root), made}
    assert Ledger(root).head() == head

    rotten = museum.sealed(root).relative_to(root).as_posix()
    remote.flip("life", rotten)
    kept = run(root, rclone, older_than_ns=DAY)
    assert kept.problems.keys() == {rotten}
    assert rotten not in kept.verified
    assert (root / rotten).exists()
    assert {file.path for file in kept.pruned} == entered(root, *RAW).keys() - {rotten}
    assert not any((root / file.path).exists() for file in kept.pruned)
    assert run(root, rclone).problems.keys() == {rotten}  # it stays known

    assert run(root, rclone, replace=True, older_than_ns=DAY).problems == {}
    assert not (root / rotten).exists()
    report = verify(root)
    assert report.problems == []
    assert report.moved == {path: rclone.address(path) for path in entered(root, *RAW)}
    assert "moved" in described_ledger(root)

    back = restore(store(root), rclone, absent(store(root)))
    assert back.problems == {}
    assert verify(root).problems == []
    assert verify(root).moved == {}


def test_a_bit_that_rots_in_silence_is_found_by_reading_back(root: Path, s3: Remote) -> None:
    """An S3 service states the hash of what it received, whatever its disk has made of it since."""
    rclone = Rclone(s3.address("rot"), s3.config)
    assert run(root, rclone).problems == {}
    path = museum.sealed(root).relative_to(root).as_posix()
    s3.moto.call("rot", BUCKET, f"rot/{path}")
    assert run(root, rclone).problems == {}
    found = run(root, rclone, read_back=True, older_than_ns=DAY)
    assert found.problems.keys() == {path}
    assert (root / path).exists()


# ---- what a remote can do wrong --------------------------------------------------------------------------

REAL = str(shutil.which("rclone"))
FAULTS = {
    "fails, and was not stored": "cat > /dev/null; echo 'x ERROR : {path}: quota exceeded' >&2; exit 1",
    "fails, but was stored": "'{real}' \"$@\"; echo 'x ERROR : {path}: the answer was lost' >&2; exit 1",
    "succeeds, and was not stored": "cat > /dev/null; exit 0",
    "succeeds, with a wrong byte": (
        "'{real}' \"$@\"; printf x | dd of='{target}/{path}' bs=1 seek=50 conv=notrunc; exit 0"
    ),
    "is cut": "'{real}' \"$@\"; truncate --size=60 '{target}/{path}'; echo 'x signal: killed' >&2; exit 1",
    "succeeds, and all is gone": "'{real}' \"$@\"; rm -r '{target}'; exit 0",
}
"""Fault of a copy -> what stands in the place of rclone then."""
STORED = ("fails, but was stored",)
ONLY_BY_REPLACE = ("succeeds, with a wrong byte",)


def impostor(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, call: str = "copy") -> None:
    """Put a program before rclone that does something else for one of its commands."""
    folder.mkdir(exist_ok=True)
    path = folder / "rclone"
    path.write_text(f"#!/bin/sh\ncase \" $* \" in *' {call} '*)\n{script}\n;; esac\nexec '{REAL}' \"$@\"\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_copy_is_what_is_there_whatever_was_answered(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    target = tmp_path / "target"
    path = museum.sealed(root).relative_to(root).as_posix()
    with monkeypatch.context() as patch:
        impostor(tmp_path / "bin", patch, FAULTS[fault].format(real=REAL, path=path, target=target))
        done = run(root, Rclone(str(target)), older_than_ns=DAY)
    assert (path in done.problems) == (fault not in STORED)
    assert (path in done.verified) == (fault in STORED)
    assert (root / path).exists() == (fault not in STORED)
    assert all((target / file.path).exists() for file in done.pruned)
    assert verify(root).problems == []

    after = run(root, Rclone(str(target)), older_than_ns=DAY)
    assert (path in after.problems) == (fault in ONLY_BY_REPLACE)
    if fault in ONLY_BY_REPLACE:
        assert "--replace copies it again" in after.problems[path]
        after = run(root, Rclone(str(target)), older_than_ns=DAY, replace=True)
    assert after.problems == {}
    assert not any((root / path).exists() for path in entered(root, *RAW))
    assert verify(root).problems == []


def test_two_files_of_one_name_are_no_copy(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google Drive permits it: which of them is read is chance."""
    rclone = Rclone(str(tmp_path / "target"))
    assert run(root, rclone).problems == {}
    path = museum.sealed(root).relative_to(root).as_posix()
    twice = "found += [each for each in found if each['Path'] == sys.argv[1]]"
    program = f"import json, sys; found = json.load(sys.stdin); {twice}; json.dump(found, sys.stdout)"
    impostor(
        tmp_path / "bin",
        monkeypatch,
        f"'{REAL}' \"$@\" | '{sys.executable}' -c \"{program}\" '{path}'; exit 0",
        "lsjson",
    )
    found = run(root, Rclone(str(tmp_path / "target")), older_than_ns=DAY)
    assert "several files of this name" in found.problems[path]
    assert (root / path).exists()


def test_a_remote_that_is_gone_changes_nothing(root: Path, tmp_path: Path) -> None:
    config = tmp_path / "rclone.conf"
    with webdav(tmp_path) as url:
        config.write_text(
            f"[x]\ntype = webdav\nurl = {url}\nvendor = other\nuser = me\npass = {obscured()}\n"
        )
    before = Ledger(root).head()
    with pytest.raises(RemoteError, match=r"cannot be listed: .*connection refused") as raised:
        run(root, Rclone("x:archive", config), older_than_ns=DAY)
    assert obscured() not in str(raised.value)
    assert Ledger(root).head() == before
    assert verify(root).problems == []


def test_only_copies_of_old_sealed_files_without_a_label_are_pruned(root: Path, tmp_path: Path) -> None:
    """Neither the young, nor the marked, nor what is damaged here, nor manifests and rows."""
    rclone = Rclone(str(tmp_path / "target"))
    marked, damaged = museum.sealed(root), museum.sealed(root, 2)
    label(root, marked.relative_to(root), "invalid", "a test")
    assert run(root, rclone, older_than_ns=41 * DAY).pruned == []
    with writer(root, HandClock(LATER)) as made:  # what is not sealed is not copied either
        living = open_run(made)
        living.write(response(living))
        living.flush().result()
        assert run(root, rclone).problems == {}
        museum.flip(damaged, 400)
        found = run(root, rclone, older_than_ns=DAY)
        assert found.problems.keys() == {damaged.relative_to(root).as_posix()}
        assert {path.suffix for path in root.glob("raw/**/*") if path.is_file()} == {".gz", ".part"}
        living.close("finished", {}).result()
    assert marked.exists()
    assert damaged.exists()
    assert not list((tmp_path / "target").rglob("*.part"))
    kept = {file.relative_to(root).as_posix() for file in root.glob("raw/**/*.gz*")}
    young = {entry["path"] for entry in ledger_of(root) if living.run in entry["path"]}
    assert kept == {marked.relative_to(root).as_posix(), damaged.relative_to(root).as_posix(), *young}
    assert all((root / path).exists() for path in entered(root, "manifest", "day_file"))


def test_a_living_run_is_pruned_and_then_recovered_as_if_it_were_whole(tmp_path: Path) -> None:
    """Its gaps are in the ledger; segments of which one has lines of the other stay until it has ended."""
    root, rclone, clock = tmp_path / "archive", Rclone(str(tmp_path / "target")), HandClock()
    old = options(older_than_ns=DAY)
    with writer(root, clock) as made:
        living = made.open_run("polymarket_orderbook", "polymarket", ["orderbook", "quiet"], {}, {})
        seqs = [[1, 2], [3, 5], [4, 6], [7], []]
        answers = [response(living) for _ in range(7)]
        for hour, here in enumerate(seqs):
            for seq in here:
                living.write(replace(answers[seq - 1], received_at=clock.now_ns()))
            if hour < 2:
                living.write(disconnect(living, clock.now_ns(), "quiet"))
            living.flush().result()
            clock.pass_s(3600)
        living.flush().result()
        crossed = {line["path"] for line in ledger_of(root) if line["seq_min"] in (3, 4)}
        others = {line["path"] for line in ledger_of(root)} - crossed
        for work in (plan, partial(offload, progress=print)):
            found = work(store(root), rclone, old)
            assert {file.path for file in found.pending} == crossed
            assert {file.path for file in found.pruned} == others
        assert {path.relative_to(root).as_posix() for path in root.glob("raw/**/*.gz")} == crossed
    [recovered] = recover(root, clock).runs
    assert verify(root).problems == []
    quiet, book = (
        next(each for each in manifest(root, recovered.manifest)["raw"] if each["feed"] == feed)
        for feed in ("quiet", "orderbook")
    )
    assert (quiet["gaps"], book["gaps"]) == ({"crash": 1, "disconnect": 2}, {"crash": 1})
    assert [len(quiet["files"]), len(book["files"])] == [3, 5]
    gaps = ArchiveReader(root).messages(since=clock.now_ns(), kinds=("gap",))
    assert {gap.feed: (gap.envelope["first_lost_seq"], gap.envelope["from"]) for gap in gaps} == {
        "quiet": (3, "2026-11-21T13:00:00.000000Z"),
        "orderbook": (8, "2026-11-21T15:00:00.000000Z"),
    }
    assert run(root, rclone, older_than_ns=DAY).pending == []
    assert restore(store(root), rclone, absent(store(root))).problems == {}
    assert verify(root).problems == []


def disconnect(living: RunArchive, at: int, feed: str) -> Gap:
    seq = living.next_seq("polymarket", feed)
    scope, own = Scope("polymarket", feed), f"{living.run}:{seq}"
    return Gap("polymarket", feed, at, seq, at - 1, at, scope, "disconnect", "venue", id=own)


def test_a_damaged_ledger_lets_nothing_be_pruned(root: Path, tmp_path: Path) -> None:
    museum.flip(museum.ledger(root), 8 * 40)
    found = run(root, Rclone(str(tmp_path / "target")), older_than_ns=DAY)
    assert "nothing was deleted here" in found.problems["manifests/ledger.jsonl"]
    assert found.pruned == []


# ---- what dies -------------------------------------------------------------------------------------------


class Dies(FailNth):
    """Nothing reaches the disk after its n-th write, which it cuts in half, fsync or rename."""

    def at(self, operation: str, path: Path, do: Callable[[], T]) -> T:
        if operation in ("write", "fsync", "rename") or self.count >= self.n:
            return super().at(operation, path, do)
        return do()


def test_killed_at_any_step_it_loses_nothing_and_is_finished_by_the_next(tmp_path: Path) -> None:
    """Where a file is gone here, the ledger has said so before, and its copy is whole."""
    small = tmp_path / "small"
    with writer(small) as made:
        run_ = open_run(made)
        run_.write(response(run_))
        run_.close("finished", {}).result()
    [segment] = entered(small, "segment")
    steps, target = 0, tmp_path / "target"
    rclone = Rclone(str(target))
    while True:
        steps += 1
        root = Path(shutil.copytree(small, tmp_path / f"{steps}"))
        shutil.rmtree(target, ignore_errors=True)
        files = Dies(steps, persistent=True, half=True)
        try:
            offload(store(root, files), rclone, options(older_than_ns=DAY), lambda text: None)
        except OSError:
            pass
        else:
            break
        if not (root / segment).exists():
            assert segment in verify(root).moved
            assert hashlib.sha256((target / segment).read_bytes()).hexdigest() == entered(root)[segment]
        done = run(root, rclone, older_than_ns=DAY)
        assert done.problems == {}
        assert not (root / segment).exists()
        report = verify(root)
        assert (report.problems, list(report.moved)) == ([], [segment])
        assert len(ledger_of(root, "moved")) == 1
    assert steps > 10


def test_what_it_is_about_to_copy_is_not_joined_and_removed_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, joined = tmp_path / "archive", list[Compaction]()
    cron(root)
    joining = threading.Thread(target=lambda: joined.append(compact(store(root), 0, 10**9, remove=True)))

    def progress(text: str) -> None:
        if not joining.ident:
            joining.start()
            until(lambda: joined or "waiting for another process" in caplog.text)

    done = offload(store(root), Rclone(str(tmp_path / "target")), options(), progress)
    joining.join(60)
    assert done.problems == {}
    assert joined[0].removed > 0
    assert run(root, Rclone(str(tmp_path / "target"))).problems == {}
    assert verify(root).problems == []


def test_the_lines_of_a_long_ledger_are_not_held_in_memory(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    cron(root)
    first = ledger_of(root, "segment")[0]
    line = {name: value for name, value in first.items() if name != "previous"}
    paths = [line["path"].replace("-1.jsonl", f"-{n}.jsonl") for n in range(2, 2000)]
    Ledger(root).append(*({**line, "path": path} for path in paths))
    rclone = Rclone(str(tmp_path / "target"))
    gc.collect()
    gc.freeze()  # cycles are collected as in a process of its own, whatever tests ran before
    tracemalloc.start()
    try:
        found = plan(store(root), rclone, options())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.unfreeze()
    assert len(found.problems) == len(paths)  # they are not here
    assert peak < 3 * (root / LEDGER).stat().st_size


def test_killed_while_it_copies_it_is_resumed_when_its_rclone_has_ended(root: Path, tmp_path: Path) -> None:
    target, gate = tmp_path / "target", tmp_path / "gate"
    os.mkfifo(gate)
    path = museum.sealed(root).relative_to(root).as_posix()
    part = f"mkdir -p '{(target / path).parent}'; head -c 70 '{root / path}' > '{target / path}'"
    with pytest.MonkeyPatch.context() as patch:
        impostor(tmp_path / "bin", patch, f"{part}; echo copying > '{gate}'; read go < '{gate}'; exit 1")
        command = [sys.executable, "-m", "scrapy", "offload", str(target), "-s", f"OUTPUT_DIR={root}"]
        with subprocess.Popen(command) as process:
            assert gate.read_text() == "copying\n"
            process.kill()
    with pytest.raises(ArchiveError, match="another offload of this archive is running, or an rclone"):
        run(root, Rclone(str(target)))
    gate.write_text("go\n")
    with (root / OFFLOAD_LOCK).open() as lock:
        until(lambda: try_lock(lock.fileno()))
    done = run(root, Rclone(str(target)))
    assert done.problems == {}
    assert (target / path).read_bytes() == (root / path).read_bytes()


# ---- what was moved away ---------------------------------------------------------------------------------


def test_readers_say_where_a_file_is(root: Path, tmp_path: Path) -> None:
    rclone = Rclone(str(tmp_path / "target"))
    run(root, rclone, older_than_ns=DAY)
    path = museum.sealed(root).relative_to(root).as_posix()
    with pytest.raises(
        ArchiveError, match=f"was moved to {rclone.address(path)}: `.*offload --restore {path}`"
    ):
        list(ArchiveReader(root).messages())
    found = status(root, HandClock(LATER))
    assert found.problems == []
    assert sum(feed.moved for feed in found.feeds) == len(entered(root, "segment", "recovered"))
    assert all(feed.last is not None for feed in found.feeds)

    museum.flip(tmp_path / "target" / path, 400)
    back = restore(store(root), rclone, absent(store(root), [path.rpartition("/")[0]]))
    assert back.problems.keys() == {path}
    assert "sha256" in back.problems[path]
    assert not list(root.rglob("*.tmp"))
    assert {file.path for file in absent(store(root))} & {file.path for file in back.files} == set()
    assert verify(root).problems == []
    assert absent(store(root), since=LATER) == []
    with pytest.raises(ArgumentError, match="no file that was pruned is at or below raw/nothing"):
        absent(store(root), ["raw/nothing"])

    other = run(root, Rclone(str(tmp_path / "other")))
    assert {file.path for file in other.elsewhere} == {file.path for file in absent(store(root))}
    (tmp_path / "target" / path).unlink()
    assert run(root, rclone).problems == {path: "its only copy is gone from the remote: put one back there"}


@pytest.mark.parametrize("remove", [True, False])
def test_a_joined_file_goes_and_its_segments_come_back_with_it(tmp_path: Path, remove: bool) -> None:
    """Also where the small files are here too; a marked segment keeps the file that it lies in."""
    root, rclone = tmp_path / "archive", Rclone(str(tmp_path / "target"))
    for start in (NOON, NOON + HOUR):
        cron(root, start=start)
    lines = [message.payload for message in ArchiveReader(root).messages()]
    assert len(compact(store(root), 0, 10**9, remove=remove).joined) == 2
    first, second = entered(root, "joined")
    segments = list(entered(root, "segment"))
    hour, marked = segments[:3], segments[5]
    label(root, marked, "invalid", "a test")

    done = run(root, rclone, older_than_ns=DAY)
    assert done.problems == {}
    small = [] if remove else segments[:5]
    assert {file.path for file in done.pruned} == {first, *small}
    assert (root / second).exists()
    assert {entry["path"] for entry in ledger_of(root, "moved")} == {first, *small}
    report = verify(root)
    assert report.problems == []
    assert report.moved == dict.fromkeys([first, *hour], rclone.address(first))
    found = status(root, HandClock(LATER))
    assert (found.problems, [feed.moved for feed in found.feeds]) == ([], [3])
    with pytest.raises(
        ArchiveError, match=f"was moved to {rclone.address(first)}: `.*offload --restore {hour[0]}`"
    ):
        list(ArchiveReader(root).messages())
    again = compact(store(root), 0, 10**9, remove=True)
    assert (again.joined, again.resumed, again.refused, again.removed) == ([], [], {}, 0)
    assert run(root, rclone, older_than_ns=DAY).problems == {}

    [due] = absent(store(root), [hour[1]])
    assert due.path == first
    assert absent(store(root)) == absent(store(root), [first]) == [due]
    assert absent(store(root), since=NOON + HOUR) == []
    assert restore(store(root), rclone, [due]).problems == {}
    report = verify(root)
    assert (report.problems, report.moved) == ([], {})
    assert [message.payload for message in ArchiveReader(root).messages(labelled=True)] == lines


def test_a_joined_file_that_is_gone_keeps_its_segments(tmp_path: Path) -> None:
    """Pruned while a small file stays, because its own copy is wrong: that is the one copy here."""
    root, target = tmp_path / "archive", tmp_path / "target"
    rclone = Rclone(str(target))
    cron(root)
    compact(store(root), 0, 10**9)
    assert run(root, rclone).problems == {}
    [joined], kept = entered(root, "joined"), next(iter(entered(root, "segment")))
    museum.flip(target / kept, 400)
    assert run(root, rclone, older_than_ns=DAY).problems.keys() == {kept}
    assert not (root / joined).exists()
    done = compact(store(root), 0, 10**9, remove=True)
    assert (done.removed, done.refused) == (0, {})
    assert (root / kept).exists()


def test_a_segment_stays_while_the_joined_file_beside_it_does_not_hold_its_bytes(tmp_path: Path) -> None:
    """Readers would take them from there; a label keeps the joined file, so that nothing else reads it."""
    root, rclone = tmp_path / "archive", Rclone(str(tmp_path / "target"))
    cron(root)
    lines = [message.payload for message in ArchiveReader(root).messages(labelled=True)]
    compact(store(root), 0, 10**9)
    [joined], (damaged, sound, marked) = entered(root, "joined"), entered(root, "segment")
    label(root, marked, "invalid", "a test")
    museum.flip(root / joined, 40)
    done = run(root, rclone, older_than_ns=DAY)
    assert [file.path for file in done.pruned] == [sound]
    assert done.problems.keys() == {joined, damaged}
    assert done.problems[damaged].startswith(f"{joined} does not hold its bytes: run `")
    assert [message.payload for message in ArchiveReader(root).messages(labelled=True)] == lines


def test_a_segment_that_was_moved_comes_back_alone_where_its_joined_file_is_lost(tmp_path: Path) -> None:
    root, rclone = tmp_path / "archive", Rclone(str(tmp_path / "target"))
    cron(root)
    lines = [message.payload for message in ArchiveReader(root).messages(labelled=True)]
    compact(store(root), 0, 10**9)
    [joined], (*moved, marked) = entered(root, "joined"), entered(root, "segment")
    label(root, marked, "invalid", "a test")
    assert [file.path for file in run(root, rclone, older_than_ns=DAY).pruned] == moved
    assert absent(store(root)) == []  # it is in the joined file
    (root / joined).unlink()
    assert run(root, rclone).problems == {joined: "is in the ledger, but not on the disk: run `verify`"}
    assert [file.path for file in absent(store(root), moved[:1])] == moved[:1]
    due = absent(store(root))
    assert [file.path for file in due] == moved
    assert restore(store(root), rclone, due).problems == {}
    assert [message.payload for message in ArchiveReader(root).messages(labelled=True)] == lines


def test_what_a_killed_restore_leaves_is_a_note_and_the_next_one_begins_anew(
    root: Path, tmp_path: Path
) -> None:
    rclone = Rclone(str(tmp_path / "target"))
    [first, *_] = run(root, rclone, older_than_ns=DAY).pruned
    left = (root / first.path).with_name(f".{Path(first.path).name}.tmp")
    problems = verify(root).problems
    left.write_bytes(b"half of it")
    name = left.relative_to(root).as_posix()
    report = verify(root)
    assert report.problems == problems
    [note] = [note for note in report.notes if note.startswith(f"{name}: ")]
    assert f"offload --restore {first.path}" in note
    with (root / OFFLOAD_LOCK).open("a") as lock:
        assert try_lock(lock.fileno())
        assert name in verify(root).open
    assert restore(store(root), rclone, absent(store(root), [first.path])).problems == {}
    assert not left.exists()
    stray = left.with_name(".of_nothing.jsonl.gz.tmp")
    stray.touch()
    assert any(str(stray.name) in str(problem) for problem in verify(root).problems)


# ---- who calls it ----------------------------------------------------------------------------------------


def test_remotes_that_cannot_be_used_are_named_without_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "rclone.conf"
    config.write_text("[mine]\ntype = local\n")
    for remote in (":s3,secret_access_key=hunter2:bucket", "mine,pass=hunter2:folder"):
        with pytest.raises(ArgumentError, match="enter it in rclone's configuration") as raised:
            Rclone(remote, config)
        assert "hunter2" not in str(raised.value)
    with pytest.raises(ConfigurationError, match=r"no remote other: \(it has mine:\)"):
        Rclone("other:folder", config)
    with pytest.raises(ArgumentError, match="there is no file"):
        Rclone("mine:folder", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="rclone is not installed"):
        Rclone("mine:folder", config)


def obscured() -> str:
    """A password as rclone's configuration has it."""
    return subprocess.run([REAL, "obscure", "x"], capture_output=True, text=True, check=True).stdout.strip()


def test_the_remote_alone_is_an_archive(root: Path, tmp_path: Path) -> None:
    """With the newest ledger under its own name it verifies, whether files were pruned here or not."""
    for _ in range(2):
        done = run(root, Rclone(str(tmp_path / "target")), older_than_ns=DAY)
    made = Path(shutil.copytree(tmp_path / "target", tmp_path / "made"))
    (made / done.snapshot).rename(museum.ledger(made))
    report = verify(made)
    assert (report.problems, report.moved, report.head) == ([], {}, Ledger(root).head())
