"""Memory: of a day's tables from 8 million changes of books, against the same from 2 million.

Compared is the highest resident memory of `scrapy normalize` with one process, each in a process of its own;
goal: at most a tenth more. The ratio is what is allowed over what was measured. BENCHMARK_SPELLS=8 in the
environment makes it shorter: so many times 100,000 frames for the larger, a quarter of them for the smaller.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.normalize_verified import fill
from benchmarks.result import Result
from marketarchive.times import from_iso

GROWTH = 1.1
SPELLS = int(os.environ.get("BENCHMARK_SPELLS", "48"))
START = from_iso("2026-11-21T00:00:00Z")
COMMAND = (
    "import resource, sys; from marketarchive.command_line import main\n"
    "try: main(['normalize', '-s', 'OUTPUT_DIR=' + sys.argv[1], '--processes', '1'])\n"
    "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)


def run() -> Result:
    less, less_mb = _peak(SPELLS // 4)
    more, more_mb = _peak(SPELLS)
    return Result(
        name="normalize_memory",
        value=round(more_mb, 1),
        unit="MB (highest; less is better)",
        baseline=round(less_mb, 1),
        ratio=GROWTH * less_mb / more_mb,
        goal=1.0,
        packages=("pyarrow", "duckdb", "msgspec"),
        more={"changes": more, "baseline_changes": less, "growth": round(more_mb / less_mb, 3)},
    )


def _peak(spells: int) -> tuple[int, float]:
    """Return how many changes of books the tables have, and the highest resident memory in MB."""
    root = Path(tempfile.mkdtemp(prefix="normalize_memory"))
    try:
        fill(root, START, spells)
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, str(root)], capture_output=True, text=True, check=True
        )
        rows = sum(
            pq.read_metadata(path).num_rows
            for path in root.glob("tables/**/*.parquet")
            if "book_changes" in path.as_posix()
        )
        return rows, int(done.stdout.split()[-1]) / 1024
    finally:
        shutil.rmtree(root)
