"""Every stop ends the process: whenever signals come, whatever is in flight, however full the disk is."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from marketarchive.collecting.shutdown import END_S
from tests.e2e import holding
from tests.e2e.harness import ENVIRONMENT, ROOT, SCRAPY, Output, Simulator, command, until

pytestmark = pytest.mark.e2e

BOUND_S = END_S + 120
"""Seconds (wall) in which a process has to end: with its start, on any machine."""
CRAWL = ("crawl", "polymarket_stream", "-a", "durations=1d,4h", "-a", "interval=1s")
COLLECT = ("collect", "--durations", "15m", "--no-pages")
PROBE = ("probe", "polymarket")
HELD = "Something holds this process"


@dataclass
class Collector:
    """A collector's process; its log is a file."""

    process: subprocess.Popen[bytes]
    out: Path
    log_file: Path
    sent: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def send(self, signum: int) -> None:
        self.sent.append(signal.Signals(signum).name)
        self.process.send_signal(signum)

    def end(self) -> int:
        """Its exit code; fails when it does not end."""
        try:
            return self.process.wait(BOUND_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"lives on after {self.sent}: {self.log[-3000:]}")

    def until_parts(self, count: int = 1) -> None:
        """Wait until it writes."""
        until(lambda: len(list(self.out.glob("raw/**/*.part"))) >= count or self.process.poll() is not None)
        assert self.process.poll() is None, self.log[-3000:]


@contextmanager
def collecting(
    url: str,
    out: Path,
    arguments: Sequence[str],
    environment: dict[str, str] | None = None,
    before: Sequence[str] = (),
    **settings: Any,
) -> Iterator[Collector]:
    """A collector under way, started by the command `before`; killed when the block is left."""
    options = [f"OUTPUT_DIR={out}", f"SIMULATOR_URL={url}"]
    options += [
        f"{name}={json.dumps(value) if isinstance(value, dict) else value}"
        for name, value in settings.items()
    ]
    line = [*before, *SCRAPY, *arguments, *(word for option in options for word in ("-s", option))]
    log_file = log_of(out)
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            line, cwd=ROOT, env={**ENVIRONMENT, **(environment or {})}, stdout=log, stderr=log
        )
    try:
        yield Collector(process, out, log_file)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def log_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.log")


def assert_sound(out: Path) -> None:
    """What is left is sealed, or recovery makes it so."""
    if not (out / "manifests").exists():
        assert not list(out.glob("raw/**/*"))
        return
    log = log_of(out).read_text(errors="replace")[-3000:]
    recovered = command("recover", out)
    assert recovered.returncode == 0, f"{recovered} {log}"
    verified = command("verify", out)
    assert verified.returncode == 0, f"{verified} {log}"
    assert not list(out.glob("raw/**/*.part"))
    assert not list(out.glob("manifests/*-*.lock"))


# ---- the two ways in which Scrapy waits for ever -------------------------------------------------------


@pytest.mark.parametrize("arguments", [CRAWL, COLLECT], ids=["crawl", "collect"])
def test_an_item_in_flight_does_not_keep_two_signals_from_ending(
    arguments: Sequence[str], world: Simulator, out: Path
) -> None:
    slow = holding.pipelines(holding.SlowPipeline)
    with collecting(world.url, out, arguments, ITEM_PIPELINES=slow) as collector:
        collector.until_parts()
        collector.send(signal.SIGTERM)
        collector.send(signal.SIGINT)
        assert collector.end() == 0, collector.log[-3000:]
    assert HELD not in collector.log
    assert not list(out.glob("manifests/*-*.lock"))
    assert_sound(out)


def test_an_item_in_flight_does_not_keep_a_full_disk_from_ending(world: Simulator, out: Path) -> None:
    full = {"ARCHIVE_FILES": "tests.archive.faulty_files.FullAfter", "MASTER_URL": ""}
    slow = holding.pipelines(holding.SlowPipeline)
    room = {"FULL_AFTER_BYTES": "20000"}
    with collecting(world.url, out, CRAWL, room, ITEM_PIPELINES=slow, **full) as collector:
        assert collector.end() == 3, collector.log[-3000:]
    assert HELD not in collector.log
    assert_sound(out)


@pytest.mark.parametrize("count", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("arguments", [CRAWL, COLLECT, PROBE], ids=["crawl", "collect", "probe"])
def test_signals_before_the_event_loop_runs_are_remembered(
    arguments: Sequence[str], count: int, world: Simulator, out: Path, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    waiting = f"{holding.__name__}.{holding.WaitingResolver.__name__}"
    options = {"TWISTED_DNS_RESOLVER": waiting}
    with collecting(world.url, out, arguments, {"HOLD_FILE": str(hold)}, **options) as collector:
        until(lambda: hold.exists() or collector.process.poll() is not None)
        for _ in range(count):
            collector.send(signal.SIGTERM)
            time.sleep(0.1)  # two at once are one signal
        hold.unlink()
        assert collector.end() == (1 if arguments is PROBE else 0), collector.log[-3000:]
    assert HELD not in collector.log
    assert {manifest["exit_reason"] for manifest in Output(out).manifests()} <= {"SIGTERM"}
    assert_sound(out)


# ---- SIGHUP ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [CRAWL, COLLECT], ids=["crawl", "collect"])
def test_a_dropped_session_seals_everything(arguments: Sequence[str], world: Simulator, out: Path) -> None:
    with collecting(world.url, out, arguments) as collector:
        collector.until_parts()
        collector.send(signal.SIGHUP)
        assert collector.end() == 0, collector.log[-3000:]
    assert {manifest["exit_reason"] for manifest in Output(out).manifests()} == {"SIGHUP"}
    assert not list(out.glob("manifests/*-*.lock"))
    assert command("verify", out).returncode == 0


def test_a_collector_under_nohup_outlives_its_session(world: Simulator, out: Path) -> None:
    with collecting(world.url, out, CRAWL, before=("nohup",)) as collector:
        collector.until_parts()
        collector.send(signal.SIGHUP)
        size = sum(path.stat().st_size for path in out.glob("raw/**/*.part"))
        until(lambda: sum(path.stat().st_size for path in out.glob("raw/**/*.part")) > size + 10_000)
        assert collector.process.poll() is None
        collector.send(signal.SIGTERM)
        assert collector.end() == 0, collector.log[-3000:]
    assert {manifest["exit_reason"] for manifest in Output(out).manifests()} == {"SIGTERM"}


# ---- the last resort -----------------------------------------------------------------------------------


def test_what_never_passes_the_pipelines_is_not_waited_for(
    world: Simulator, out: Path, tmp_path: Path
) -> None:
    """The event loop runs: the run is sealed."""
    stuck, hold = holding.pipelines(holding.StuckPipeline), tmp_path / "hold"
    with collecting(world.url, out, PROBE, {"HOLD_FILE": str(hold)}, ITEM_PIPELINES=stuck) as collector:
        until(lambda: hold.exists() or collector.process.poll() is not None)
        collector.send(signal.SIGTERM)
        assert collector.end() == 1, "a probe without a report"
    assert collector.log.count(HELD) == 1, collector.log[-3000:]
    assert "all is sealed" in collector.log
    assert not list(out.glob("manifests/*-*.lock"))
    assert_sound(out)


def test_a_blocked_event_loop_does_not_keep_the_process_alive(
    world: Simulator, out: Path, tmp_path: Path
) -> None:
    blocking, hold = holding.pipelines(holding.BlockingPipeline), tmp_path / "hold"
    with collecting(world.url, out, CRAWL, {"HOLD_FILE": str(hold)}, ITEM_PIPELINES=blocking) as collector:
        until(lambda: hold.exists() or collector.process.poll() is not None)
        collector.send(signal.SIGTERM)
        assert collector.end() == 1, collector.log[-3000:]
    assert collector.log.count(HELD) == 1
    assert "left to recovery" in collector.log
    assert_sound(out)


# ---- any moment ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ending:
    """When which signals are sent, seconds (wall) after the start and after the first."""

    arguments: Sequence[str]
    first_s: float
    second_s: float | None
    signals: tuple[int, int]


def endings(count: int, within_s: float, seed: int) -> list[Ending]:
    """Return `count` of them, spread evenly over the first `within_s` seconds, crawl and collect by turns."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        first = within_s * (number + chance.random()) / count
        second = chance.choice([None, chance.uniform(0.01, 0.5), chance.uniform(0.5, 6)])
        kinds = (signal.SIGTERM, signal.SIGINT)
        signals = (chance.choice(kinds), chance.choice(kinds))
        made.append(Ending((CRAWL, COLLECT)[number % 2], first, second, signals))
    return made


def end_at(url: str, out: Path, ending: Ending) -> tuple[int, float, bool]:
    """Return exit code, seconds from the first signal to the end, and whether the last resort was needed."""
    with collecting(url, out, ending.arguments) as collector:
        time.sleep(ending.first_s)
        asked = time.monotonic()
        collector.send(ending.signals[0])
        if ending.second_s is not None:
            time.sleep(ending.second_s)
            if collector.process.poll() is None:
                collector.send(ending.signals[1])
        code = collector.end()
        took = time.monotonic() - asked
    if not (out / "manifests").exists():  # it ended before it could listen for signals
        assert code in (0, 1, -signal.SIGTERM, -signal.SIGINT), f"{code} {ending} {collector.log[-3000:]}"
    else:
        assert code == 0, f"{code} {ending} {collector.log[-3000:]}"
    return code, took, HELD in collector.log


@pytest.mark.parametrize("ending", endings(12, 8.0, 20261129), ids=lambda ending: f"{ending.first_s:.1f}s")
def test_signals_at_any_moment_of_the_start_end_the_process(
    ending: Ending, world: Simulator, out: Path
) -> None:
    _, _, was_held = end_at(world.url, out, ending)
    assert not was_held
    assert_sound(out)


def fill_up(url: str, out: Path, arguments: Sequence[str], size: int) -> tuple[int, float, bool]:
    """As `end_at`, of a disk that takes `size` bytes more; the seconds are those of the whole run."""
    begun = time.monotonic()
    full = {"ARCHIVE_FILES": "tests.archive.faulty_files.FullAfter", "MASTER_URL": ""}
    with collecting(url, out, arguments, {"FULL_AFTER_BYTES": str(size)}, **full) as collector:
        code = collector.end()
        assert code == 3, f"{code} {size} {collector.log[-3000:]}"
    return code, time.monotonic() - begun, HELD in collector.log


def sizes(count: int, seed: int) -> list[int]:
    """Bytes, from less than a lock file to seconds of frames."""
    chance = random.Random(seed)
    return [int(10 ** chance.uniform(2.5, 4.5)) for _ in range(count)]


@pytest.mark.parametrize(
    ("arguments", "size"), list(zip([CRAWL, COLLECT] * 6, sizes(12, 20261129), strict=True))
)
def test_a_disk_that_is_full_at_any_moment_ends_the_process(
    arguments: Sequence[str], size: int, world: Simulator, out: Path
) -> None:
    _, _, was_held = fill_up(world.url, out, arguments, size)
    assert not was_held
    assert_sound(out)


# ---- soak ----------------------------------------------------------------------------------------------

AT_ONCE = 2


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Processes that take all the time they get; they end with the block."""
    with ExitStack() as stack:
        for _ in range(count):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(busy.kill)
        yield


def soak(name: str, work: Callable[[int], tuple[int, float, bool]], count: int) -> None:
    """Do it `count` times, AT_ONCE at a time, and print the figures."""
    begun = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(work, range(count)))
    took = sorted(seconds for _, seconds, _ in done)
    held = sum(was_held for _, _, was_held in done)
    print(
        f"{name}: {count} endings in {time.monotonic() - begun:.0f} s, exit codes "
        f"{dict(Counter(code for code, _, _ in done))}, to the end median {took[len(took) // 2]:.1f} s, "
        f"longest {took[-1]:.1f} s; by the last resort: {held}"
    )
    assert held == 0


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_hundred_stops_under_load(world: Simulator, tmp_path: Path, capsys: Any) -> None:
    planned = endings(int(os.environ.get("SOAK_STOPS", "200")), 15.0, 20261130)

    def work(number: int) -> tuple[int, float, bool]:
        return end_at(world.url, tmp_path / str(number), planned[number])

    with busy_loops(2), capsys.disabled():
        soak("signals", work, len(planned))
    for number in range(len(planned)):
        assert_sound(tmp_path / str(number))


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_fifty_full_disks_under_load(world: Simulator, tmp_path: Path, capsys: Any) -> None:
    planned = sizes(int(os.environ.get("SOAK_DISKS", "50")), 20261130)

    def work(number: int) -> tuple[int, float, bool]:
        return fill_up(world.url, tmp_path / str(number), (CRAWL, COLLECT)[number % 2], planned[number])

    with busy_loops(2), capsys.disabled():
        soak("full disks", work, len(planned))
    for number in range(len(planned)):
        assert_sound(tmp_path / str(number))
