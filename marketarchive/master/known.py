"""All markets as they were known at a moment, by a few SQL statements for any number of markets.

`queries.as_of` does this for one market. Here all journal entries up to the moment are streamed, of which the
caller keeps the last of each field; the database finds each market's last price by its index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, select

from marketarchive.master.tables import market_changes, markets, price_snapshots

AT_ONCE = 50_000
"""Rows that are fetched and yielded at a time."""


def known_markets(connection: Connection, moment: int) -> Iterator[Sequence[Any]]:
    """Yield (platform, market_id, created_at, updated_at, volume, liquidity) of markets known at a moment.

    moment: microseconds since the Unix epoch, as are the times. Volume and liquidity are those of
    `updated_at`, which may be later than `moment`.
    """
    table = markets.c
    columns = (table.platform, table.market_id, table.created_at, table.updated_at)
    query = select(*columns, table.volume, table.liquidity).where(table.created_at <= moment)
    yield from connection.execute(query.order_by(table.created_at, table.platform, table.market_id))


def newest_change(connection: Connection) -> int | None:
    """Return the newest receipt that changed any market, in microseconds; None without markets."""
    found: int | None = connection.scalar(select(func.max(markets.c.updated_at)))
    return found


def known_changes(
    connection: Connection, moment: int, fields: Sequence[str]
) -> Iterator[Sequence[Sequence[Any]]]:
    """Yield lists of journal entries: (platform, market_id, field, new, observed_at, capture, id).

    moment: microseconds since the Unix epoch, of the newest entries; fields: names of fields to include. Of
    entries with the same field, time and capture, the one with the greatest id counts.
    """
    table = market_changes.c
    columns = (table.platform, table.market_id, table.field, table.new, table.observed_at, table.capture)
    query = select(*columns, table.id).where(table.observed_at <= moment, table.field.in_(fields))
    rows = connection.execution_options(stream_results=True, yield_per=AT_ONCE).execute(query)
    yield from rows.partitions(AT_ONCE)


def last_prices(connection: Connection, moment: int) -> Iterator[Sequence[Any]]:
    """Yield the newest price snapshot of each market up to a moment (several if of the same microsecond).

    moment: microseconds since the Unix epoch. Columns: platform, market_id, yes_price, no_price, volume,
    liquidity, spread, snapshot_at, capture.
    """
    rows, near = price_snapshots, price_snapshots.alias("near")
    last = (
        select(func.max(near.c.snapshot_at))
        .where(
            near.c.platform == markets.c.platform,
            near.c.market_id == markets.c.market_id,
            near.c.snapshot_at <= moment,
        )
        .scalar_subquery()
    )
    # OFFSET keeps SQLite from joining first, and looking for the last time of every snapshot
    newest = select(markets.c.platform, markets.c.market_id, last.label("at")).offset(0).subquery("newest")
    same = and_(
        rows.c.platform == newest.c.platform,
        rows.c.market_id == newest.c.market_id,
        rows.c.snapshot_at == newest.c.at,
    )
    columns = (column for column in rows.c if column.name != "id")
    query = select(*columns).select_from(newest.join(rows, same))
    yield from connection.execute(query)
