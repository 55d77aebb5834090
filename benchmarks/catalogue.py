"""Catalogue: 50,000 markets a sweep into the market master, against a bare executemany of the same rows.

Ours merges observations as a spider's items become them: known rows are read, compared and journaled, in the
batches of the feeder. The expert's loop already has the rows that this makes of the tables `markets`,
`market_changes` and `price_snapshots`, and only writes them, by `sqlite3` alone, with the same pragmas, keys
and transactions. Measured is the first sweep, which writes everything; then a second without changes, which
must write no journal and be no slower, and sweeps in which prices move, which tell how a master grows.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.result import Result, pairs
from marketarchive.items import Market, PriceSnapshot
from marketarchive.master.engine import open_master, sqlite_url
from marketarchive.master.feeder import BATCH
from marketarchive.master.observation import MarketObservation, Observation, observe
from marketarchive.master.store import MasterStore

GOAL = 0.5
MARKETS = int(os.environ.get("CATALOGUE_MARKETS", "50000"))
ROUNDS = 3
START = datetime(2026, 11, 21, tzinfo=UTC)
NS = 1_000_000_000
SNAPSHOTS_A_DAY = 96
"""Of one market, every 15 minutes."""
MILLION = 1_000_000
TABLES = ("markets", "market_changes", "price_snapshots")

Batches = Sequence[Sequence[Observation]]


def run() -> Result:
    folder = Path(tempfile.mkdtemp(prefix="catalogue"))
    first = _sweep()
    second, moved = _later(first, 900), _later(first, 1800, moved=True)
    try:
        template = folder / "empty.db"
        open_master(sqlite_url(template)).dispose()
        made = folder / "made.db"
        shutil.copy(template, made)
        _ours(made, first)
        rows = {table: _rows(made, table) for table in TABLES}
        mine, theirs, ratio = pairs(
            lambda: _ours(_fresh(template, folder / "ours.db"), first),
            lambda: _plain(_fresh(template, folder / "plain.db"), rows),
            ROUNDS,
        )
        markets_alone = _timed(
            lambda: _plain(_fresh(template, folder / "alone.db"), {"markets": rows["markets"]})
        )
        again: list[float] = []
        changes = 0
        for _ in range(ROUNDS):
            database = _fresh(made, folder / "again.db")
            started = time.perf_counter()
            changes += _ours(database, second)
            again.append(time.perf_counter() - started)
        made.unlink()
        database.rename(made)
        growth = _growth(made, moved)
    finally:
        shutil.rmtree(folder)
    steady = statistics.median(again)
    yearly_gb = growth * MARKETS * SNAPSHOTS_A_DAY * 365 / 1e9
    print(f"a second sweep without changes: {MARKETS / steady:,.0f} markets/s, {changes} journal entries")
    print(
        f"growth: {growth * MILLION / 1e6:.0f} MB per million snapshots; a year of {MARKETS:,} markets: "
        f"{yearly_gb:,.0f} GB if all prices move every 15 minutes, {yearly_gb / 20:,.0f} GB if one in 20 does"
    )
    if changes or steady > mine:
        ratio = 0.0  # another goal is missed: the text above says which
    return Result(
        name="catalogue",
        value=MARKETS / mine,
        unit="markets/s",
        baseline=MARKETS / theirs,
        ratio=ratio,
        goal=GOAL,
        packages=("sqlalchemy",),
        more={
            "rows": {table: len(each) for table, each in rows.items()},
            "executemany_of_markets_alone_per_s": round(MARKETS / markets_alone),
            "second_sweep_per_s": round(MARKETS / steady),
            "second_sweep_changes": changes,
            "mb_per_million_snapshots": round(growth * MILLION / 1e6, 1),
            "gb_a_year_if_all_move": round(yearly_gb, 1),
        },
    )


def _sweep() -> Batches:
    """Return the observations of the first sweep."""
    random = Random(7)
    found: list[Observation] = []
    for number in range(MARKETS):
        received_at = int(START.timestamp()) * NS + number * 1_000_000
        origin: dict[str, Any] = {
            "venue": "polymarket",
            "feed": "markets",
            "received_at": received_at,
            "seq": number // 100 + 1,
            "run": "20261121T000000Z-4f2a",
            "platform": "polymarket",
            "market_id": f"0x{number:064x}",
        }
        yes = Decimal(random.randrange(10, 990)) / 1000
        volume = Decimal(random.randrange(10**9)) / 1000
        liquidity = Decimal(random.randrange(10**8)) / 1000
        event = number // 5
        market = Market(
            **origin,
            slug=f"will-candidate-{number}-win-the-{event}-election",
            event_id=str(30_000 + event),
            group=f"0x{event:064x}",
            neg_risk=True,
            title=f"Will candidate {number} win the election number {event} of 2028?",
            subtitle=f"Candidate {number}",
            description=_TEXT,
            category="Politics",
            outcomes=("Yes", "No"),
            tokens={"Yes": str(random.getrandbits(256)), "No": str(random.getrandbits(256))},
            end_at=START + timedelta(days=400),
            volume=volume,
            volume_unit="dollars",
            liquidity=liquidity,
            liquidity_unit="dollars",
            status="active",
            tick_size=Decimal("0.001"),
        )
        snapshot = PriceSnapshot(
            **origin,
            yes_price=yes,
            no_price=1 - yes,
            volume=volume,
            liquidity=liquidity,
            spread=Decimal("0.001"),
        )
        found += [observe(market), observe(snapshot)]
    return [found[start : start + BATCH] for start in range(0, len(found), BATCH)]


def _later(batches: Batches, seconds: int, *, moved: bool = False) -> Batches:
    """Return the observations of a sweep `seconds` later, with every price and volume moved or none."""
    return [
        [
            MarketObservation(
                each.platform,
                each.market_id,
                each.key._replace(
                    observed_at=each.key.observed_at + seconds * 1_000_000, seq=each.key.seq + seconds * 1000
                ),
                each.values,
                (each.prices[1], each.prices[0], *each.prices[2:]) if moved and each.prices else each.prices,
            )
            for each in batch
            if isinstance(each, MarketObservation)
        ]
        for batch in batches
    ]


_TEXT = (
    "This market will resolve to Yes if the named candidate wins and accepts the nomination. Otherwise, this "
    "market will resolve to No. The resolution source will be a consensus of official sources. Any "
    "replacement of the candidate before election day will not change the resolution of the market."
)


def _fresh(template: Path, path: Path) -> Path:
    for each in path.parent.glob(path.name + "*"):
        each.unlink()
    shutil.copy(template, path)
    return path


def _ours(path: Path, batches: Batches) -> int:
    """Merge batches as the feeder does; the number of journal entries."""
    store = MasterStore(sqlite_url(path))
    changes = sum(store.write(batch).changes for batch in batches)
    store.close()
    return changes


def _plain(path: Path, rows: dict[str, list[dict[str, Any]]]) -> None:
    """The expert's loop: as many transactions, each an executemany a table."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    transactions = 2 * MARKETS // BATCH
    for number in range(transactions):
        connection.execute("BEGIN IMMEDIATE")
        for table, every in rows.items():
            first, last = (len(every) * place // transactions for place in (number, number + 1))
            columns = list(every[0])
            marks = ", ".join(f":{name}" for name in columns)
            names = ", ".join(f'"{name}"' for name in columns)
            connection.executemany(
                f"INSERT INTO {table} ({names}) VALUES ({marks})",
                every[first:last],
            )
        connection.execute("COMMIT")
    connection.close()


def _rows(path: Path, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table without their numbers."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    try:
        rows = connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
        return [{name: row[name] for name in row.keys() if name != "id"} for row in rows]  # noqa: SIM118
    finally:
        connection.close()


def _timed(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _growth(path: Path, moved: Batches) -> float:
    """Return bytes that a snapshot adds to a master, in a sweep in which all prices move."""
    before = path.stat().st_size
    _ours(path, moved)
    return (path.stat().st_size - before) / MARKETS
