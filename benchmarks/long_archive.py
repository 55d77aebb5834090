"""Long archive: the cost of a start, an append and readers behind 100,000 runs, against 100 runs.

As a cron line of a year leaves it: a run each five minutes with a segment of two feeds and a manifest, three
ledger lines each, every file on the disk. A start is what a collector's start does with the archive. Turns
alternate between both archives; the ratio is that of the operation that grew most. `status` tells of all runs
by its nature: its time is told apart. Each operation is done once more in a process of its own, for its peak
of memory. BENCHMARK_RUNS=10000 in the environment makes it shorter.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.result import Result, pairs
from marketarchive.archive.folders import SETTLED_AFTER_NS
from marketarchive.archive.ledger import NOTHING, Head, Ledger
from marketarchive.archive.manifest import manifest
from marketarchive.archive.paths import LEDGER, manifest_path, segment_path
from marketarchive.archive.reader import ArchiveReader
from marketarchive.archive.recover import recover
from marketarchive.archive.status import status
from marketarchive.clock import RealClock
from marketarchive.research.tables.partitions import partitions
from marketarchive.times import DAY, SECOND, from_iso, iso, utc

GOAL = 0.02
"""Of 1,000 times the runs; a cost that goes by them would have a ratio of 0.001."""
RUNS = int(os.environ.get("BENCHMARK_RUNS", "100000"))
FEW = 100
EVERY = 300 * SECOND
END = from_iso("2026-11-21T12:00:00Z")
VENUE, SPIDER, FEEDS = "polymarket", "polymarket_orderbook", ("markets", "orderbook")
NEWEST = 20
"""Runs that `scrapy status` lists beside living ones."""


def run() -> Result:
    folder = Path(tempfile.mkdtemp(prefix="long_archive"))
    try:
        long, short = folder / "long", folder / "short"
        for root, count in ((short, FEW), (long, RUNS)):
            _fill(root, count)
        time.sleep(SETTLED_AFTER_NS / SECOND)  # the age from which on folders are not listed again
        first = _seconds(lambda: _start(long))
        _start(short)
        measured = {name: _measure(work, long, short) for name, work in OPERATIONS.items()}
        alone = {name: _alone(long, name) for name in OPERATIONS}
    finally:
        shutil.rmtree(folder)
    grown = min(
        (found for name, found in measured.items() if name != "status"), key=lambda found: found["ratio"]
    )
    return Result(
        name="long_archive",
        value=1000 / grown["ms"],
        unit=f"{grown['operation']} operations/s",
        baseline=1000 / grown["baseline_ms"],
        ratio=grown["ratio"],
        goal=GOAL,
        packages=("msgspec",),
        more={
            "runs": RUNS,
            "baseline_runs": FEW,
            "first_start_s": round(first, 2),
            **{name: {**measured[name], "peak_rss_mb": alone[name]} for name in OPERATIONS},
        },
    )


def _start(root: Path) -> None:
    assert not recover(root, RealClock()).failures


def _append(root: Path) -> None:
    """Append by a process that has not looked at the ledger yet."""
    Ledger(root).append({"kind": "label", "path": "raw/none", "label": "invalid", "why": "a benchmark"})


def _append_again(root: Path) -> None:
    _known(root).append({"kind": "label", "path": "raw/none", "label": "invalid", "why": "a benchmark"})


def _day(root: Path) -> None:
    made = partitions(root, {(VENUE, "orderbook")}, END // DAY * DAY, END)
    assert sum(len(each.entries) for each in made)


def _segments(root: Path) -> None:
    assert ArchiveReader(root).segments(VENUE, "orderbook", END - DAY // 24, END)


def _status(root: Path) -> None:
    assert status(root, RealClock(), NEWEST).ledger_lines


OPERATIONS: dict[str, Callable[[Path], None]] = {
    "start": _start,
    "append": _append,
    "append_again": _append_again,
    "segments_of_an_hour": _segments,
    "tables_of_a_day": _day,
    "status": _status,
}
_ledgers: dict[Path, Ledger] = {}


def _known(root: Path) -> Ledger:
    return _ledgers.setdefault(root, Ledger(root))


def _measure(work: Callable[[Path], None], long: Path, short: Path) -> dict[str, Any]:
    mine, theirs, ratio = pairs(lambda: work(long), lambda: work(short))
    name = next(name for name, each in OPERATIONS.items() if each is work)
    return {
        "operation": name,
        "ms": round(mine * 1000, 2),
        "baseline_ms": round(theirs * 1000, 2),
        "ratio": round(ratio, 3),
    }


def _alone(root: Path, operation: str) -> float:
    """Return the peak of resident memory of a process that does one thing, MB."""
    code = (
        "import sys; from pathlib import Path; from benchmarks.long_archive import OPERATIONS\n"
        "OPERATIONS[sys.argv[2]](Path(sys.argv[1]))\n"
        "text = Path('/proc/self/status').read_text()\n"
        "print(next(line.split()[1] for line in text.splitlines() if line.startswith('VmHWM')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root), operation], check=True, capture_output=True, text=True
    )
    return round(int(done.stdout) / 1024, 1)


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _fill(root: Path, count: int) -> None:
    """Write an archive of `count` runs that ended at END."""
    (root / "manifests").mkdir(parents=True)
    previous, number = NOTHING, 0
    with (root / LEDGER).open("wb") as ledger:
        for n in range(count):
            for line in _run(root, END - (count - n) * EVERY, n, Head(number, previous)):
                raw = msgspec.json.encode({**line, "previous": previous})
                previous, number = hashlib.sha256(raw).hexdigest(), number + 1
                ledger.write(raw + b"\n")


def _run(root: Path, started: int, n: int, head: Head) -> Iterator[dict[str, Any]]:
    """Yield the ledger lines of a run of six seconds, whose files it writes; their content is never read."""
    run = f"{utc(started):%Y%m%dT%H%M%SZ}-{n:08x}"
    lines = [_segment(run, feed, started) for feed in FEEDS]
    for line in lines:
        path = root / line["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        yield line
    identity = {
        "run": run,
        "spider": SPIDER,
        "venue": VENUE,
        "feeds": [*FEEDS],
        "collector": "benchmark",
        "started_at_utc": iso(started),
        "arguments": {"markets": "all"},
        "settings": {},
        "pid": 1,
    }
    document = manifest(identity, started + 6 * SECOND, "finished", lines, {}, [], {"exit_code": 0}, head)
    data = json.dumps(document).encode()
    path = manifest_path(f"{SPIDER}-{run}")
    (root / path).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    yield {"kind": "manifest", "path": str(path), "run": run, "bytes": len(data), "sha256": digest}


def _segment(run: str, feed: str, started: int) -> dict[str, Any]:
    digest = hashlib.sha256(f"{run}{feed}".encode()).hexdigest()
    return {
        "kind": "segment",
        "path": str(segment_path(VENUE, feed, started, SPIDER, run, 1)),
        "run": run,
        "spider": SPIDER,
        "venue": VENUE,
        "feed": feed,
        "n": 1,
        "bytes": 0,
        "lines": 8,
        "first": iso(started),
        "last": iso(started + 6 * SECOND),
        "seq_min": 1,
        "seq_max": 6,
        "counts": {"segment": 1, "response": 6, "end": 1},
        "statuses": {"200": 6},
        "members": [(0, 20_412, 8, digest)],
        "sha256": digest,
        "sealed_at_utc": iso(started + 6 * SECOND),
    }
