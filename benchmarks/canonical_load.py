"""Loading: a market-day by filters out of a month's canonical dataset, against a file that holds it alone.

pandas reads both by pyarrow: a day of Bitcoin's rounds of 5 minutes, 86,688 rows with all columns, from the
file of four assets in 5 and 15 minutes as `scrapy canonical` writes it, and from a file of one row group,
written alike, without a filter: no reader of these rows has less to do. Goal: at least half as fast. Told
apart: the same by DuckDB into pandas, a round by its slug, and the whole month. CANONICAL_DAYS=8 in the
environment makes it shorter.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.canonical_archive import DAY_S, START, make_days
from benchmarks.result import Result, pairs
from marketarchive.research.products.updown.canonical.dataset import canonical
from marketarchive.times import SECOND

GOAL = 0.5
DAYS = int(os.environ.get("CANONICAL_DAYS", "30"))
STEP = 300


def run() -> Result:
    root = Path(tempfile.mkdtemp(prefix="canonical_load"))
    try:
        make_days(root, DAYS, changes=1)
        return measured(root / canonical(root).path, root / "alone.parquet")
    finally:
        shutil.rmtree(root)


def measured(month: Path, alone: Path) -> Result:
    """Measure the loading from `month`; writes `alone`."""
    first = START // SECOND + DAYS // 2 * DAY_S
    market_day = [
        ("market_id", ">=", f"btc-updown-5m-{first}"),
        ("market_id", "<=", f"btc-updown-5m-{first + DAY_S - STEP}"),
    ]
    slug = [("market_id", "==", f"btc-updown-5m-{first + 100 * STEP}")]
    _write_alone(month, alone, f"btc-updown-5m-{first}")
    rows = len(pd.read_parquet(month, filters=market_day))
    assert rows == len(pd.read_parquet(alone)) == DAY_S // STEP * (STEP + 1), rows
    assert len(pd.read_parquet(month, filters=slug)) == STEP + 1
    ours, theirs, ratio = pairs(
        lambda: pd.read_parquet(month, filters=market_day), lambda: pd.read_parquet(alone)
    )
    by_duckdb, alone_by_duckdb, duckdb_ratio = pairs(
        lambda: _by_duckdb(month, f"WHERE market_id BETWEEN '{market_day[0][2]}' AND '{market_day[1][2]}'"),
        lambda: _by_duckdb(alone),
    )
    of_slug, _, slug_ratio = pairs(
        lambda: pd.read_parquet(month, filters=slug), lambda: pd.read_parquet(alone, filters=slug)
    )
    started = time.perf_counter()
    whole = pq.read_table(month).num_rows
    metadata = pq.read_metadata(month)
    return Result(
        name="canonical_load",
        value=rows / ours,
        unit="rows/s",
        baseline=rows / theirs,
        ratio=ratio,
        goal=GOAL,
        packages=("pandas", "pyarrow", "duckdb"),
        more={
            "days": DAYS,
            "ms": {
                "market_day": round(1000 * ours, 1),
                "alone": round(1000 * theirs, 1),
                "market_day_by_duckdb": round(1000 * by_duckdb, 1),
                "alone_by_duckdb": round(1000 * alone_by_duckdb, 1),
                "slug": round(1000 * of_slug, 1),
                "whole": round(1000 * (time.perf_counter() - started), 1),
            },
            "duckdb_ratio": round(duckdb_ratio, 2),
            "slug_ratio": round(slug_ratio, 2),
            "rows": whole,
            "row_groups": metadata.num_row_groups,
            "bytes": {"file": month.stat().st_size, "footer": metadata.serialized_size},
        },
    )


def _by_duckdb(path: Path, where: str = "") -> pd.DataFrame:
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT * FROM read_parquet('{path}') {where}").df()


def _write_alone(month: Path, alone: Path, first: str) -> None:
    with pq.ParquetFile(month) as file:
        number = next(
            number
            for number in range(file.num_row_groups)
            if file.read_row_group(number, columns=["market_id"])["market_id"][0].as_py() == first
        )
        rows = file.read_row_group(number)
    pq.write_table(rows, alone, compression="zstd", row_group_size=rows.num_rows)
