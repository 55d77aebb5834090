"""A market master of resolved markets with price snapshots, for the benchmark `export`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from marketarchive.items import Market, Resolution
from marketarchive.master.engine import open_master, sqlite_url
from marketarchive.master.feeder import BATCH
from marketarchive.master.observation import Observation, observe
from marketarchive.master.store import MasterStore

START = datetime(2026, 9, 1, tzinfo=UTC)
CYCLE = timedelta(minutes=15)
SIBLINGS = 5
"""Markets of an event."""
RULES = (
    "This market will resolve to Yes if the named candidate wins and accepts the nomination. Otherwise, this "
    "market will resolve to No. The resolution source will be a consensus of official sources. Any "
    "replacement of the candidate before election day will not change the resolution of the market."
)


def fill(path: Path, markets: int, snapshots: int) -> None:
    """Write a master of `markets`, each seen `snapshots` times at its 15 minutes, then resolved.

    Markets and results go through the store; snapshots are inserted as it would, sweep by sweep.
    """
    url = sqlite_url(path)
    open_master(url).dispose()
    store = MasterStore(url)
    batch: list[Observation] = []
    for number in range(markets):
        batch += _market(number, snapshots)
        if len(batch) >= BATCH:
            store.write(batch)
            batch = []
    store.write(batch)
    store.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO price_snapshots (platform, market_id, yes_price, no_price, volume, liquidity, spread, "
        "snapshot_at, capture) VALUES ('polymarket', ?, ?, ?, ?, ?, '0.001', ?, ?)",
        _snapshots(markets, snapshots),
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _market(number: int, snapshots: int) -> list[Observation]:
    event, name = number // SIBLINGS, f"candidate {number}"
    origin: dict[str, Any] = {
        "venue": "polymarket",
        "feed": "markets",
        "seq": number // 100 + 1,
        "platform": "polymarket",
        "market_id": market_id(number),
    }
    end = START + (snapshots + 1) * CYCLE + timedelta(milliseconds=number)
    market = Market(
        **origin,
        run="first",
        received_at=_ns(START - CYCLE),
        slug=f"will-candidate-{number}-win-the-{event}-election",
        event_id=str(30_000 + event),
        group=f"0x{event:064x}",
        neg_risk=True,
        title=f"Will {name} win the election number {event} of 2028?",
        subtitle=name,
        description=RULES,
        category="Politics",
        outcomes=("Yes", "No"),
        start_at=START,
        end_at=end + timedelta(days=1),
        volume_unit="dollars",
        liquidity_unit="dollars",
        status="active",
    )
    won = number % SIBLINGS == event % SIBLINGS
    result = Resolution(
        **origin,
        run="last",
        received_at=_ns(end + timedelta(hours=1)),
        status="resolved",
        payouts=("1", "0") if won else ("0", "1"),
        resolution_source="data-api",
        resolution_state="final",
        resolved_at=end,
    )
    return [observe(market), observe(result)]


def _snapshots(markets: int, snapshots: int) -> Iterator[tuple[Any, ...]]:
    random = Random(7)
    ids = [market_id(number) for number in range(markets)]
    for cycle in range(snapshots):
        at = _ns(START + cycle * CYCLE) // 1000
        for number, name in enumerate(ids):
            yes = random.randrange(10, 990)
            yield (
                name,
                _text(yes),
                _text(1000 - yes),
                _text(random.randrange(10**9)),
                _text(random.randrange(10**8)),
                at + number * 100,
                f"cycle{cycle}/polymarket/markets/{number // 100 + 1}",
            )


def market_id(number: int) -> str:
    return f"0x{number:064x}"


def _text(thousandths: int) -> str:
    """Return the canonical text of a number."""
    return format((Decimal(thousandths) / 1000).normalize(), "f")


def _ns(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000) * 1000
