"""Demonstration of the main job from end to end on the simulator: `scrapy demo`.

It collects four assets over a midnight at which the rounds' rule changes, labels the rounds, builds the
dataset, validates and reports. It runs the commands that a user would type, and prints them.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from marketarchive.archive.ledger import Ledger
from marketarchive.exceptions import MarketArchiveError
from marketarchive.invocation import command as typed
from marketarchive.time_page import TimePage
from marketarchive.times import to_seconds, utc

ASSETS = "BTC,ETH,SOL,XRP"
START = "2026-08-06T23:43:00Z"
"""Begin of simulated time. The first rounds begin two minutes later; at midnight the rule by which rounds are
decided changes from the spot price to its mean."""
MINUTES = 23
PAGES_SPEED = 10.0
"""Highest speed in simulated seconds per second: twelve pages in one Chromium reach about 8 on two cores."""
SPEED = 40.0
"""Highest speed, in simulated seconds per second, without pages in a browser."""
OURS = (sys.executable, "-m", "marketarchive")
ENVIRONMENT = {**os.environ, "SCRAPY_PROJECT": "simulator"}
LOG_LINES = 40
REPORT_EVERY_S = 20.0
"""Seconds (wall) between two lines of progress where the output is no terminal."""
STOP_S = 30.0

CHECK = (
    """jq -Rr 'fromjson? | select(.kind|IN("segment","recovered","torn","manifest","day_file","joined")) """
    """| "\\(.sha256)  \\(.path)"' manifests/ledger.jsonl | sha256sum -c --quiet"""
)


class DemoError(MarketArchiveError):
    """Raised when a step of the demonstration fails, after the step's output was printed."""


@dataclass(frozen=True)
class Form:
    """Size and speed of a demonstration."""

    minutes: int = MINUTES  # simulated
    speed: float = PAGES_SPEED  # simulated seconds per second
    with_pages: bool = True


def demo(folder: Path, console: Console, form: Form) -> None:
    """Run the demonstration in a new folder below `folder`, printing each step. Raises DemoError."""
    out = folder.absolute() / f"demo-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    out.mkdir(parents=True)
    console.print(
        f"The venues are simulated on this machine, {form.minutes} minutes from {START}, up to "
        f"{form.speed:g} times as fast as the wall: simulated time waits for late participants.\n"
    )
    where = ["-s", f"OUTPUT_DIR={out}"]
    _collect(out, console, form)
    for title, command in (
        ("Is everything as it was written?", ["verify"]),
        ("What decided each round, and is it proven?", ["ground-truth"]),
        ("The state of every second", ["canonical"]),
        ("Can it be trusted, is every book what its hash says?", ["validate"]),
        ("A page to look at", ["report"]),
    ):
        _step(console, title, command, where)
    _print_results(out, console)


def _collect(out: Path, console: Console, form: Form) -> None:
    """Run the simulator and `scrapy collect` into the folder `out`, for the minutes of `form`.

    Raises DemoError where one of the two processes ends early or fails.
    """
    command = ["collect", "--assets", ASSETS, "--durations", "5m,15m", "--duration", f"{form.minutes}m"]
    if not form.with_pages:
        command.append("--no-pages")
    console.print(f"[bold]All feeds of four assets[/bold]\n  {typed(*command)}", highlight=False)
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as log, _simulator(form.speed, log) as (url, simulator):
        settings = ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={url}"]
        collect = subprocess.Popen(  # noqa: S603 (our own command)
            [*OURS, *command, *settings], env=ENVIRONMENT, stdout=log, stderr=log
        )
        page = TimePage.of(url)
        try:
            _watch(collect, simulator, page, form, console)
        finally:
            _stop(collect)
        if simulator.poll() is not None:  # then collect has failed for want of it
            _raise_with(log, console, f"the simulator ended by itself, exit code {simulator.returncode}")
        if collect.returncode:
            _raise_with(log, console, f"`{typed(*command)}` ended with exit code {collect.returncode}")
        mean = page.mean_speed()
    console.print(
        f"  done in {time.monotonic() - started:.0f} s, exit code 0; simulated time ran {mean:.1f} times as "
        "fast as the wall\n"
    )


def _watch(
    collect: subprocess.Popen[bytes],
    simulator: subprocess.Popen[str],
    page: TimePage,
    form: Form,
    console: Console,
) -> None:
    """Show the progress of simulated time until the collecting process or the simulator ends."""
    columns = (
        TextColumn("  {task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    start, reported = page.start.wall, time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=form.minutes * 60.0)
        while collect.poll() is None and simulator.poll() is None:
            now = page.now_ns()
            text = f"{utc(now):%H:%M:%S} simulated, {page.mean_speed():.1f} times the wall"
            progress.update(task, completed=to_seconds(now - start), description=text)
            if not console.is_terminal and time.monotonic() - reported >= REPORT_EVERY_S:
                reported = time.monotonic()
                console.print(f"  {text}", highlight=False)
            time.sleep(0.2)


def _stop(process: subprocess.Popen[Any]) -> None:
    """Stop a child process with SIGTERM, after 30 s with SIGKILL; do nothing if it has ended."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _raise_with(log: IO[str], console: Console, why: str) -> NoReturn:
    log.seek(0)
    console.print(*log.read().splitlines()[-LOG_LINES:], sep="\n", markup=False, highlight=False)
    raise DemoError(f"{why}; its last lines stand above")


def _step(console: Console, title: str, command: Sequence[str], settings: Sequence[str]) -> None:
    line = typed(*command, *settings)
    console.print(f"[bold]{title}[/bold]\n  {line}", highlight=False, soft_wrap=True)
    started = time.monotonic()
    done = subprocess.run(  # noqa: S603 (our own commands)
        [*OURS, *command, *settings], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        console.print((done.stdout or "") + (done.stderr or ""), markup=False, highlight=False)
        raise DemoError(f"`{line}` ended with exit code {done.returncode}")
    for line in (done.stdout or "").splitlines()[-3:]:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"  done in {time.monotonic() - started:.0f} s, exit code 0\n")


@contextmanager
def _simulator(speed: float, log: IO[str]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a simulator as a child process in a `with` block; give (its address, the process).

    speed: highest, in simulated seconds per second; log: file for its error output. Raises DemoError.
    """
    command = [*OURS, "simulate", "--port", "0", "--speed", str(speed), "--start", START]
    process = subprocess.Popen(  # noqa: S603 (our own command)
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=log, text=True
    )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        if ready[:1] != ["ready"]:
            raise DemoError(f"the simulator did not start; try `{shlex.join(command)}`")
        yield ready[1], process
    finally:
        _stop(process)
        process.stdout.close() if process.stdout else None


def _print_results(out: Path, console: Console) -> None:
    segments = list(Ledger(out).of_kind("segment"))
    manifests = [json.loads((out / entry["path"]).read_text()) for entry in Ledger(out).of_kind("manifest")]
    _runs_table([each for each in manifests if each.get("raw")], console)
    _labels_table(json.loads((out / "research" / "market_master.json").read_text()), console)
    lines, size = sum(entry["lines"] for entry in segments), sum(entry["bytes"] for entry in segments)
    head = Ledger(out).head()
    console.print(
        f"\n{len(segments)} sealed segments, {lines:,} lines, {size / 1e6:.1f} MB compressed; "
        f"the ledger has {head.count} lines, head {head.sha256[:16]}...\n"
    )
    console.print("Everything lies in", style="bold")
    for path, what in (
        ("raw/", "what the venues sent, byte for byte: zcat FILE | jq"),
        ("records/", "a row per market and second, a row per reference price and second"),
        ("manifests/", "one manifest a run, and the ledger with all checksums"),
        ("tables/", "Parquet tables of books, changes, trades, prices, gaps, coverage"),
        ("research/", "market_master.json, canonical_dataset.parquet, VALIDATION_REPORT.md"),
        ("master.db", "the market master (SQLite)"),
    ):
        console.print(f"  {out / path}  {what}", highlight=False, soft_wrap=True, markup=False)
    for report in sorted((out / "reports").glob("*.html")):
        console.print("\nOpen in a browser:", style="bold")
        console.print(f"  {report}", highlight=False, soft_wrap=True, markup=False)
    console.print("\nCheck all files without this program:", style="bold")
    console.print(f"  cd {out} && {CHECK}", highlight=False, soft_wrap=True, markup=False)


def _runs_table(manifests: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="Runs", title_justify="left")
    for name in ("spider", "messages", "gaps", "books verified", "rows"):
        table.add_column(name, justify="left" if name == "spider" else "right")
    for manifest in manifests:
        kinds: Counter[str] = Counter()
        gaps = 0
        for feed in manifest["raw"]:
            kinds.update(feed["counts"])
            gaps += sum(feed["gaps"].values())
        table.add_row(
            manifest["spider"],
            f"{kinds['response'] + kinds['frame']:,}",
            str(gaps),
            f"{manifest['summary']['books'].get('ok', 0):,}",
            f"{sum(each['rows'] for each in manifest['records']):,}",
        )
    console.print(table)


def _labels_table(rows: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="Rounds, by the rule that decided them", title_justify="left")
    names = ("rule", "duration", "reproduced", "differ", "not provable", "Up", "Down")
    for name in names:
        table.add_column(name, justify="left" if name in names[:2] else "right")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["rule"], row["duration"]), []).append(row)
    for (rule, duration), found in sorted(groups.items()):
        verdicts = Counter(row["verdict"] for row in found)
        outcomes = Counter(row["resolved_outcome"] for row in found)
        proven = verdicts["reproduced"], verdicts["differs"]
        table.add_row(
            rule, duration, *map(str, (*proven, len(found) - sum(proven), outcomes["Up"], outcomes["Down"]))
        )
    console.print(table)
