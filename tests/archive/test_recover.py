"""Recovery: kills, torn files, failing disks, power cuts, two at once; afterwards `verify` passes."""

from __future__ import annotations

import errno
import gzip
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from marketarchive.archive import lines
from marketarchive.archive.compact import compact
from marketarchive.archive.labels import label
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.locks import claim, is_alive
from marketarchive.archive.manifest_fields import MANIFEST, SUMMARY
from marketarchive.archive.paths import PART, TORN
from marketarchive.archive.reader import ArchiveReader, Message
from marketarchive.archive.recover import recover
from marketarchive.archive.verify import verify
from marketarchive.clock import RealClock
from marketarchive.exceptions import DiskError
from tests.archive.faulty_files import FailNth, PowerCut, WatchedFiles
from tests.archive.killed import children, recover_at_once
from tests.archive.writing import (
    FEED,
    HandClock,
    frames,
    ledger_of,
    open_run,
    parts_of,
    readable,
    response,
    writer,
)

KILLS = 60
AT_ONCE = 5


def die(root: Path, clock: HandClock | None = None) -> HandClock:
    """A run that dies with a sealed segment and two open ones, of several members each."""
    clock = clock or HandClock()
    with writer(root, clock) as made:
        run = open_run(made)
        for _ in range(2):
            for _ in range(3):
                run.write(response(run))
                run.write(response(run, b'{"a": "\xff"}'))
                run.write(frames(run, b"{}", b'{"price":"0.00200000"}'))
                run.flush().result()
                clock.pass_s(40)
            clock.pass_s(3600)
        run.write(response(run))
        run.flush().result()
        clock.pass_s(10)
        run.write(response(run))
        run.flush().result()
    return clock


def everything(root: Path) -> list[Message]:
    return list(ArchiveReader(root).messages(kinds=("response", "frame", "connection", "gap")))


def seqs(root: Path) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for message in everything(root):
        if message.seq:
            found.setdefault(message.feed, set()).add(message.seq)
    return found


def crash_gaps(root: Path) -> dict[tuple[str, str], Message]:
    """By run and feed."""
    return {
        (message.run, message.feed): message
        for message in everything(root)
        if message.kind == "gap" and not message.seq
    }


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dead") / "archive"
    die(root)
    return root


@pytest.fixture
def root(dead: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dead, tmp_path / "copy"))


def later() -> HandClock:
    clock = HandClock()
    clock.pass_s(3 * 86_400)
    return clock


def test_a_dead_run_is_sealed_and_its_loss_written_down(root: Path) -> None:
    (part,) = parts_of(root)
    original = part.read_bytes()
    (found,) = recover(root, later()).runs
    assert found.reason == "crash"
    assert found.sealed == ()
    final = part.with_name(part.name.removesuffix(PART))
    assert (root / found.torn[0]).read_bytes() == original
    assert root / found.torn[0] == final.with_name(final.name + TORN)
    assert root / found.recovered[0] == final
    assert not list(root.glob("manifests/*.lock")) or [
        path.name for path in root.glob("manifests/*.lock")
    ] == ["recovery.lock"]
    assert seqs(root) == {FEED: set(range(1, 15)), "stream": set(range(1, 13))}
    gaps = crash_gaps(root)
    assert {feed: gap.envelope["first_lost_seq"] for (_, feed), gap in gaps.items()} == {
        FEED: 15,
        "stream": 13,
    }
    gap = gaps[found.name.split("-", 1)[1], FEED].envelope
    assert (gap["to"], gap["reason"], gap["cause"]) == (None, "crash", "ours")
    manifest = json.loads((root / found.manifest).read_bytes())
    assert (manifest["exit_reason"], manifest["recovered"]) == ("crash", True)
    assert manifest["arguments"] == {"markets": "all"}
    assert manifest.keys() == MANIFEST.keys()
    assert list(manifest["summary"]) == list(SUMMARY)[-2:] == ["recovered_at_utc", "failure"]
    assert [feed["gaps"] for feed in manifest["raw"]] == [{"crash": 1}, {"crash": 1}]
    assert verify(root).problems == []
    assert recover(root, later()).runs == []
    assert Ledger(root).head().count == len(list(Ledger(root).entries()))


def test_what_was_finished_but_for_its_last_steps_is_only_finished(tmp_path: Path) -> None:
    """The process dies between two operations of closing: whatever was not done is done, nothing is lost."""
    for n in range(1, 1000):
        root = tmp_path / str(n)
        files = FailNth(n, persistent=True)
        with suppress(DiskError), writer(root, HandClock(), files) as made:
            run = open_run(made)
            run.write(response(run))
            run.close("finished", {}).result()
        recover(root, later())
        report = verify(root)
        assert report.problems == [], n
        assert not list((root / "raw").rglob("*" + PART))
        if not files.failed:
            break
    else:
        pytest.fail("the run never ended by itself")


def test_the_reason_is_disk_where_the_writer_left_word(tmp_path: Path) -> None:
    root = tmp_path
    with writer(root, HandClock(), FailNth(16)) as made:
        run = open_run(made)
        for _ in range(5):
            run.write(response(run))
        assert isinstance(run.flush().exception(), DiskError)
    (found,) = recover(root, later()).runs
    assert found.reason == "disk"
    gaps = crash_gaps(root)
    assert {gap.envelope["reason"] for gap in gaps.values()} == {"disk"}
    assert verify(root).problems == []


def test_a_declared_feed_that_never_wrote_has_its_crash_gap(tmp_path: Path) -> None:
    with writer(tmp_path, HandClock()) as made:
        made.open_run("polymarket_books", "polymarket", ["orderbook", "resolutions"], {}, {})
    (found,) = recover(tmp_path, later()).runs
    assert len(found.recovered) == 2
    assert {feed: gap.envelope["first_lost_seq"] for (_, feed), gap in crash_gaps(tmp_path).items()} == {
        "orderbook": 1,
        "resolutions": 1,
    }
    assert verify(tmp_path).problems == []


def test_parts_without_a_lock_are_recovered_too(root: Path) -> None:
    (lock,) = root.glob("manifests/*.lock")
    lock.unlink()
    (found,) = recover(root, later()).runs
    assert len(found.torn) == 1
    assert verify(root).problems == []


def test_a_segment_with_a_label_or_brought_back_is_recovered_with_its_run(root: Path) -> None:
    """Later lines of the ledger name a segment again, and say nothing of what is in it."""
    labelled, restored = ledger_of(root)[:2]
    label(root, labelled["path"], "invalid", "a test")
    said = {key: restored[key] for key in ("path", "bytes", "sha256")}
    Ledger(root).append({"kind": "moved", **said, "to": f"remote:{restored['path']}"})
    found = recover(root, later())
    assert found.failures == []
    assert {feed: gap.envelope["first_lost_seq"] for (_, feed), gap in crash_gaps(root).items()} == {
        FEED: 15,
        "stream": 13,
    }
    assert verify(root).problems == []
    assert recover(root, later()).runs == []


def test_segments_that_were_moved_away_are_known_from_the_ledger(root: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(root, tmp_path / "other"))
    move_away(other, ledger_of(other))
    [found], [due] = recover(other, later()).runs, recover(root, later()).runs
    assert found == due
    assert raw_figures(other, found.manifest) == raw_figures(root, due.manifest)
    assert last_gaps(other) == last_gaps(root)
    assert verify(other).problems == []


def move_away(root: Path, lines: list[dict[str, Any]]) -> None:
    """Delete segments as `offload --prune` does; lines: those of the ledger that enter them."""
    for line in lines:
        said = {key: line[key] for key in ("path", "bytes", "sha256")}
        Ledger(root).append({"kind": "moved", **said, "to": f"remote:{line['path']}"})
        (root / line["path"]).unlink()


def last_gaps(root: Path) -> list[dict[str, Any]]:
    """Return the gaps that recovery wrote at the time of `later`."""
    made = ArchiveReader(root).messages(since=later().now_ns(), kinds=("gap",))
    return [dict(message.envelope) for message in made]


def raw_figures(root: Path, manifest: str) -> list[dict[str, Any]]:
    """Return what a manifest says of each feed, but for the bytes of its files."""
    found = json.loads((root / manifest).read_bytes())["raw"]
    for feed in found:
        del feed["bytes"]
        feed["files"] = [each["path"] for each in feed["files"]]
    return list(found)


@pytest.mark.parametrize("remove", [False, True])
def test_a_run_killed_before_it_gave_up_its_lock_is_ended_though_it_was_joined(
    tmp_path: Path, remove: bool
) -> None:
    clock = HandClock()
    with writer(tmp_path, clock, segment_bytes=1) as made:
        run = open_run(made)
        for _ in range(2):
            run.write(response(run))
            run.flush().result()
        lock = tmp_path / f"manifests/{run.name}.lock"
        identity = lock.read_bytes()
        run.close("finished", {}).result()
        clock.pass_s(7200)
        [joined] = compact(made.store, 0, 10**9, remove=remove).joined
        assert joined.segments == 2
    lock.write_bytes(identity)
    assert recover(tmp_path, later()).failures == []
    assert not lock.exists()
    assert ledger_of(tmp_path, "recovered") == []
    assert verify(tmp_path).problems == []


def test_a_living_run_is_left_alone(root: Path) -> None:
    with writer(root, HandClock()) as made:
        run = open_run(made, "polymarket_markets")
        run.write(response(run))
        run.flush().result()
        lock = root / f"manifests/{run.name}.lock"
        assert is_alive(lock)
        assert claim(lock) is None
        (found,) = recover(root, later()).runs
        assert found.name != run.name
        assert recover(root, later()).runs == []
        assert [path.name.split("-")[0] for path in parts_of(root)] == ["polymarket_markets"]
        run.write(response(run))
        run.close("finished", {}).result()
    assert verify(root).problems == []
    assert not is_alive(lock)


def test_day_files_that_are_final_are_entered(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_run(made)
        run.write_record("quotes", clock.now_ns(), b'{"run":"%b"}' % run.run.encode())
        run.flush().result()
    (day_file,) = tmp_path.glob("records/*")
    day_file.write_bytes(day_file.read_bytes() + b'{"torn')
    recover(tmp_path, clock)
    assert ledger_of(tmp_path, "day_file") == []
    recover(tmp_path, later())
    assert [entry["lines"] for entry in ledger_of(tmp_path, "day_file")] == [1]
    assert verify(tmp_path).problems == []


def test_nothing_there_is_nothing_to_recover(tmp_path: Path) -> None:
    assert recover(tmp_path / "new", RealClock()).runs == []


# ---- damage beyond the torn end --------------------------------------------------------------------------


def tails() -> Iterator[tuple[str, bytes]]:
    yield "zeros", bytes(5000)
    yield "noise", Random(1).randbytes(5000)
    yield "text", b"not gzip\n" * 100
    yield "another member of noise", gzip.compress(b"noise\n" * 10)
    yield "the beginning of a member", gzip.compress(b"x")[:5]


@pytest.mark.parametrize("tail", [pytest.param(data, id=name) for name, data in tails()])
def test_what_lies_behind_the_torn_end_is_not_taken_for_lines(root: Path, tail: bytes) -> None:
    (part,) = parts_of(root)
    part.write_bytes(part.read_bytes() + tail)
    (found,) = recover(root, later()).runs
    assert (root / found.torn[0]).read_bytes().endswith(tail)
    assert seqs(root) == {FEED: set(range(1, 15)), "stream": set(range(1, 13))}
    assert verify(root).problems == []


def test_an_empty_part_becomes_a_segment_of_its_gap(root: Path) -> None:
    (part,) = parts_of(root)
    part.write_bytes(b"")
    recover(root, later())
    assert seqs(root)[FEED] == set(range(1, 13))
    assert {gap.envelope["first_lost_seq"] for gap in crash_gaps(root).values()} == {13}
    assert verify(root).problems == []


def test_readable_members_behind_damage_are_kept(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_run(made)
        for _ in range(5):
            run.write(response(run))
            run.flush().result()
            clock.pass_s(61)
            run.write(response(run))
            run.flush().result()
    (part,) = parts_of(tmp_path)
    data = bytearray(part.read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 3] == b"\x1f\x8b\x08"]
    data[starts[2] + 30] ^= 16
    part.write_bytes(data)
    recover(tmp_path, later())
    lost = set(range(1, 11)) - seqs(tmp_path)[FEED]
    assert lost
    assert len(lost) <= 2
    gaps = [message for message in everything(tmp_path) if message.kind == "gap"]
    assert {gap.envelope["first_lost_seq"] for gap in gaps} == {min(lost)}
    before = [message for message in everything(tmp_path) if message.seq == min(lost) - 1]
    assert len(gaps) == 2
    last = max(message.envelope["collected_at_utc"] for message in everything(tmp_path) if message.seq)
    assert [gap.envelope["from"] for gap in gaps] == [before[0].envelope["collected_at_utc"], last]
    assert verify(tmp_path).problems == []


class NoRename(WatchedFiles):
    """Segments cannot get their final names."""

    def rename(self, source: Path, target: Path) -> None:
        if source.suffix == PART:
            raise OSError(errno.EIO, "no rename", str(source))
        super().rename(source, target)


def test_damage_in_a_part_that_is_complete(tmp_path: Path) -> None:
    """The process died between the end line and the rename, and a member before it is damaged."""
    root, clock = tmp_path, HandClock()
    with writer(root, clock, NoRename()) as made:
        run = open_run(made)
        for _ in range(3):
            run.write(response(run))
            run.flush().result()
            clock.pass_s(61)
        run.close("finished", {}).exception()
    (part,) = parts_of(root)
    data = part.read_bytes()
    assert readable(part)[-1].kind == "end"
    starts = [at for at in range(len(data)) if data[at : at + 3] == b"\x1f\x8b\x08"]
    at = starts[1] + 40
    part.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
    recover(root, later())
    assert verify(root).problems == []
    kept = [line.kind for line in readable(part.with_suffix(""))]
    assert kept.count("gap") == 2
    assert kept.count("end") == 1
    assert kept[-1] == "end"


def test_a_part_that_only_lacks_its_last_bytes(tmp_path: Path) -> None:
    """Complete up to its end line, but for the gzip trailer: nothing is missing from it."""
    with writer(tmp_path, HandClock()) as made:
        run = open_run(made)
        run.write(response(run))
        run.flush().result()
        lock = tmp_path / f"manifests/{run.name}.lock"
        identity = lock.read_bytes()
        run.close("finished", {}).result()
    (segment,) = tmp_path.glob("raw/*/*/*/*/*.gz")
    segment.with_name(segment.name + PART).write_bytes(segment.read_bytes()[:-8])
    for path in (segment, lock.with_suffix(".json"), tmp_path / "manifests/ledger.jsonl"):
        path.unlink()
    lock.write_bytes(identity)
    (found,) = recover(tmp_path, later()).runs
    assert len(found.recovered) == 2  # itself, and one for the crash gap
    assert seqs(tmp_path) == {FEED: {1}}
    assert {gap.envelope["first_lost_seq"] for gap in crash_gaps(tmp_path).values()} == {2}
    assert verify(tmp_path).problems == []


# ---- recovery that is itself interrupted -----------------------------------------------------------------


@pytest.mark.parametrize("half", [False, True])
def test_every_operation_of_recovery_may_fail(dead: Path, tmp_path: Path, half: bool) -> None:
    """N = 1, 2, ... until recovery passes untouched; then a second recovery finishes what the first left."""
    for n in range(1, 1000):
        root = Path(shutil.copytree(dead, tmp_path / str(n)))
        original = parts_of(root)[0].read_bytes()
        files = FailNth(n, half=half, persistent=n % 2 == 0)
        with suppress(DiskError):
            recover(root, later(), files)
        recover(root, later())
        assert verify(root).problems == [], (n, files.failed)
        (torn,) = ledger_of(root, "torn")
        assert (root / torn["path"]).read_bytes() == original
        assert seqs(root) == {FEED: set(range(1, 15)), "stream": set(range(1, 13))}
        assert len(crash_gaps(root)) == 2
        assert not [path for path in root.rglob("*") if path.suffix in (".recovering", PART)]
        shutil.rmtree(root)
        if not files.failed:
            assert n > 40
            return
    pytest.fail("recovery never passed untouched")


class PowerCutLater(PowerCut):
    """Begins with what lies below `root`; of an open part only the first `synced` bytes are lasting."""

    def __init__(self, root: Path, n: int, synced: int) -> None:
        super().__init__(root, n)
        self._names[root] = next(self._ids)
        for path in sorted(root.rglob("*")):
            self._names[path] = next(self._ids)
            if path.is_dir():
                self._folders.add(self._names[path])
            else:
                data = path.read_bytes()
                self._contents[self._names[path]] = data[:synced] if path.suffix == PART else data
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
            self._states[folder] = [self._entries(folder)]


@pytest.mark.parametrize(("seed", "synced"), [(None, 10**9), (1, 10**9), (2, 10**9), (None, 400), (3, 400)])
def test_the_power_may_fail_before_every_operation_of_recovery(
    dead: Path, tmp_path: Path, seed: int | None, synced: int
) -> None:
    """After a kill the end of a part may be in memory only; what recovery enters must be on the disk."""
    for n in range(1, 1000):
        root = Path(shutil.copytree(dead, tmp_path / f"{n}"))
        original = parts_of(root)[0].read_bytes()
        files = PowerCutLater(root, n, synced)
        try:
            passed = not recover(root, later(), files).failures
        except DiskError:
            passed = False
        after = tmp_path / f"{n}-after"
        files.survive(after, None if seed is None else Random(seed * 1000 + n))
        recover(after, later())
        assert verify(after).problems == [], n
        found = seqs(after)
        assert found["stream"] == set(range(1, 13))
        assert found[FEED] >= set(range(1, 13))
        if passed or synced > len(original):
            assert found[FEED] == set(range(1, 15))
            assert any(path.read_bytes() == original for path in after.glob("raw/*/*/*/*/*" + TORN))
        shutil.rmtree(root)
        shutil.rmtree(after)
        if passed:
            return
    pytest.fail("recovery never passed untouched")


def test_two_recoveries_at_once_in_threads(root: Path) -> None:
    barrier = threading.Barrier(4)
    found: list[int] = []

    def work() -> None:
        barrier.wait(30)
        found.append(len(recover(root, later()).runs))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found) == [0, 0, 0, 1]
    assert verify(root).problems == []


def test_two_recoveries_at_once_in_processes(root: Path) -> None:
    assert recover_at_once(root, 3) == [0, 0, 0]
    assert len(ledger_of(root, "manifest")) == 1
    assert verify(root).problems == []


# ---- kill -9 ---------------------------------------------------------------------------------------------


@pytest.mark.process  # works for seconds
def test_kills_at_random_moments_lose_nothing_that_was_promised(tmp_path: Path) -> None:
    """Several runs write to one archive at once and die at random; others start while they are recovered."""
    random = Random(20261121)
    for first in range(0, KILLS, AT_ONCE):
        promised: dict[str, dict[str, int]] = {}
        with children(tmp_path, range(first, first + AT_ONCE)) as running:
            for child in running:
                assert child.hear(30)
                for _ in range(random.randrange(12)):
                    child.hear(random.random() * 0.02)
                child.kill()
                promised[child.run] = child.promised
                if random.random() < 0.3:
                    recover(tmp_path, RealClock())  # while the next ones still write
        recover(tmp_path, RealClock())
        check(tmp_path, promised)
    report = verify(tmp_path)
    assert report.problems == []
    assert report.open == []
    assert report.checked["manifest"] == KILLS


def check(root: Path, promised: dict[str, dict[str, int]]) -> None:
    """Every promised seq is there; what is not there lies behind the crash gap of its run and feed."""
    found: dict[tuple[str, str], set[int]] = {}
    lost: dict[tuple[str, str], int] = {}
    runs = {name.split("-", 1)[1]: name for name in promised}
    for entry in ArchiveReader(root).segments():
        if entry["run"] not in runs:
            continue
        key = (runs[entry["run"]], entry["feed"])
        for line in gzip.decompress((root / entry["path"]).read_bytes()).splitlines():
            envelope = lines.parse(line).envelope
            if "seq" in envelope:
                found.setdefault(key, set()).add(envelope["seq"])
            elif "first_lost_seq" in envelope:
                lost[key] = envelope["first_lost_seq"]
    for name, feeds in promised.items():
        for feed, highest in feeds.items():
            assert found[name, feed] >= set(range(1, highest + 1))
            assert lost[name, feed] > highest
            assert found[name, feed] >= set(range(1, lost[name, feed]))
            assert lost[name, feed] not in found[name, feed]
