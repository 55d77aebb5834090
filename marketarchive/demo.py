"""The main job from end to end on the simulator: discover, collect a minute of books, resolve, verify.

Runs the very commands a user would type, and prints them.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from marketarchive.archive.ledger import Ledger
from marketarchive.exceptions import MarketArchiveError

SPEED = 4
"""Simulated seconds per second: a minute of books takes a quarter of one."""

CHECK = (
    """jq -Rr 'fromjson? | select(.kind|IN("segment","recovered","torn","manifest","day_file")) """
    """| "\\(.sha256)  \\(.path)"' manifests/ledger.jsonl | sha256sum -c --quiet"""
)


class DemoError(MarketArchiveError):
    """Raised when a step of the demo fails; its output stands above."""


def demo(folder: Path, console: Console) -> None:
    """Leaves an archive in a new folder below `folder`; raises DemoError."""
    out = folder.absolute() / f"demo-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    out.mkdir(parents=True)
    console.print(f"The venue is simulated on this machine, {SPEED} times as fast as the wall.\n")
    with _simulator() as url:
        where = ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={url}"]
        _step(
            console, "Which rounds are there?", ["crawl", "polymarket_markets", "-a", "assets=BTC,ETH"], where
        )
        book = ["crawl", "polymarket_orderbook", "-a", "assets=BTC,ETH", "-a", "ahead=10m"]
        _step(console, "A minute of their books", [*book, "-a", "interval=1s", "-a", "duration=60s"], where)
        resolved = ["crawl", "polymarket_resolutions", "-a", "assets=BTC,ETH", "-a", "since=3h"]
        _step(console, "How did earlier rounds end?", resolved, where)
    _step(console, "Is everything as it was written?", ["verify", "--books"], ["-s", f"OUTPUT_DIR={out}"])
    _tell(out, console)


def _step(console: Console, title: str, command: list[str], settings: list[str]) -> None:
    console.print(f"[bold]{title}[/bold]\n  scrapy {shlex.join(command)}")
    started = time.monotonic()
    done = subprocess.run(  # noqa: S603 (our own commands)
        [sys.executable, "-m", "scrapy", *command, *settings],
        env={**os.environ, "SCRAPY_PROJECT": "simulator"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        console.print(done.stdout + done.stderr, markup=False, highlight=False)
        raise DemoError(f"`scrapy {shlex.join(command)}` ended with exit code {done.returncode}")
    console.print(f"  done in {time.monotonic() - started:.0f} s, exit code 0\n")


@contextmanager
def _simulator() -> Iterator[str]:
    command = [sys.executable, "-m", "scrapy", "simulate", "--port", "0", "--speed", str(SPEED)]
    process = subprocess.Popen(  # noqa: S603 (our own command)
        command, env={**os.environ, "SCRAPY_PROJECT": "simulator"}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        if ready[:1] != ["ready"]:
            raise DemoError("the simulator did not start")
        yield ready[1]
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
    _runs_table(manifests, console)
    _markets_table(out, console)
    lines, size = sum(entry["lines"] for entry in segments), sum(entry["bytes"] for entry in segments)
    head = Ledger(out).head()
    console.print(
        f"\n{len(segments)} sealed segments, {lines} lines, {size / 1e6:.1f} MB compressed; "
        f"the ledger has {head.count} lines, head {head.sha256[:16]}...\n"
    )
    console.print("Everything lies in", style="bold")
    for path, what in (
        ("raw/", "what the venue sent, byte for byte: zcat FILE | jq"),
        ("records/", "a row per market and second"),
        ("manifests/", "one manifest a run, and the ledger with all checksums"),
        ("discovery/", "the rounds as listed; read polymarket_btc_markets.md"),
        ("master.db", "the market master (SQLite)"),
    ):
        console.print(f"  {out / path}  {what}", highlight=False, soft_wrap=True, markup=False)
    console.print("\nCheck all files without this program:", style="bold")
    console.print(f"  cd {out} && {CHECK}", highlight=False, soft_wrap=True, markup=False)


def _runs_table(manifests: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="Runs", title_justify="left")
    for name in ("spider", "requests", "answers 200", "gaps", "books verified", "rows"):
        table.add_column(name, justify="left" if name == "spider" else "right")
    for manifest in manifests:
        statuses: Counter[str] = Counter()
        gaps = 0
        for feed in manifest["raw"]:
            statuses.update(feed["statuses"])
            gaps += sum(feed["gaps"].values())
        summary = manifest["summary"]
        table.add_row(
            manifest["spider"],
            str(summary["requests"].get("count", 0)),
            str(statuses["200"]),
            str(gaps),
            str(summary["books"].get("ok", 0)),
            str(sum(each["rows"] for each in manifest["records"])),
        )
    console.print(table)


def _markets_table(out: Path, console: Console) -> None:
    query = (
        "SELECT asset, duration, sum(status = 'active'), sum(status = 'resolved'), sum(resolution = 'Up'), "
        "sum(resolution = 'Down') FROM markets WHERE asset IS NOT NULL GROUP BY asset, duration "
        "ORDER BY asset, instr('5m 15m 1h 4h 1d', duration)"
    )
    table = Table(title="Market master", title_justify="left")
    for name in ("asset", "duration", "active", "resolved", "Up", "Down"):
        table.add_column(name, justify="left" if name in ("asset", "duration") else "right")
    connection = sqlite3.connect(out / "master.db")
    try:
        for row in connection.execute(query):
            table.add_row(*(str(value or 0) for value in row))
    finally:
        connection.close()
    console.print(table)
