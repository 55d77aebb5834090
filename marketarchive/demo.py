"""The main job from end to end on the simulator: collect four assets across the change of the rule, label,
build the dataset, validate, report.

Runs the very commands a user would type, and prints them.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from marketarchive.archive.ledger import Ledger
from marketarchive.exceptions import MarketArchiveError

ASSETS = "BTC,ETH,SOL,XRP"
START = "2026-08-06T23:43:00Z"
"""Rounds begin two minutes later; at midnight their rule changes from the spot price to its mean."""
MINUTES = 23
PAGES_SPEED = 5.0
"""Simulated seconds per second that twelve pages in one Chromium sustain on two cores."""
SPEED = 10.0
"""Without pages."""

CHECK = (
    """jq -Rr 'fromjson? | select(.kind|IN("segment","recovered","torn","manifest","day_file")) """
    """| "\\(.sha256)  \\(.path)"' manifests/ledger.jsonl | sha256sum -c --quiet"""
)


class DemoError(MarketArchiveError):
    """Raised when a step of the demo fails; its output stands above."""


@dataclass(frozen=True)
class Form:
    """How much of it."""

    minutes: int = MINUTES  # simulated
    speed: float = PAGES_SPEED  # simulated seconds per second
    with_pages: bool = True


def demo(folder: Path, console: Console, form: Form) -> None:
    """Leaves an archive in a new folder below `folder`; raises DemoError."""
    out = folder.absolute() / f"demo-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    out.mkdir(parents=True)
    console.print(
        f"The venues are simulated on this machine, {form.speed:g} times as fast as the wall: "
        f"{form.minutes} minutes from {START} take {form.minutes / form.speed:.1f}.\n"
    )
    where = ["-s", f"OUTPUT_DIR={out}"]
    with _simulator(form.speed) as url:
        command = ["collect", "--assets", ASSETS, "--durations", "5m,15m", "--duration", f"{form.minutes}m"]
        if not form.with_pages:
            command.append("--no-pages")
        _step(
            console,
            "All feeds of four assets",
            command,
            [*where, "-s", f"SIMULATOR_URL={url}"],
            is_shown=True,
        )
    for title, command in (
        ("Is everything as it was written, is every book what its hash says?", ["verify", "--books"]),
        ("What decided each round, and is it proven?", ["ground-truth"]),
        ("The state of every second", ["canonical"]),
        ("Can it be trusted?", ["validate"]),
        ("A page to look at", ["report"]),
    ):
        _step(console, title, command, where)
    _tell(out, console)


def _step(
    console: Console, title: str, command: Sequence[str], settings: Sequence[str], *, is_shown: bool = False
) -> None:
    """`is_shown`: what it says goes to the terminal, if there is one; else its last lines do at its end."""
    console.print(f"[bold]{title}[/bold]\n  scrapy {shlex.join(command)}", highlight=False)
    started = time.monotonic()
    is_live = is_shown and console.is_terminal
    done = subprocess.run(  # noqa: S603 (our own commands)
        [sys.executable, "-m", "scrapy", *command, *settings],
        env={**os.environ, "SCRAPY_PROJECT": "simulator"},
        stdout=None if is_live else subprocess.PIPE,
        stderr=None if is_live else subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        console.print((done.stdout or "") + (done.stderr or ""), markup=False, highlight=False)
        raise DemoError(f"`scrapy {shlex.join(command)}` ended with exit code {done.returncode}")
    for line in (done.stdout or "").splitlines()[-3:]:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"  done in {time.monotonic() - started:.0f} s, exit code 0\n")


@contextmanager
def _simulator(speed: float) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "scrapy",
        "simulate",
        "--port",
        "0",
        "--speed",
        str(speed),
        "--start",
        START,
    ]
    process = subprocess.Popen(  # noqa: S603 (our own command)
        command, env={**os.environ, "SCRAPY_PROJECT": "simulator"}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        if ready[:1] != ["ready"]:
            raise DemoError("the simulator did not start")
        yield ready[1]
        if process.poll() is not None:
            raise DemoError(
                f"this machine does not sustain {speed:g} times the wall: choose less with --speed"
            )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close() if process.stdout else None


def _tell(out: Path, console: Console) -> None:
    entries = [entry.fields for entry in Ledger(out).entries() if entry.fields]
    segments = [entry for entry in entries if entry["kind"] == "segment"]
    manifests = [
        json.loads((out / entry["path"]).read_text()) for entry in entries if entry["kind"] == "manifest"
    ]
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
