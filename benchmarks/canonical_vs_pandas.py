"""Canonical dataset: rounds of 15 minutes to one row a second, against an expert's pandas build.

Both read the same tables, laid out as `scrapy normalize` does (ten changes of its book a second and token, of
which one moves its best prices, as on the simulator; prices of two instruments a second and asset; gaps), and
labels, and write the same columns with zstd; see `canonical_pandas`. Ours, `scrapy canonical`, also looks for
what else can be in an archive, settles what several recordings and answers tell of one second, keeps keys of
all inputs, fsyncs and writes a manifest. Each runs in a process of its own, so that its peak memory is its
own. CANONICAL_MARKETS=10000 for the full form: 9 million rows of 192 million changes, a quarter of an hour.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from benchmarks.canonical_archive import DURATION, make
from benchmarks.canonical_pandas import build
from benchmarks.result import Result, peak_mb
from marketarchive.research.products.updown.canonical.columns import schema
from marketarchive.research.products.updown.canonical.dataset import canonical

MARKETS = int(os.environ.get("CANONICAL_MARKETS", "2000"))
FEWER = 10
"""So many times fewer markets show whether the time is linear."""
GOAL, MEMORY_MB = 3.0, 2048
ROUNDS = 2


def run() -> Result:
    root = Path(tempfile.mkdtemp(prefix="canonical"))
    try:
        few, many = root / "few", root / "many"
        make(few, MARKETS // FEWER)
        make(many, MARKETS)
        small = _measured("ours", few)
        found: dict[str, list[dict[str, Any]]] = {"ours": [], "pandas": []}
        for number in range(ROUNDS):
            for who in sorted(found, reverse=bool(number % 2)):
                found[who].append(_measured(who, many))
        _same(many)
        rows = MARKETS * (DURATION + 1)
        seconds = {who: statistics.median(each["seconds"] for each in runs) for who, runs in found.items()}
        return Result(
            name="canonical_vs_pandas",
            value=rows / seconds["ours"],
            unit="rows/s",
            baseline=rows / seconds["pandas"],
            ratio=statistics.median(
                theirs["seconds"] / mine["seconds"]
                for mine, theirs in zip(found["ours"], found["pandas"], strict=True)
            ),
            goal=GOAL,
            packages=("duckdb", "pandas", "pyarrow"),
            more={
                "markets": MARKETS,
                "rows": rows,
                "seconds": {who: round(each, 1) for who, each in seconds.items()},
                "peak_mb": {who: max(each["peak_mb"] for each in runs) for who, runs in found.items()}
                | {"goal": MEMORY_MB},
                "seconds_per_1000_markets": {
                    str(MARKETS // FEWER): round(small["seconds"] / (MARKETS / FEWER) * 1000, 2),
                    str(MARKETS): round(seconds["ours"] / MARKETS * 1000, 2),
                },
            },
        )
    finally:
        shutil.rmtree(root)


def _measured(who: str, root: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", __name__, who, str(root)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(who: str, root: Path) -> None:
    started = time.perf_counter()
    if who == "ours":
        (root / "research" / "canonical_dataset.parquet").unlink(missing_ok=True)
        canonical(root)
    else:
        build(root, root / "pandas.parquet", schema())
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}))


def _same(root: Path) -> None:
    """Both made the same rows, or the comparison is worth nothing."""
    theirs, ours = root / "pandas.parquet", root / "research" / "canonical_dataset.parquet"
    differ = " OR ".join(f"NOT ({_close(field)})" for field in schema())
    with duckdb.connect() as connection:
        counts = connection.execute(
            f"""SELECT (SELECT count(*) FROM read_parquet(?)), (SELECT count(*) FROM read_parquet(?)),
                       (SELECT count(*) FROM read_parquet(?) AS a JOIN read_parquet(?) AS b
                        ON a.market_id = b.market_id AND a.t = b.t WHERE {differ})""",
            [str(ours), str(theirs), str(ours), str(theirs)],
        ).fetchall()[0]
    assert counts == (MARKETS * (DURATION + 1),) * 2 + (0,), counts


def _close(field: pa.Field) -> str:
    a, b = f'a."{field.name}"', f'b."{field.name}"'
    if pa.types.is_floating(field.type):
        return f"coalesce(abs({a} - {b}) < 1e-9 * greatest(1, abs({a})), {a} IS NULL AND {b} IS NULL)"
    return f"{a} IS NOT DISTINCT FROM {b}"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
