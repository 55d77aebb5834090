"""Memory: of `canonical` and `validate` of a month of four assets in 5 and 15 minutes, against four days.

Compared is the higher of the peaks of both, each in a process of its own, of the first days and of all days
of one archive (`canonical_archive.make_days`); goal: at most a tenth more. The ratio is what is allowed over
what was measured. Processor time of a day tells whether the work is linear. CANONICAL_DAYS=8 in the
environment makes it shorter, CANONICAL_CHANGES=10 denser: so many changes of each token's book a second.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.canonical_archive import DAY_S, START, make_days
from benchmarks.result import Result, peak_mb
from marketarchive.research.products.updown.canonical.dataset import canonical
from marketarchive.research.products.updown.validation.validate import validate
from marketarchive.times import SECOND

GROWTH = 1.1
FEW = 4
DAYS = int(os.environ.get("CANONICAL_DAYS", "30"))
CHANGES = int(os.environ.get("CANONICAL_CHANGES", "2"))
WORK = ("canonical", "validate")


def run() -> Result:
    root = Path(tempfile.mkdtemp(prefix="canonical_month"))
    try:
        rounds = make_days(root, DAYS, CHANGES)
        found = {days: {work: _measured(work, root, days) for work in WORK} for days in (FEW, DAYS)}
    finally:
        shutil.rmtree(root)
    few, many = (max(each["peak_mb"] for each in found[days].values()) for days in (FEW, DAYS))
    return Result(
        name="canonical_month",
        value=many,
        unit="MB (highest; less is better)",
        baseline=few,
        ratio=GROWTH * few / many,
        goal=1.0,
        packages=("duckdb", "pyarrow"),
        more={
            "days": DAYS,
            "rounds": rounds,
            "peak_mb": {
                str(days): {work: each["peak_mb"] for work, each in found[days].items()} for days in found
            },
            "cpu_seconds_a_day": {
                str(days): {work: round(each["cpu_s"] / days, 2) for work, each in found[days].items()}
                for days in found
            },
        },
    )


def _measured(work: str, root: Path, days: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", __name__, work, str(root), str(days)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(work: str, root: Path, days: int) -> None:
    until = START + days * DAY_S * SECOND
    if work == "canonical":
        (root / "research" / "canonical_dataset.parquet").unlink(missing_ok=True)
        canonical(root, until=until)
    else:
        validate(root, until=until)
    print(json.dumps({"cpu_s": time.process_time(), "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
