"""A collector as systemd sees it: what it reports, and its end before the disk is full."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marketarchive.archive.disk_budget import MB
from tests.e2e.collectors import COLLECT, CRAWL, assert_sound, collecting
from tests.e2e.harness import ROOT, Output, Simulator, command
from tests.waiting import until

pytestmark = pytest.mark.e2e


class Manager:
    """The end of NOTIFY_SOCKET that systemd holds."""

    def __init__(self, path: Path) -> None:
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1000000"}
        self.lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def take(self) -> list[str]:
        while True:
            try:
                self.lines += self._socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self.lines

    def has(self, line: str) -> bool:
        return line in self.take()

    def looks_since_kick(self) -> int:
        """Reports since the newest that kicked the watchdog."""
        newest = "".join("k" if line == "WATCHDOG=1" else "s" for line in self.take())
        return len(newest) - newest.rfind("k") - 1

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def test_a_collector_reports_its_begin_its_data_and_its_end(
    world: Simulator, out: Path, manager: Manager
) -> None:
    with collecting(world.url, out, COLLECT, manager.environment) as collector:
        until(lambda: manager.has("READY=1") or collector.process.poll() is not None)
        assert list(out.glob("manifests/*.lock")), collector.log[-3000:]  # a run is on the disk
        until(lambda: manager.take().count("WATCHDOG=1") >= 3)
        assert not manager.has("STOPPING=1")
        collector.send(signal.SIGTERM)
        assert collector.end() == 0
    wanted = [line for line in manager.take() if line in ("READY=1", "STOPPING=1")]
    assert wanted == ["READY=1", "STOPPING=1"]
    assert manager.lines[0] == "READY=1"


def test_a_disk_that_hangs_kicks_no_watchdog(world: Simulator, out: Path, manager: Manager) -> None:
    files = "tests.archive.faulty_files.Stuck"
    stuck: dict[str, Any] = {"ARCHIVE_FILES": files, "ARCHIVE_STALL_S": 10_000, "MASTER_URL": ""}
    with collecting(world.url, out, CRAWL, manager.environment, **stuck) as collector:
        until(lambda: manager.has("WATCHDOG=1"))
        # its event loop runs on and reports four times a second; messages come and wait
        until(lambda: manager.looks_since_kick() >= 20)
        assert collector.process.poll() is None


def test_a_disk_that_fills_ends_all_runs_before_it_is_full(
    world: Simulator, out: Path, tmp_path: Path
) -> None:
    room = tmp_path / "room"
    environment = {"ROOM_FILE": str(room)}
    short: dict[str, Any] = {"ARCHIVE_FILES": "tests.archive.faulty_files.Room", "DISK_STOP_FREE_MB": 100}
    room.write_text(str(10_000 * MB))
    with collecting(world.url, out, COLLECT, environment, **short) as collector:
        collector.until_parts(3)
        room.write_text(str(99 * MB))
        assert collector.end() == 3, collector.log[-3000:]
    assert "99 MB are free" in collector.log
    assert "DISK_STOP_FREE_MB=100" in collector.log
    assert not list(out.glob("manifests/*-*.lock"))
    assert not list(out.glob("raw/**/*.part"))
    ended = [json.loads(path.read_text()) for path in out.glob("manifests/*.json")]
    assert {(each["exit_reason"], each["recovered"]) for each in ended} == {("disk", False)}
    for each in ended:
        if each["spider"] != "collect":
            feeds = {raw["feed"] for raw in each["raw"] if raw["gaps"].get("disk") == 1}
            assert feeds == set(each["feeds"])
    assert_sound(out)

    before = sorted(out.glob("manifests/*"))
    with collecting(world.url, out, CRAWL, environment, **short) as collector:
        assert collector.end() == 3
    assert "collecting stops while all can still be sealed" in collector.log
    assert sorted(out.glob("manifests/*")) == before  # no run was begun


def test_answers_that_arrive_after_a_disk_fell_short_are_kept(
    world: Simulator, out: Path, tmp_path: Path
) -> None:
    room = tmp_path / "room"
    short: dict[str, Any] = {"ARCHIVE_FILES": "tests.archive.faulty_files.Room", "DISK_STOP_FREE_MB": 100}
    room.write_text(str(10_000 * MB))
    late = {"kind": "latency", "route": "clob.polymarket.com/*", "seconds": 5}
    every_second = ("crawl", "polymarket_orderbook", "-a", "durations=1d,4h", "-a", "interval=1s")
    before = len(world.served())
    with (
        world.ordered(late),
        collecting(world.url, out, every_second, {"ROOM_FILE": str(room)}, **short) as collector,
    ):
        until(lambda: _books(world, before) > 2 or collector.process.poll() is not None)
        room.write_text(str(99 * MB))
        assert collector.end() == 3, collector.log[-3000:]
    assert_sound(out)
    assert len(Output(out).lines("orderbook", "response")) > 2


def _books(world: Simulator, since: int) -> int:
    """Return how many answers with books were sent after the first `since` answers."""
    return sum("clob.polymarket.com" in line["url"] for line in world.served()[since:])


def test_a_cycle_for_cron(world: Simulator, out: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    program = tmp_path / "marketarchive"
    program.write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m marketarchive "$@"\n')
    program.chmod(0o755)
    environment = {"MARKETARCHIVE": str(program), "MARKETARCHIVE_HOME": str(home), "PYTHONPATH": str(ROOT)}
    options = ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={world.url}"]
    script = str(ROOT / "deploy" / "cron" / "run_cycle.sh")

    def cycle(*more: str) -> subprocess.CompletedProcess[str]:
        line = [script, *options, *more]
        return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=600)

    done = cycle()
    log = (home / "logs" / "run_cycle.log").read_text()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), log
    assert log.splitlines()[-1].endswith("cycle ends: exit code 0")
    spiders = [manifest["spider"] for manifest in Output(out).manifests()]
    assert sorted(spiders) == ["polymarket_markets", "polymarket_orderbook"]
    assert command("verify", out).returncode == 0

    # a second one, while the first holds the lock
    lock = os.open(home, os.O_RDONLY)
    subprocess.run(["flock", "--nonblock", str(lock)], pass_fds=[lock], check=True)
    refused = cycle()
    assert refused.returncode == 1
    assert "another cycle still runs" in refused.stderr
    os.close(lock)
