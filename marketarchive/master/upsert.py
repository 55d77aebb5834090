"""Writing observations into the master: of any number of markets in one transaction, repeatable.

A batch needs a handful of SQL statements, whatever its size: read its markets, merge in Python
(`in_order.InOrderState`, with late observations `market.MarketState`), write the changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    type_coerce,
    update,
)

from marketarchive.master.bulk import execute_many
from marketarchive.master.fields import FIELDS, PRICES, Kind, from_column, to_column
from marketarchive.master.headlines import write_headlines
from marketarchive.master.in_order import InOrderState, is_in_order
from marketarchive.master.market import MarketState, MergeState, is_late, recent_of, recent_text
from marketarchive.master.observation import (
    HeadlineObservation,
    Key,
    MarketObservation,
    Observation,
    Prices,
)
from marketarchive.master.queries import by_platform
from marketarchive.master.tables import Exact, market_changes, markets, price_snapshots
from marketarchive.master.timeline import Keep

Identity = tuple[str, str]  # platform, market_id
Row = dict[str, Any]
KINDS: Mapping[str, Kind] = FIELDS
NEW_COLUMNS = (*FIELDS, "resolution", "content_hash", "created_at", "updated_at", "recent")
CHANGE_COLUMNS = ("platform", "market_id", "field", "old", "new", "observed_at", "capture")
PRICE_COLUMNS = ("platform", "market_id", "snapshot_at", "capture", *PRICES)
CHUNK = 1000  # observations merged at a time: bounds memory and the parameters of a statement


@dataclass
class Written:
    """Result of writing observations into the master."""

    rows: int = 0  # observations merged
    changes: int = 0  # journal entries written
    unplaced: list[HeadlineObservation] = field(default_factory=list)  # whose market the master does not have

    def __iadd__(self, other: Written) -> Self:
        self.rows += other.rows
        self.changes += other.changes
        self.unplaced += other.unplaced
        return self


def upsert(connection: Connection, observations: Sequence[Observation], keep: Keep = "changes") -> Written:
    """Merge observations into the master, in any order; some may have been merged before.

    connection: with a transaction from `engine.writing`; keep: which price snapshots to keep.
    """
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
    recent = {identity: recent_of(rows.get(identity)) for identity in wanted}
    late = {identity for identity, each in wanted.items() if is_late(recent[identity], each[0].key)}
    journal = _journal(connection, late)
    priced = [observation for observation in observations if observation.prices is not None]
    prices = _prices(connection, priced)

    states: dict[Identity, MergeState] = {}
    for identity, each in wanted.items():
        known = (*identity, rows.get(identity), recent[identity])
        state: MergeState
        if is_in_order(recent[identity], each):
            state = InOrderState(*known, prices.get(identity, {}), keep)
        else:
            entries = journal.get(identity, []) if identity in late else None
            state = MarketState(*known, entries, prices.get(identity, {}), keep)
        for observation in each:
            state.merge(observation)
        state.settle()
        states[identity] = state

    _store_rows(connection, rows, states)
    _store_prices(connection, prices, states)
    changes = [
        (state.platform, state.market_id, name, old, new, key.observed_at, key.capture)
        for state in states.values()
        for name, key, old, new in state.changes
    ]
    execute_many(connection, "insert changes", insert(market_changes).inline(), CHANGE_COLUMNS, changes)
    return Written(len(observations), len(changes))


def _rows(connection: Connection, identities: Iterable[Identity]) -> dict[Identity, Row]:
    """Return identity -> row of `markets` in the driver's own types: decimals are text on SQLite."""
    found: dict[Identity, Row] = {}
    columns = _plain(connection, markets.c)
    names = [column.name for column in markets.c]
    for platform, ids in by_platform(identities):
        query = select(*columns).where(markets.c.platform == platform, markets.c.market_id.in_(ids))
        for row in connection.execute(query):
            values = dict(zip(names, row, strict=True))
            found[platform, values["market_id"]] = values
    return found


def _plain(connection: Connection, columns: Iterable[Column[Any]]) -> list[ColumnElement[Any]]:
    """Return columns to select in the driver's own types: on SQLite decimals stay canonical texts."""
    if connection.dialect.name != "sqlite":
        return list(columns)
    return [type_coerce(column, Text) if isinstance(column.type, Exact) else column for column in columns]


def _journal(
    connection: Connection, identities: Iterable[Identity]
) -> dict[Identity, list[tuple[str, Key, str | None]]]:
    found: dict[Identity, list[tuple[str, Key, str | None]]] = {}
    table = market_changes.c
    for platform, ids in by_platform(identities):
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
    """Return the stored price snapshots around those of a batch, by market and key.

    They are all between its first and last moment, the last one before, and the first one after.
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
    wanted = [rows.c[name] for name in ("market_id", "snapshot_at", "capture", *PRICES)]
    for platform, ids in by_platform((each.platform, each.market_id) for each in observations):
        query = (
            select(*_plain(connection, wanted))
            .select_from(markets.join(rows, same))
            .where(
                markets.c.platform == platform,
                markets.c.market_id.in_(ids),
                rows.c.snapshot_at >= around(near.c.snapshot_at < first, func.max, first),
                rows.c.snapshot_at <= around(near.c.snapshot_at > last, func.min, last),
            )
        )
        for market_id, snapshot_at, capture, *values in connection.execute(query):
            texts = tuple(from_column("decimal", value) for value in values)
            found.setdefault((platform, market_id), {})[Key.of(snapshot_at, capture)] = texts
    return found


def _store_rows(
    connection: Connection, before: Mapping[Identity, Row], states: Mapping[Identity, MergeState]
) -> None:
    """Insert new markets, and update the columns of known ones that differ.

    before: stored rows; states: after merging. Markets with the same set of changed columns are updated
    together.
    """
    new: list[tuple[Any, ...]] = []
    changed: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    bound = _bound(connection)
    for identity, state in states.items():
        old, texts = before.get(identity), state.changed()
        values = {
            "created_at": state.created_at,
            "updated_at": state.updated_at,
            "recent": recent_text(state.recent),
        }
        if old is None:
            values |= {name: bound(KINDS.get(name, "text"), text) for name, text in texts.items()}
            new.append((*identity, *map(values.get, NEW_COLUMNS)))
            continue
        for name, text in texts.items():
            kind = KINDS.get(name, "text")
            if from_column(kind, old[name]) != text:
                values[name] = bound(kind, text)
        values = {name: value for name, value in values.items() if name in texts or old[name] != value}
        if values:
            changed.setdefault(tuple(sorted(values)), []).append(
                (*map(values.__getitem__, sorted(values)), old["id"])
            )
    execute_many(
        connection, "insert markets", insert(markets).inline(), ("platform", "market_id", *NEW_COLUMNS), new
    )
    of_row = update(markets).where(markets.c.id == bindparam("row_id")).inline()
    for names, rows in changed.items():
        execute_many(connection, "update markets", of_row, (*names, "row_id"), rows)


def _bound(connection: Connection) -> Callable[[Kind, str | None], Any]:
    """Return the function (kind, canonical text) -> value in the driver's own type."""
    if connection.dialect.name != "sqlite":
        return to_column
    return lambda kind, text: text if kind == "decimal" else to_column(kind, text)


def _store_prices(
    connection: Connection,
    before: Mapping[Identity, Mapping[Key, Prices]],
    states: Mapping[Identity, MergeState],
) -> None:
    gone: list[tuple[Any, ...]] = []
    new: list[tuple[Any, ...]] = []
    bound = _bound(connection)
    for identity, state in states.items():
        old, rows = before.get(identity, {}), state.prices.rows
        gone += [
            (*identity, key.observed_at, key.capture)
            for key, prices in old.items()
            if rows.get(key) != prices
        ]
        new += [
            (*identity, key.observed_at, key.capture, *(bound("decimal", text) for text in row))
            for key, row in rows.items()
            if old.get(key) != row
        ]
    table = price_snapshots.c
    here = (
        table.platform == bindparam("of_platform"),
        table.market_id == bindparam("of_market"),
        table.snapshot_at == bindparam("at"),
        table.capture == bindparam("by"),
    )
    names = ("of_platform", "of_market", "at", "by")
    execute_many(connection, "delete prices", delete(price_snapshots).where(*here), names, gone)
    execute_many(connection, "insert prices", insert(price_snapshots).inline(), PRICE_COLUMNS, new)
