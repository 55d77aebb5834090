"""Collectors as processes of their own, whose ends are looked at."""

from __future__ import annotations

import json
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

from marketarchive.archive.tree import is_archive
from marketarchive.collecting.shutdown import END_S
from tests.e2e.forking import Forked, Running, default_signals
from tests.e2e.harness import ENVIRONMENT, ROOT, SCRAPY, command
from tests.waiting import until

BOUND_S = END_S + 120
"""Seconds (wall) in which a process has to end: with its start, on any machine."""
CRAWL = ("crawl", "polymarket_stream", "-a", "durations=1d,4h", "-a", "interval=1s")
COLLECT = ("collect", "--durations", "15m", "--no-pages")
PROBE = ("probe", "polymarket")
HELD = "Something holds this process"


@dataclass
class Collector:
    """A collector's process; its log is a file."""

    process: Running
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
    before: Sequence[str] | None = None,
    **settings: Any,
) -> Iterator[Collector]:
    """Yield a collector under way; it is killed when the block is left.

    before: the command that starts it from nothing, no words for none; without, it is forked.
    """
    options = [f"OUTPUT_DIR={out}", f"SIMULATOR_URL={url}"]
    options += [
        f"{name}={json.dumps(value) if isinstance(value, dict) else value}"
        for name, value in settings.items()
    ]
    line = [*SCRAPY, *arguments, *(word for option in options for word in ("-s", option))]
    everything = {**ENVIRONMENT, **(environment or {})}
    log_file = log_of(out)
    with log_file.open("w") as log:
        process: Running
        if before is None:
            process = Forked(line[2:], everything, log, log)
        else:
            process = subprocess.Popen(
                [*before, *line],
                cwd=ROOT,
                env=everything,
                stdout=log,
                stderr=log,
                text=True,
                preexec_fn=default_signals,  # noqa: PLW1509  (it sets signals and nothing else)
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
    if not is_archive(out):
        assert not list(out.glob("raw/**/*"))
        return
    log = log_of(out).read_text(errors="replace")[-3000:]
    recovered = command("recover", out)
    assert recovered.returncode == 0, f"{recovered} {log}"
    verified = command("verify", out)
    assert verified.returncode == 0, f"{verified} {log}"
    assert not list(out.glob("raw/**/*.part"))
    assert not list(out.glob("manifests/*-*.lock"))


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
