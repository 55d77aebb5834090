"""Export: 50,000 resolved markets with 100 snapshots each to Parquet, against one plain DuckDB query.

Ours is `scrapy export --table catalog`, all its columns; the expert's query, see `export_duckdb`, begins with
the same master and writes the same values of those that it has, which are compared. Each runs in a process
of its own, which begins from nothing. The highest resident memory of ours has a goal too: under 2 GB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

from benchmarks.export_duckdb import SAME
from benchmarks.export_master import fill
from benchmarks.result import Result, pairs

GOAL = 0.3
MOST_MB = 2048
MARKETS = int(os.environ.get("EXPORT_MARKETS", "50000"))
SNAPSHOTS = int(os.environ.get("EXPORT_SNAPSHOTS", "100"))
ROUNDS = 3
PEAK = "finally: import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
OURS = (
    "import sys; from marketarchive.command_line import main\n"
    "try: main(['export', '--table', 'catalog', '--format', 'parquet', '-s', 'OUTPUT_DIR=' + sys.argv[1]])\n"
) + PEAK
THEIRS = (
    "import sys; from pathlib import Path; from benchmarks.export_duckdb import extract\n"
    "try: extract(*map(Path, sys.argv[1:]))\n"
) + PEAK


def run() -> Result:
    root = Path(tempfile.mkdtemp(prefix="export"))
    peaks: list[float] = []
    theirs_peaks: list[float] = []
    try:
        master, target = root / "master.db", root / "theirs.parquet"
        fill(master, MARKETS, SNAPSHOTS)
        mine, theirs, ratio = pairs(
            lambda: peaks.append(_peak(OURS, root)),
            lambda: theirs_peaks.append(_peak(THEIRS, master, target)),
            ROUNDS,
        )
        rows = compared(root / "exports" / "catalog.parquet", target)
    finally:
        shutil.rmtree(root)
    print(f"highest memory: {max(peaks):,.0f} MB, of the query {max(theirs_peaks):,.0f} MB")
    if max(peaks) >= MOST_MB:
        ratio = 0.0  # another goal is missed: the text above says which
    return Result(
        name="export",
        value=rows / mine,
        unit="markets/s",
        baseline=rows / theirs,
        ratio=ratio,
        goal=GOAL,
        packages=("duckdb", "pyarrow", "sqlalchemy"),
        more={
            "snapshots": MARKETS * SNAPSHOTS,
            "seconds": round(mine, 1),
            "peak_mb": round(max(peaks)),
            "most_mb": MOST_MB,
            "baseline_peak_mb": round(max(theirs_peaks)),
        },
    )


def compared(ours: Path, theirs: Path) -> int:
    """Return how many rows there are: all of both, with the same values of SAME."""
    named = ", ".join(f'"{name}"' for name in SAME)
    with duckdb.connect() as connection:
        [counts] = connection.execute(
            f"""SELECT (SELECT count(*) FROM '{ours}'), (SELECT count(*) FROM '{theirs}'),
                (SELECT count(*) FROM (SELECT {named} FROM '{ours}' EXCEPT SELECT {named} FROM '{theirs}'))"""
        ).fetchall()
    rows, others, differ = counts
    assert rows == others == MARKETS, f"{rows} rows, theirs {others}, of {MARKETS} markets"
    assert differ == 0, f"{differ} of {rows} rows differ"
    return int(rows)


def _peak(program: str, *arguments: Path) -> float:
    """Run a program in a process of its own; its highest resident memory in MB."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024
