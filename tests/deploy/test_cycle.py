"""deploy/cron/run_cycle.sh with programs that only end, and with a disk for its log that is full."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.deploy.units import ROOT

pytestmark = pytest.mark.process

SCRIPT = ROOT / "deploy" / "cron" / "run_cycle.sh"
COMMANDS = ["crawl polymarket_markets", "crawl polymarket_orderbook", "verify --since"]


class Cycle:
    """A cycle whose program notes the commands it is given in `ran`."""

    def __init__(self, folder: Path, *, orderbook: int = 0) -> None:
        self.home, self.ran = folder / "home", folder / "ran"
        (self.home / "logs").mkdir(parents=True)
        self._program = folder / "marketarchive"
        self._program.write_text(
            f'#!/bin/sh\necho "$1 $2" >>{self.ran}\necho "says $2"\n'
            f'[ "$2" != polymarket_orderbook ] || exit {orderbook}\n'
        )
        self._program.chmod(0o755)

    @property
    def log(self) -> Path:
        return self.home / "logs" / "run_cycle.log"

    def environment(self, **more: str) -> dict[str, str]:
        return {"MARKETARCHIVE": str(self._program), "MARKETARCHIVE_HOME": str(self.home), **more}

    def run(self, **more: str) -> subprocess.CompletedProcess[str]:
        names = self.environment(**more)
        return subprocess.run([SCRIPT], env=names, capture_output=True, text=True, timeout=60)


def test_the_log_says_what_the_commands_said(tmp_path: Path) -> None:
    cycle = Cycle(tmp_path, orderbook=4)
    done = cycle.run()
    assert done.returncode == 4
    assert cycle.ran.read_text().splitlines() == COMMANDS
    assert "polymarket_orderbook" in done.stderr
    assert done.stderr.splitlines()[-1] == "says polymarket_orderbook"
    lines = cycle.log.read_text().splitlines()
    assert [line for line in lines if line.startswith("says")] == [
        "says polymarket_markets",
        "says polymarket_orderbook",
        "says --since",
    ]
    assert lines[-1].endswith("cycle ends: exit code 4")


@pytest.mark.parametrize("code", [0, 3])
def test_a_full_disk_of_the_log_ends_no_cycle(code: int, tmp_path: Path) -> None:
    cycle = Cycle(tmp_path, orderbook=code)
    cycle.log.symlink_to("/dev/full")
    done = cycle.run(TMPDIR=str(tmp_path / "full"))
    assert done.returncode == code, done.stderr
    assert cycle.ran.read_text().splitlines() == COMMANDS
    assert done.stderr.count("run_cycle.log cannot be written") == 1
    assert ("says polymarket_orderbook" in done.stderr) == (code != 0)


def test_a_full_disk_of_all_that_it_says_ends_no_cycle(tmp_path: Path) -> None:
    cycle = Cycle(tmp_path, orderbook=3)
    cycle.log.symlink_to("/dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([SCRIPT], env=cycle.environment(), stdout=full, stderr=full, timeout=60)
    assert (done.returncode, cycle.ran.read_text().splitlines()) == (3, COMMANDS)


def test_a_log_that_is_no_file_ends_no_cycle(tmp_path: Path) -> None:
    cycle = Cycle(tmp_path)
    cycle.log.mkdir()
    done = cycle.run()
    assert (done.returncode, cycle.ran.read_text().splitlines()) == (0, COMMANDS)
    assert "cannot be written" in done.stderr


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    cycle = Cycle(tmp_path)
    done = cycle.run(MARKETARCHIVE_HOME=str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert not cycle.ran.exists()
