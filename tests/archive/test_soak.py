"""The journal of a soak, its thresholds, what /proc says, and the plan of kills."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from marketarchive.archive.soak.journal import Soak, SoakJournal, end_of, named_soak, read_lines, unfinished
from marketarchive.archive.soak.processes import SoakChild, process_stat, usage
from marketarchive.archive.soak.supervisor import PAUSE_S, SoakSupervisor, disk_use, planned_kills
from marketarchive.archive.soak.thresholds import THRESHOLDS, Circumstances, Measured, judge
from marketarchive.exceptions import ArgumentError, CorruptError
from marketarchive.simulated_time import SimulatedClock
from tests.archive.writing import NOON, HandClock
from tests.waiting import until

PLAN = Path(__file__).parents[2] / "docs" / "SOAK_PLAN.md"
SOAK = Soak("s1", "2026-11-21T12:00:00.000000Z", 24.0, ["updown"], [], is_simulated=False, collector="x")
REAL = Circumstances(is_simulated=False, stand_ins=(), has_ended=True, hours=24.0)
GOOD = {
    each.name: Measured(100.0 if each.bound == "at least" else 0.0)
    for each in THRESHOLDS
}  # fmt: skip
BAD = {
    "tracked": 99.49,
    "observed": 99.49,
    "unrecorded": 1.0,
    "unsealed": 1.0,
    "memory": 10.1,
    "restart": 60.0,
    "uptime": 99.49,
    "verify": 1.0,
}


def test_the_plan_states_the_thresholds() -> None:
    stated = [line for line in PLAN.read_text().splitlines() if line.count("|") == 4]
    rows = [f"| {each.name} | {each.what} | {each.words} |" for each in THRESHOLDS]
    begin = stated.index("| name | what is measured | threshold |")
    assert stated[begin + 2 : begin + 2 + len(rows)] == rows


def test_a_whole_real_soak_that_holds_all_passes() -> None:
    assert judge(GOOD, REAL).gate == "PASS"


@pytest.mark.parametrize("name", [each.name for each in THRESHOLDS])
def test_each_threshold_spoiled_fails_and_is_named(name: str) -> None:
    found = judge({**GOOD, name: Measured(BAD[name])}, REAL)
    assert found.gate == "FAIL"
    assert [reason.partition(":")[0] for reason in found.reasons] == [name]


@pytest.mark.parametrize("name", [each.name for each in THRESHOLDS])
def test_what_was_not_measured_leaves_the_gate_open(name: str) -> None:
    found = judge({**GOOD, name: Measured(None, "the extra is missing")}, REAL)
    assert (found.gate, list(found.reasons)) == ("OPEN", [f"{name} was not measured: the extra is missing"])
    del found
    assert judge({each: GOOD[each] for each in GOOD if each != name}, REAL).gate == "OPEN"


@pytest.mark.parametrize(
    ("about", "why"),
    [
        (Circumstances(is_simulated=True, stand_ins=(), has_ended=True, hours=24.0), "simulator"),
        (Circumstances(is_simulated=False, stand_ins=["https://v"], has_ended=True, hours=24.0), "https://v"),
        (Circumstances(is_simulated=False, stand_ins=(), has_ended=False, hours=24.0), "not over"),
        (Circumstances(is_simulated=False, stand_ins=(), has_ended=True, hours=23.99), "23.99 h"),
    ],
)
def test_only_a_whole_real_soak_can_pass(about: Circumstances, why: str) -> None:
    found = judge(GOOD, about)
    assert found.gate == "OPEN"
    assert why in found.reasons[0]
    assert judge({**GOOD, "verify": Measured(1)}, about).gate == "FAIL"


def test_neither_a_step_of_the_clock_nor_a_kill_changes_what_has_elapsed(tmp_path: Path) -> None:
    clock = HandClock()
    journal = SoakJournal.create(tmp_path, SOAK, clock)
    journal.write("started")
    clock.pass_s(100)
    clock.step_s(-5000)
    assert journal.write("sample").elapsed_s == pytest.approx(100)
    journal.close()
    with (tmp_path / "soak/s1/samples.jsonl").open("ab") as file:
        file.write(b'{"kind":"sample","at_ut')  # killed in the middle of a line
    clock.pass_s(50)
    clock.step_s(7000)
    again = SoakJournal(tmp_path, SOAK, clock)
    assert again.write("resumed").elapsed_s == pytest.approx(150)
    again.close()
    assert [line.kind for line in read_lines(tmp_path, "s1")] == ["started", "sample", "resumed"]


def test_over_a_reboot_the_wall_clock_says_what_has_elapsed(tmp_path: Path) -> None:
    clock = HandClock()
    journal = SoakJournal.create(tmp_path, SOAK, clock)
    clock.pass_s(100)
    journal.write("started")
    journal.close()
    path = tmp_path / "soak/s1/samples.jsonl"
    line = json.loads(path.read_text())
    path.write_text(json.dumps({**line, "boot_id": "the one before"}) + "\n")
    clock.pass_s(30)
    clock.mono = 1  # it begins anew
    again = SoakJournal(tmp_path, SOAK, clock)
    assert again.now().elapsed_s == pytest.approx(line["elapsed_s"] + 30)
    again.close()


def test_the_newest_soak_goes_on_until_it_has_ended(tmp_path: Path) -> None:
    assert unfinished(tmp_path) is None
    with pytest.raises(ArgumentError, match="there is no soak"):
        named_soak(tmp_path, None)
    journal = SoakJournal.create(tmp_path, SOAK, HandClock())
    assert unfinished(tmp_path) == named_soak(tmp_path, None) == SOAK
    journal.write("end", reason="its hours are over")
    assert end_of(journal.lines) is not None
    journal.close()
    assert unfinished(tmp_path) is None
    with pytest.raises(ArgumentError, match="there is s1"):
        named_soak(tmp_path, "s2")
    (tmp_path / "soak/s1/soak.json").write_text("{")
    with pytest.raises(CorruptError, match="move its folder away"):
        named_soak(tmp_path, None)


def test_kills_are_planned_at_random_and_the_same_after_a_resumption() -> None:
    found = planned_kills(20, 24.0, "s1")
    assert found == planned_kills(20, 24.0, "s1") == sorted(found)
    assert found != planned_kills(20, 24.0, "s2")
    assert all(300 <= at <= 24 * 3600 - 300 for at in found)


def test_disk_use_counts_every_entry(tmp_path: Path) -> None:
    (tmp_path / "raw/a").mkdir(parents=True)
    (tmp_path / "raw/a/x").write_bytes(b"12345")
    (tmp_path / "master.db").write_bytes(b"1")
    assert disk_use(tmp_path) == {"master.db": 1, "raw": 5}


@pytest.mark.process
def test_a_process_is_found_again_by_whoever_did_not_start_it(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import subprocess, sys; subprocess.run(['sleep', '600'])"]
    with (tmp_path / "log").open("wb") as log:
        child = SoakChild.start(words, log)
    until(lambda: (used := usage(child.pid)) is not None and used.processes == 2)
    used = usage(child.pid)
    assert used is not None
    assert used.resident > 2**20
    assert SoakChild.find(child.pid, child.started_ticks + 1) is None  # another that got its id
    found = SoakChild.find(child.pid, child.started_ticks)
    assert found is not None
    assert not found.has_ended()
    stat = process_stat(child.pid)
    assert stat is not None
    assert stat.parent == os.getpid()
    sleeping = subprocess.run(["pgrep", "-P", str(child.pid)], capture_output=True, text=True, check=True)
    found.send(signal.SIGKILL)
    until(lambda: child.has_ended(1))
    assert (found.has_ended(), found.exit_code, child.exit_code) == (True, None, -signal.SIGKILL)
    found.send(signal.SIGKILL)  # nobody is there: no error
    assert usage(child.pid) is None
    os.kill(int(sleeping.stdout), signal.SIGKILL)
    found.close()
    child.close()


def segment(root: Path, number: int) -> None:
    """The beginning of an open segment of another run, as a collector writes it."""
    folder = root / "raw/venue=v/feed=f/date=2026-11-21/hour=12"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"a_spider-20261121T120000Z-{number:08x}-1.jsonl.gz.part"
    (folder / name).write_bytes(gzip.compress(b'{"kind":"segment"}\n{"kind":"response","seq":1}\n{"kind"'))


class Watcher:
    """Hears what a supervisor says, plays the collector's part on the disk, and ends it after a while."""

    def __init__(self, root: Path, soak: Soak, command: list[str], *, writes: bool, until: str) -> None:
        self.root, self.writes, self.until = root, writes, until
        self.said: list[str] = []
        clock = SimulatedClock.fixed(NOON, 50.0)
        again = (root / "soak" / soak.id).exists()
        self.journal = SoakJournal(root, soak, clock) if again else SoakJournal.create(root, soak, clock)
        self.supervisor = SoakSupervisor(root, self.journal, clock, command, self.hear)

    def hear(self, text: str) -> None:
        self.said.append(text)
        if self.writes and text.startswith("collector started"):
            segment(self.root, len(self.said))
        self.supervisor.is_stopping = [each.split(",")[0] for each in self.said].count(self.until) == 2

    def run(self) -> str:
        ended = self.supervisor.run()
        self.journal.close()
        return ended

    def kinds(self) -> list[str]:
        return [line.kind for line in self.journal.lines if line.kind != "sample"]


@pytest.mark.process
def test_a_collector_that_ends_is_started_again_and_one_with_wrong_arguments_is_not(tmp_path: Path) -> None:
    fails = ["sh", "-c", "exit 3"]
    watcher = Watcher(tmp_path, SOAK, fails, writes=False, until="collector ended with exit code 3")
    assert watcher.run() == "stopped"
    cycle = ["child_started", "child_exited"]
    assert watcher.kinds() == ["started", *cycle, *cycle, "stopped"]
    first, second = (line for line in watcher.journal.lines if line.kind == "child_started")
    assert second.elapsed_s - first.elapsed_s >= PAUSE_S
    again = Watcher(tmp_path, SOAK, ["sh", "-c", "exit 2"], writes=False, until="")
    assert again.run() == "wrong argument"
    assert again.kinds()[-4:] == ["resumed", *cycle, "end"]
    assert unfinished(tmp_path) is None


@pytest.mark.process
def test_a_planned_kill_comes_once_and_data_after_it_are_noticed(tmp_path: Path) -> None:
    soak = Soak("s1", SOAK.started_at_utc, 24.0, [], [0.0], is_simulated=False, collector="x")
    watcher = Watcher(tmp_path, soak, ["sleep", "600"], writes=True, until="")
    heard = watcher.hear

    def hear(text: str) -> None:
        heard(text)
        watcher.supervisor.is_stopping = watcher.kinds().count("first_data") == 2

    watcher.supervisor.say = hear
    assert watcher.run() == "stopped"
    cycle = ["child_started", "first_data"]
    assert watcher.kinds() == ["started", *cycle, "killed", "child_exited", *cycle, "child_exited", "stopped"]
    exits = [line for line in watcher.journal.lines if line.kind == "child_exited"]
    data = [line for line in watcher.journal.lines if line.kind == "first_data"]
    assert [line.exit_code for line in exits] == [-signal.SIGKILL, -signal.SIGTERM]
    assert (data[0].down_since_s, data[1].down_since_s) == (0.0, exits[0].elapsed_s)
    assert {line.kind for line in watcher.journal.lines if line.resident_bytes} == {"sample"}


@pytest.mark.process
def test_after_a_reboot_the_collector_counts_as_ended_when_it_wrote_last(tmp_path: Path) -> None:
    watcher = Watcher(tmp_path, SOAK, ["sh", "-c", "exit 3"], writes=False, until="")
    watcher.journal.write("started")
    watcher.journal.write("child_started", pid=os.getpid(), started_ticks=1)
    watcher.journal.write("first_data", pid=os.getpid(), down_since_s=0.0)
    watcher.journal.close()
    segment(tmp_path, 1)
    again = Watcher(tmp_path, SOAK, ["sh", "-c", "exit 2"], writes=False, until="")
    assert again.run() == "wrong argument"
    assert again.kinds()[2:5] == ["first_data", "resumed", "child_exited"]
    [lost, _] = (line for line in again.journal.lines if line.kind == "child_exited")
    data = again.journal.lines[2]
    assert lost.down_since_s is not None
    assert data.elapsed_s <= lost.down_since_s <= lost.elapsed_s
    assert (lost.exit_code, lost.reason) == (None, "while no supervisor ran")
