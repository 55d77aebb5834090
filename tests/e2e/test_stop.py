"""How a run ends: signals, kills, full disks, wrong arguments, and what is left of it."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import (
    ENVIRONMENT,
    ROOT,
    SCRAPY,
    Output,
    Simulator,
    command,
    crawl,
    crawl_command,
    crawling,
    run,
    simulator,
)
from tests.waiting import until

pytestmark = pytest.mark.e2e

ENDLESS = ("durations=1d,4h", "interval=1s")


def parts(out: Path) -> list[Path]:
    return [path for path in out.glob("raw/**/*.part") if path.stat().st_size > 1000]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_seals_everything_within_seconds(signum: int, world: Simulator, out: Path) -> None:
    with crawling(world.url, out, "polymarket_orderbook", *ENDLESS) as process:
        until(lambda: len(parts(out)) == 2)
        requested = time.monotonic()
        process.send_signal(signum)
        assert process.wait(20) == 0
        assert time.monotonic() - requested < 10
    manifest = Output(out).manifest()
    assert manifest["exit_reason"] == signal.Signals(signum).name
    assert not parts(out)
    assert not list(out.glob("manifests/*-*.lock"))
    assert command("verify", out).returncode == 0


def test_a_venue_that_hangs_does_not_hold_up_the_end(world: Simulator, out: Path) -> None:
    with crawling(world.url, out, "polymarket_orderbook", *ENDLESS) as process:
        until(lambda: len(parts(out)) == 2)
        world.order({"kind": "hang", "route": "*"})
        try:
            served = len(world.served())
            until(lambda: len(world.served()) > served + 2)
            requested = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert time.monotonic() - requested < 20
        finally:
            world.order()
    assert command("verify", out).returncode == 0


def test_kill_9_then_the_next_run_recovers(world: Simulator, out: Path) -> None:
    with crawling(world.url, out, "polymarket_orderbook", *ENDLESS) as process:
        until(lambda: parts(out))
        process.kill()
        process.wait()
    assert list(out.glob("manifests/polymarket_orderbook-*.lock"))
    done = crawl(world.url, out, "polymarket_orderbook", "durations=1d")
    assert done.code == 0, done.log
    assert "Recovered" in done.log
    kinds = [line["kind"] for line in done.out.ledger()]
    assert kinds.count("recovered") == 2
    assert kinds.count("manifest") == 2
    crash = [gap for gap in done.out.gaps() if gap["reason"] == "crash"]
    assert len(crash) == 2
    assert all(gap["to"] is None and gap["first_lost_seq"] >= 1 for gap in crash)
    assert command("verify", out, "--books").returncode == 0


def test_scrapy_recover_does_the_same_without_a_run(world: Simulator, out: Path) -> None:
    with crawling(world.url, out, "polymarket_orderbook", *ENDLESS) as process:
        until(lambda: parts(out))
        assert command("verify", out).returncode == 0, "a living run is no problem"
        process.kill()
        process.wait()
    assert command("recover", out).returncode == 0
    assert command("verify", out).returncode == 0
    assert not list(out.glob("manifests/*-*.lock"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["polymarket_orderbook", "-a", "assets=PEPE"], "Polymarket has up/down rounds of BTC"),
        (["polymarket_orderbook", "-a", "interval=never"], "interval='never' is not a time span"),
        (["polymarket_orderbook", "-a", "colour=red"], "has no argument 'colour'"),
        (["polymarket_orderbook", "-a", "markets=x", "-a", "assets=BTC"], "leave out assets="),
        (
            ["polymarket_orderbok"],
            "there is no spider 'polymarket_orderbok'; did you mean polymarket_orderbook?",
        ),
        (["polymarket_orderbook", "assets=BTC"], "write -a assets=BTC"),
        (["polymarket_orderbook", "-s", "LIMIT_SHARE=3"], "LIMIT_SHARE=3.0 is not a share"),
        (["polymarket_orderbook", "-s", "ARCHIVE_FLUSH_S=x"], "ARCHIVE_FLUSH_S='x'"),
        (["polymarket_orderbook", "-s", "CLOCK_STEPS=x"], "CLOCK_STEPS='x'"),
        (["polymarket_orderbook", "-s", "MASTER_SNAPSHOTS=x"], "MASTER_SNAPSHOTS='x'"),
        (["polymarket_orderbook", "-s", "MASTER_URL=x"], "MASTER_URL"),
        (["polymarket_orderbook", "-s", "OUTPUT_DIR=/dev/null"], "OUTPUT_DIR='/dev/null' is not a folder"),
        (["polymarket_orderbook", "-s", "SIMULATOR_URL=http://127.0.0.1:9"], "no simulator answers at"),
    ],
)
def test_a_wrong_argument_or_setting_is_exit_code_2(
    arguments: list[str], message: str, world: Simulator, out: Path
) -> None:
    before = len(world.served())
    options = ["-s", f"SIMULATOR_URL={world.url}", "-s", f"OUTPUT_DIR={out}"]
    done = run([*SCRAPY, "crawl", *options, *arguments])
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(world.served()) == before
    assert not list(out.glob("raw/**/*"))


def test_a_locked_master_does_not_cost_the_seal(world: Simulator, out: Path) -> None:
    with crawling(world.url, out, "polymarket_orderbook", *ENDLESS) as process:
        until(lambda: len(parts(out)) == 2 and (out / "master.db").exists())
        holder = sqlite3.connect(out / "master.db", isolation_level=None)
        until(lambda: begun(holder))
        process.send_signal(signal.SIGTERM)
        until(lambda: not parts(out) or process.poll() is not None, 30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        holder.close()
    assert Output(out).manifest()["exit_reason"] == "SIGTERM"
    assert command("verify", out).returncode == 0


def begun(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True


def test_a_disk_that_takes_nothing_ends_the_run_with_3(world: Simulator, out: Path) -> None:
    files = "tests.archive.faulty_files.Stuck"
    command_line = crawl_command(
        world.url, out, "polymarket_orderbook", *ENDLESS, ARCHIVE_FILES=files, ARCHIVE_STALL_S=2
    )
    done = run(command_line, 300)
    assert done.returncode == 3
    assert "the disk has not taken a write for" in done.stderr
    assert command("recover", out).returncode == 0
    assert command("verify", out).returncode == 0


def test_an_archive_that_cannot_be_opened_is_exit_code_3(world: Simulator) -> None:
    done = crawl(world.url, Path("/proc/marketarchive"), "polymarket_markets")
    assert done.code == 3
    assert "OUTPUT_DIR='/proc/marketarchive' cannot be written: [Errno 2] No such file" in done.log
    assert "Mend or mount the disk, or name another folder with -s OUTPUT_DIR=DIR" in done.log


RIGHT = "Give this user the right to write there, or name another folder with -s OUTPUT_DIR=DIR"


def without_privilege(line: list[str]) -> list[str]:
    """The command line for a user whom permissions bind: root too, without its right to pass over them."""
    if os.geteuid() != 0:
        return line
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and there is no setpriv to change that")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *line]


@pytest.mark.parametrize(
    ("kind", "folder"),
    [("crawl", ""), ("crawl", "manifests"), ("crawl", "raw"), ("collect", ""), ("probe", "")],
)
def test_an_archive_that_this_user_may_not_write_to_is_exit_code_2(
    kind: str, folder: str, world: Simulator, out: Path
) -> None:
    forbidden = out / folder
    forbidden.mkdir(parents=True)
    forbidden.chmod(0o555)
    before = len(world.served())
    words = {"crawl": ["polymarket_markets"], "collect": ["--no-pages"], "probe": ["polymarket"]}[kind]
    options = ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={world.url}", "-s", "MASTER_URL="]
    line = without_privilege([*SCRAPY, kind, *words, *options])
    try:
        done = subprocess.run(line, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    finally:
        forbidden.chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert "Permission denied" in done.stderr
    assert RIGHT in done.stderr
    assert "Traceback" not in done.stderr
    assert len(world.served()) == before


def test_a_read_only_file_system_is_exit_code_2(world: Simulator, out: Path) -> None:
    files = "tests.archive.faulty_files.ReadOnly"
    done = crawl(world.url, out, "polymarket_markets", ARCHIVE_FILES=files)
    assert done.code == 2, done.log
    assert "Read-only file system" in done.log
    assert RIGHT in done.log


def test_a_disk_that_becomes_read_only_under_a_run_is_exit_code_3(world: Simulator, out: Path) -> None:
    files = "tests.archive.faulty_files.ReadOnlyLater"
    done = crawl(world.url, out, "polymarket_orderbook", *ENDLESS, ARCHIVE_FILES=files)
    assert done.code == 3, done.log
    assert "Free space or mend the disk" in done.log
    assert command("recover", out).returncode == 0
    assert command("verify", out).returncode == 0


def test_markets_that_do_not_exist_are_named_and_fail(world: Simulator, out: Path) -> None:
    done = crawl(world.url, out, "polymarket_orderbook", "markets=no-such-market")
    assert done.code == 1
    assert "no market 'no-such-market'" in done.log
    assert done.out.manifest()["summary"]["finish_reason"] == "unknown_markets"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB, where the user may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount the small file system that this test fills")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_the_run_with_3_and_the_next_run_records_the_gap(
    small_disk: Path, tmp_path: Path
) -> None:
    out = small_disk / "out"
    with simulator(tmp_path / "truth", "--speed", "2") as world:
        any_room: dict[str, Any] = {"MASTER_URL": "", "DISK_STOP_FREE_MB": 0}
        done = crawl(world.url, out, "polymarket_orderbook", "interval=1s", **any_room)
        assert done.code == 3
        assert "No space left on device" in done.log
        assert "Free space or mend the disk" in done.log
        subprocess.run(["mount", "-o", "remount,size=12m", str(small_disk)], check=True)
        after = crawl(world.url, out, "polymarket_orderbook", "durations=1d", **any_room)
    assert after.code == 0, after.log
    assert "disk" in {gap["reason"] for gap in after.out.gaps()}
    assert command("verify", out).returncode == 0


@pytest.mark.parametrize("kind", ["crawl", "collect"])
def test_an_archive_that_is_removed_below_a_run_ends_it_with_3(
    kind: str, world: Simulator, out: Path, tmp_path: Path
) -> None:
    words = {"crawl": ["polymarket_orderbook", "-a", "interval=1s"], "collect": ["--no-pages"]}[kind]
    options = ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={world.url}", "-s", "MASTER_URL="]
    options += ["-s", f"ARCHIVE_SEGMENT_S={365 * 86_400}"]  # it shall not be a rotation that notices
    line = [*SCRAPY, kind, *words, *options]
    process = subprocess.Popen(line, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: parts(out) or process.poll() is not None)
        out.rename(tmp_path / "elsewhere")
        _, log = process.communicate(timeout=200)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
    assert process.returncode == 3, log
    assert f"{out} was removed or renamed during the run, or its disk was unmounted" in log
    assert command("recover", tmp_path / "elsewhere").returncode == 0
    assert command("verify", tmp_path / "elsewhere").returncode == 0


def test_a_disk_that_is_unmounted_below_a_run_ends_it_with_3(
    small_disk: Path, world: Simulator, tmp_path: Path
) -> None:
    out = small_disk / "out"
    settings = {"MASTER_URL": "", "ARCHIVE_SEGMENT_S": 365 * 86_400, "DISK_STOP_FREE_MB": 0}
    line = crawl_command(world.url, out, "polymarket_reference", **settings)
    process = subprocess.Popen(line, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: list(out.glob("raw/**/*.part")) or process.poll() is not None)
        subprocess.run(["umount", "--lazy", str(small_disk)], check=True)
        _, log = process.communicate(timeout=200)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(small_disk)], check=True)  # for the fixture
    assert process.returncode == 3, log
    assert "its disk was unmounted" in log
