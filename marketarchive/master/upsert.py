"""Writing observations into the master: any number of markets in one transaction, as often as one likes.

A batch costs a handful of statements, whatever its size: read the markets it names, merge in Python
(`market.MarketState`), write what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, update

from marketarchive.master.fields import PRICES, from_column, to_column
from marketarchive.master.headlines import write_headlines
from marketarchive.master.market import MarketState, is_late
from marketarchive.master.observation import (
    HeadlineObservation,
    Key,
    MarketObservation,
    Observation,
    Prices,
)
from marketarchive.master.tables import market_changes, markets, price_snapshots
from marketarchive.master.timeline import Keep

Identity = tuple[str, str]  # platform, market_id
Row = dict[str, Any]
CHUNK = 1000  # observations merged at a time: bounds memory and the parameters of a statement


@dataclass
class Written:
    """Result of a write: observations merged and journal entries."""

    rows: int = 0
    changes: int = 0
    unplaced: list[HeadlineObservation] = field(default_factory=list)  # of markets that are not there

    def __iadd__(self, other: Written) -> Self:
        self.rows += other.rows
        self.changes += other.changes
        self.unplaced += other.unplaced
        return self


def upsert(connection: Connection, observations: Sequence[Observation], keep: Keep = "changes") -> Written:
    """Merge observations, in any order, new or known, in a transaction that holds the write lock."""
    written = Written()
    of_markets = [each for each in observations if isinstance(each, MarketObservation)]
    for start in range(0, len(of_markets), CHUNK):
        written += _merge(connection, of_markets[start : start + CHUNK], keep)
    headlines = [each for each in observations if isinstance(each, HeadlineObservation)]
    if headlines:  # after the markets that they speak of
        placed = write_headlines(connection, headlines)
        written += Written(placed.rows, unplaced=placed.unplaced)
    return written


def _merge(connection: Connection, observations: Sequence[MarketObservation], keep: Keep) -> Written:
    wanted: dict[Identity, list[MarketObservation]] = {}
    for observation in sorted(observations, key=lambda each: each.key):
        wanted.setdefault((observation.platform, observation.market_id), []).append(observation)
    rows = _rows(connection, wanted)
    late = {identity for identity, each in wanted.items() if is_late(rows.get(identity), each[0].key)}
    journal = _journal(connection, late)
    priced = [observation for observation in observations if observation.prices is not None]
    prices = _prices(connection, priced)

    states: dict[Identity, MarketState] = {}
    for identity, each in wanted.items():
        entries = journal.get(identity, []) if identity in late else None
        state = MarketState(*identity, rows.get(identity), entries, prices.get(identity, {}), keep)
        for observation in each:
            state.merge(observation)
        state.settle()
        states[identity] = state

    _store_rows(connection, rows, states)
    _store_prices(connection, prices, states)
    changes = [
        {
            "platform": state.platform,
            "market_id": state.market_id,
            "field": change.field,
            "old": change.step.old,
            "new": change.step.new,
            "observed_at": change.step.key.observed_at,
            "capture": change.step.key.capture,
        }
        for state in states.values()
        for change in state.changes
    ]
    if changes:
        connection.execute(insert(market_changes), changes)
    return Written(len(observations), len(changes))


def _by_platform(identities: Iterable[Identity]) -> Iterator[tuple[str, list[str]]]:
    """Yield each platform with its market ids.

    `platform = ? AND market_id IN (...)` uses the index on every database.
    """
    platforms: dict[str, list[str]] = {}
    for platform, market_id in dict.fromkeys(identities):
        platforms.setdefault(platform, []).append(market_id)
    yield from platforms.items()


def _rows(connection: Connection, identities: Iterable[Identity]) -> dict[Identity, Row]:
    found: dict[Identity, Row] = {}
    for platform, ids in _by_platform(identities):
        query = select(markets).where(markets.c.platform == platform, markets.c.market_id.in_(ids))
        for row in connection.execute(query).mappings():
            found[platform, row["market_id"]] = dict(row)
    return found


def _journal(
    connection: Connection, identities: Iterable[Identity]
) -> dict[Identity, list[tuple[str, Key, str | None]]]:
    found: dict[Identity, list[tuple[str, Key, str | None]]] = {}
    table = market_changes.c
    for platform, ids in _by_platform(identities):
        query = (
            select(table.market_id, table.field, table.observed_at, table.capture, table.new)
            .where(table.platform == platform, table.market_id.in_(ids))
            .order_by(table.id)
        )
        for market_id, name, observed_at, capture, new in connection.execute(query):
            found.setdefault((platform, market_id), []).append((name, Key.of(observed_at, capture), new))
    return found


def _prices(
    connection: Connection, observations: Sequence[MarketObservation]
) -> dict[Identity, dict[Key, Prices]]:
    """Return the rows around the snapshots of a batch.

    They are those between them, the last before and the first after.
    """
    found: dict[Identity, dict[Key, Prices]] = {}
    if not observations:
        return found
    first = min(observation.key.observed_at for observation in observations)
    last = max(observation.key.observed_at for observation in observations)
    rows, near = price_snapshots, price_snapshots.alias("near")

    def around(bound: Any, newest: Any, otherwise: int) -> Any:
        same = and_(near.c.platform == markets.c.platform, near.c.market_id == markets.c.market_id)
        found = select(newest(near.c.snapshot_at)).where(same, bound).correlate(markets).scalar_subquery()
        return func.coalesce(found, otherwise)

    same = and_(rows.c.platform == markets.c.platform, rows.c.market_id == markets.c.market_id)
    for platform, ids in _by_platform((each.platform, each.market_id) for each in observations):
        query = (
            select(rows)
            .select_from(markets.join(rows, same))
            .where(
                markets.c.platform == platform,
                markets.c.market_id.in_(ids),
                rows.c.snapshot_at >= around(near.c.snapshot_at < first, func.max, first),
                rows.c.snapshot_at <= around(near.c.snapshot_at > last, func.min, last),
            )
        )
        for row in connection.execute(query).mappings():
            key = Key.of(row["snapshot_at"], row["capture"])
            texts = tuple(from_column("decimal", row[name]) for name in PRICES)
            found.setdefault((platform, row["market_id"]), {})[key] = texts
    return found


def _store_rows(
    connection: Connection, before: Mapping[Identity, Row], states: Mapping[Identity, MarketState]
) -> None:
    new, changed = [], []
    for identity, state in states.items():
        row, old = state.row(), before.get(identity)
        if old is None:
            new.append(row)
        elif any(old[name] != value for name, value in row.items()):
            changed.append({**row, "row_id": old["id"]})
    if new:
        connection.execute(insert(markets), new)
    if changed:
        connection.execute(update(markets).where(markets.c.id == bindparam("row_id")), changed)


def _store_prices(
    connection: Connection,
    before: Mapping[Identity, Mapping[Key, Prices]],
    states: Mapping[Identity, MarketState],
) -> None:
    gone, new = [], []
    for identity, state in states.items():
        old = before.get(identity, {})
        gone += [(identity, key) for key, prices in old.items() if state.prices.rows.get(key) != prices]
        new += [(identity, key, row) for key, row in state.prices.rows.items() if old.get(key) != row]
    if gone:
        table = price_snapshots.c
        here = (
            table.platform == bindparam("of_platform"),
            table.market_id == bindparam("of_market"),
            table.snapshot_at == bindparam("at"),
            table.capture == bindparam("by"),
        )
        connection.execute(
            delete(price_snapshots).where(*here),
            [
                {"of_platform": platform, "of_market": market, "at": key.observed_at, "by": key.capture}
                for (platform, market), key in gone
            ],
        )
    if new:
        connection.execute(
            insert(price_snapshots),
            [
                {
                    "platform": platform,
                    "market_id": market,
                    "snapshot_at": key.observed_at,
                    "capture": key.capture,
                    **{name: to_column("decimal", text) for name, text in zip(PRICES, row, strict=True)},
                }
                for (platform, market), key, row in new
            ],
        )
