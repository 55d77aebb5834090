"""What a process tells systemd, by a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.clock import RealClock
from marketarchive.collecting.service_manager import ServiceManager, ServiceReports
from marketarchive.exceptions import ConfigurationError
from tests.archive.faulty_files import Held
from tests.archive.writing import open_run, response
from tests.waiting import until, until_async


class Listener:
    """The socket of a service manager, and what came."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)
        self.came: list[str] = []

    def take(self) -> list[str]:
        """All lines so far."""
        while True:
            try:
                self.came += self.socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self.came

    def count(self, line: str) -> int:
        return self.take().count(line)

    def looks(self) -> int:
        """How often the process has reported how it does."""
        return sum(line.startswith("STATUS=") for line in self.take())


@pytest.mark.parametrize("is_abstract", [False, True], ids=["path", "abstract"])
def test_lines_reach_both_kinds_of_sockets(tmp_path: Path, is_abstract: bool) -> None:
    name = f"{tmp_path}/notify"
    listener = Listener(f"\0{name}" if is_abstract else name)
    environment = {"NOTIFY_SOCKET": f"@{name}" if is_abstract else name, "HOME": "/"}
    ServiceManager.from_environment(environment).send("READY=1", "STATUS=größer")
    assert listener.take() == ["READY=1", "STATUS=größer"]
    assert environment == {"HOME": "/"}  # what is started later does not speak in our name
    listener.socket.close()


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "180000000"}, 180),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": str(os.getpid())}, 180),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": "1"}, None),  # another process's
    ],
)
def test_the_watchdog_is_the_one_of_this_process(
    environment: dict[str, str], watchdog_s: float | None
) -> None:
    assert ServiceManager.from_environment(environment).watchdog_s == watchdog_s
    assert environment == {}


def test_without_a_manager_or_with_a_dead_one_nothing_happens(tmp_path: Path) -> None:
    ServiceManager.from_environment({}).send("READY=1")
    ServiceManager(f"{tmp_path}/nobody").send("READY=1")


@pytest.mark.parametrize(
    "environment", [{"NOTIFY_SOCKET": "notify"}, {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "soon"}]
)
def test_nonsense_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="unset it"):
        ServiceManager.from_environment(environment)


@pytest.mark.parametrize("quiet_s", [7200.0, 0.0], ids=["signs of life count", "they do no more"])
async def test_only_what_reached_the_disk_kicks_the_watchdog(tmp_path: Path, quiet_s: float) -> None:
    address, files = f"{tmp_path}/notify", Held()
    listener = Listener(address)
    writer = ArchiveWriter(tmp_path / "out", RealClock(), ArchiveConfig(flush_s=0.01), files, look_s=0.05)
    (tmp_path / "out").mkdir()
    writer.start()
    reports = ServiceReports(ServiceManager(address, 0.2), writer, quiet_s)
    reports.begin()
    reports.begin()
    assert listener.take() == ["READY=1", "STATUS=collecting has begun"]

    # nothing is written yet: the event loop alone kicks nothing
    await until_async(lambda: listener.looks() >= 4)
    assert listener.count("WATCHDOG=1") == 0
    run = open_run(writer)
    run.write(response(run))
    await until_async(lambda: listener.count("WATCHDOG=1") >= 1)

    # the disk hangs: what was handed over is not on it
    files.hold.set()
    run.write(response(run))
    await until_async(files.is_hanging.is_set)
    looks = listener.looks()
    await until_async(lambda: listener.looks() >= looks + 2)  # one may tell of what came before
    kicks, looks = listener.count("WATCHDOG=1"), listener.looks()
    await until_async(lambda: listener.looks() >= looks + 5)
    assert listener.count("WATCHDOG=1") == kicks
    files.hold.clear()
    files.release.set()
    await until_async(lambda: listener.count("WATCHDOG=1") > kicks)

    # nothing more comes, and the writer says now and then that the disk takes what it is given
    looks = listener.looks()
    await until_async(lambda: listener.looks() >= looks + 2)
    kicks = listener.count("WATCHDOG=1")
    beats = writer.beats
    await until_async(lambda: writer.beats > beats)
    looks = listener.looks()
    await until_async(lambda: listener.looks() >= looks + 2)
    assert (listener.count("WATCHDOG=1") > kicks) == (quiet_s > 0)
    assert "lines on the disk, the newest" in listener.take()[-1]

    reports.stopping()
    assert listener.count("STOPPING=1") == 1
    reports.close()
    looks = listener.looks()
    await asyncio.sleep(0.2)  # a report more would come in this time
    assert listener.looks() == looks
    run.close("finished", {}).result(60)
    writer.close()
    listener.socket.close()


def test_a_sign_of_life_is_the_time_of_change_of_the_lock(tmp_path: Path) -> None:
    writer = ArchiveWriter(tmp_path, RealClock(), ArchiveConfig(flush_s=0.01), look_s=0.05)
    writer.start()
    run = open_run(writer)
    [lock] = (tmp_path / "manifests").glob("*-*.lock")
    os.utime(lock, (1, 1))
    before = lock.read_bytes()
    until(lambda: writer.beats)
    assert lock.stat().st_mtime > 1e9
    assert lock.read_bytes() == before
    run.close("finished", {}).result(60)
    writer.close()
