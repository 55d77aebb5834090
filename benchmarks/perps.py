"""Perpetuals: a year of hourly rows of all venues and assets, from raw to `unified_data.parquet`.

Against an expert's DuckDB program that takes the same fields out of the same segments into one file, see
`perps_duckdb`: it has no tables in between, no exact decimals, checks nothing and says nothing of quality.
Both begin with raw alone, and write the same values: every number of theirs is compared with ours.

Of our processor time some 60 % goes into the tables of exact decimals: reading and checking each answer,
values as Python's texts and integers on their way to Arrow, and one Parquet file a table. A quarter is
their conversion to rows of the period, where duplicates, intervals that change and holes are looked for. The
rest is the files of the unified data and the report of their quality.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import duckdb

from benchmarks.perps_archive import END, make
from benchmarks.perps_duckdb import FIELDS, extract
from benchmarks.result import Result, pairs
from marketarchive.research.products.perps import unified
from marketarchive.times import SECOND, iso

GOAL = 0.5
DAYS = 365
ROUNDS = 2
HOUR_S = 3600
LAST_S = END // SECOND
NEAR = 1e-9
"""What sums of doubles may differ by, as a share."""


def run() -> Result:
    root = Path(tempfile.mkdtemp(prefix="perps"))
    try:
        answered = make(root, DAYS)
        first_s = LAST_S - DAYS * 86_400 + HOUR_S
        target = root / "theirs.parquet"

        def ours() -> None:
            for name in ("tables", unified.FOLDER):
                shutil.rmtree(root / name, ignore_errors=True)
            done = unified.unify(root, "1h", iso(first_s * SECOND), iso(END))
            assert not done.failed, done.failed

        mine, theirs, ratio = pairs(ours, lambda: extract(root, target, first_s, LAST_S), ROUNDS)
        rows = compared(root / unified.FOLDER / unified.UNIFIED, target)
        more = {"rows": rows, "answered": answered, "seconds": round(mine, 1)}
    finally:
        shutil.rmtree(root)
    return Result(
        name="perps",
        value=rows / mine,
        unit="rows/s",
        baseline=rows / theirs,
        ratio=ratio,
        goal=GOAL,
        packages=("duckdb", "pyarrow", "msgspec"),
        more=more,
    )


def compared(ours: Path, theirs: Path) -> int:
    """Return how many rows there are; what theirs say, ours say too, but for what is worth no number.

    Ours leave out what a single line of theirs cannot know to be incomplete, and no more than that.
    """
    names = {name: "funding_rate" if name == "funding" else name for name in FIELDS}
    differ = " OR ".join(
        f"abs(a.{own} - b.{name}) > {NEAR} * greatest(abs(b.{name}), 1e-6)" for name, own in names.items()
    )
    lacking = " + ".join(f"(a.{own} IS NULL AND b.{name} IS NOT NULL)::INT" for name, own in names.items())
    with duckdb.connect() as connection:
        [(rows, alone, wrong, cells, left_out)] = connection.execute(
            f"""SELECT count(*), count(*) FILTER (WHERE a.symbol IS NULL), count(*) FILTER (WHERE {differ}),
                       sum({" + ".join(f"(b.{name} IS NOT NULL)::INT" for name in names)}), sum({lacking})
                FROM (SELECT * REPLACE (make_timestamp(epoch_us(timestamp)) AS timestamp)
                      FROM read_parquet(?)) AS a
                RIGHT JOIN read_parquet(?) AS b USING (timestamp, venue, symbol)""",
            [str(ours), str(theirs)],
        ).fetchall()
    assert rows, "nothing was compared"
    assert (alone, wrong) == (0, 0), f"of {rows} rows ours lack {alone} and differ in {wrong}"
    assert left_out <= cells / 1000, f"of {cells} values ours lack {left_out}"
    return int(rows)
