"""Fills of 10,000 orders at once, `Archive.fills`, against the same function one order at a time.

Random moments, tokens, sides and sizes over half an hour of the market channel of 16 rounds (100,000 frames),
whose tables are made before. One by one a few orders are enough to tell the rate; they are compared with
the same orders among the many.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.normalize_verified import SPELL, START, fill
from benchmarks.result import Result, pairs
from marketarchive import Archive
from marketarchive.times import SECOND, utc

ORDERS, ALONE = 10_000, 20
GOAL = 50.0
SECONDS_GOAL = 10.0


def run() -> Result:
    root = Path(tempfile.mkdtemp(prefix="fills"))
    try:
        fill(root, START)
        archive, random = Archive(root), Random(5)
        tokens = archive.books()["token"].unique().tolist()
        archive.coverage()  # its tables are made now, not while it is measured
        orders = [
            (
                random.choice(tokens),
                random.choice(("buy", "sell")),
                random.randrange(1, 2_000),
                utc(START + SECOND + random.randrange(SPELL - SECOND)),
            )
            for _ in range(ORDERS)
        ]
        columns: Any = tuple(map(list, zip(*orders, strict=True)))
        _same(archive, orders, columns)
        many, alone, _ = pairs(
            lambda: archive.fills(*columns),
            lambda: [archive.fill(*each) for each in orders[:ALONE]],
            rounds=3,
        )
        return Result(
            name="many_fills",
            value=ORDERS / many,
            unit="orders/s",
            baseline=ALONE / alone,
            ratio=(ORDERS / many) / (ALONE / alone),
            goal=GOAL,
            packages=("duckdb", "pandas", "pyarrow"),
            more={"seconds": round(many, 2), "seconds_goal": SECONDS_GOAL, "tokens": len(tokens)},
        )
    finally:
        shutil.rmtree(root)


def _same(archive: Archive, orders: list[tuple[Any, ...]], columns: Any) -> None:
    """Both say the same of the orders that are filled alone."""
    found = archive.fills(*columns)
    assert len(found) == ORDERS
    assert found["filled"].gt(0).mean() > 0.5
    for order, row in zip(orders[:ALONE], found.head(ALONE).to_dict("records"), strict=True):
        one = archive.fill(*order)
        assert (float(one.filled), one.gap, one.levels) == (row["filled"], row["gap"], row["levels"])
        assert one.value is None or float(one.value) == row["value"]
