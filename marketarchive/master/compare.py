"""Differences between two masters: of their rows without surrogate ids, and of their journals.

Journals of the same observations may have different entries if some observations arrived late. So the value
of every field over time is compared, not the entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Table, select

from marketarchive.master.engine import open_master
from marketarchive.master.observation import Key
from marketarchive.master.tables import cycles, market_changes, markets, news_context, price_snapshots
from marketarchive.master.timeline import Timeline

MARKETS_AT_ONCE = 500
BOOKKEEPING = ("id", "recent")

Identity = tuple[str, str]


def compare(url_a: str, url_b: str) -> list[str]:
    """Return one line of text per difference between the masters at two URLs; none when they are equal.

    Raises MasterError.
    """
    a, b = open_master(url_a), open_master(url_b)
    try:
        with a.connect() as left, b.connect() as right:
            return list(_differences(left, right))
    finally:
        a.dispose()
        b.dispose()


def _differences(left: Connection, right: Connection) -> Iterator[str]:
    yield from _compared(_cycles(left), _cycles(right), cycles.name)
    mine, theirs = _identities(left), _identities(right)
    for platform, market_id in sorted(mine ^ theirs):
        yield f"{platform} {market_id}: only in the {'first' if (platform, market_id) in mine else 'second'}"
    common = sorted(mine & theirs)
    for start in range(0, len(common), MARKETS_AT_ONCE):
        some = common[start : start + MARKETS_AT_ONCE]
        for table in (markets, price_snapshots, news_context):
            yield from _compared(_rows(left, table, some), _rows(right, table, some), table.name)
        yield from _compared(_journal(left, some), _journal(right, some), market_changes.name)


def _compared(left: dict[Any, Any], right: dict[Any, Any], what: str) -> Iterator[str]:
    for key in sorted(left.keys() | right.keys(), key=repr):
        if left.get(key) != right.get(key):
            name = " ".join(str(part) for part in key)
            yield f"{what} {name}: {_shown(left.get(key))} != {_shown(right.get(key))}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _cycles(connection: Connection) -> dict[tuple[Any, ...], dict[str, Any]]:
    naming = ("platform", "phase", "started_at")
    return {
        tuple(row[name] for name in naming): {
            name: row[name] for name in row if name not in (*BOOKKEEPING, *naming)
        }
        for row in connection.execute(select(cycles)).mappings()
    }


def _identities(connection: Connection) -> set[Identity]:
    rows = connection.execute(select(markets.c.platform, markets.c.market_id))
    return {(platform, market_id) for platform, market_id in rows}


def _of(connection: Connection, table: Table, identities: list[Identity]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table that are about some markets, in order of writing."""
    for platform in sorted({platform for platform, _ in identities}):
        ids = [market_id for each, market_id in identities if each == platform]
        query = select(table).where(table.c.platform == platform, table.c.market_id.in_(ids))
        for row in connection.execute(query.order_by(table.c.id)).mappings():
            yield dict(row)


def _rows(
    connection: Connection, table: Table, identities: list[Identity]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the rows about the markets `identities`: key of a row (market, time, ...) -> other values."""
    naming = [
        name
        for name in ("platform", "market_id", "snapshot_at", "capture", "captured_at", "headline", "url")
        if name in table.c
    ]
    return {
        tuple(row[name] for name in naming): {
            name: value for name, value in row.items() if name not in (*BOOKKEEPING, *naming)
        }
        for row in _of(connection, table, identities)
    }


def _journal(connection: Connection, identities: list[Identity]) -> dict[tuple[str, ...], list[Any]]:
    """Return the journal of some markets: (platform, market, field) -> [(time, capture, value), ...]."""
    entries: dict[tuple[str, ...], list[tuple[Key, str | None]]] = {}
    for row in _of(connection, market_changes, identities):
        named = (row["platform"], row["market_id"], row["field"])
        entries.setdefault(named, []).append((Key.of(row["observed_at"], row["capture"]), row["new"]))
    found: dict[tuple[str, ...], list[Any]] = {}
    for name, each in entries.items():
        line = Timeline(each)
        steps = zip(line.keys, [None, *line.values], line.values, strict=False)
        if changes := [(key.observed_at, key.capture, new) for key, old, new in steps if old != new]:
            found[name] = changes  # without any: a late observation showed that the value was never in force
    return found
