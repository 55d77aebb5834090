"""All markets as they were known at a moment, a few statements for any number of them.

`queries.as_of` asks for one market. Here the newest journal entries up to the moment are streamed, for the
reader to keep the last of each field, and the database finds each market's last price by its index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, select

from marketarchive.master.tables import market_changes, markets, price_snapshots

AT_ONCE = 50_000
"""Rows fetched and handed on at a time."""


def known_markets(connection: Connection, moment: int) -> Iterator[Sequence[Any]]:
    """Yield (platform, market_id, created_at, updated_at, volume, liquidity) of what was known at `moment`.

    moment: microseconds; times likewise. The figures are those of `updated_at`, which may be later.
    """
    table = markets.c
    columns = (table.platform, table.market_id, table.created_at, table.updated_at)
    query = select(*columns, table.volume, table.liquidity).where(table.created_at <= moment)
    yield from connection.execute(query.order_by(table.created_at, table.platform, table.market_id))


def known_changes(
    connection: Connection, moment: int, fields: Sequence[str]
) -> Iterator[Sequence[Sequence[Any]]]:
    """Yield (platform, market_id, field, new, observed_at, capture, id) up to `moment`, many at a time.

    Of entries with the same time and capture the one with the greatest id holds.
    """
    table = market_changes.c
    columns = (table.platform, table.market_id, table.field, table.new, table.observed_at, table.capture)
    query = select(*columns, table.id).where(table.observed_at <= moment, table.field.in_(fields))
    rows = connection.execution_options(stream_results=True, yield_per=AT_ONCE).execute(query)
    yield from rows.partitions(AT_ONCE)


def last_prices(connection: Connection, moment: int) -> Iterator[Sequence[Any]]:
    """Yield each market's price snapshots of the last time up to `moment`.

    Columns: platform, market_id, yes_price, no_price, volume, liquidity, spread, snapshot_at, capture.
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
