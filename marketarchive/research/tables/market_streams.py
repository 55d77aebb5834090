"""Tracked and observed times of each market on a day of an exchange's socket."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from marketarchive.research.engine import run
from marketarchive.research.tables import schemas
from marketarchive.research.tables.coverage_inputs import (
    STREAM_S,
    Reading,
    Watched,
    connection_lines,
    of_venue,
    second,
)
from marketarchive.research.tables.subscriptions import SubscriptionSpan, spans, tracked
from marketarchive.venues import feed_of

if TYPE_CHECKING:
    from marketarchive.research.tables.seconds import Mask


def watched(read: Reading) -> Iterator[Watched]:
    """Yield every market of every run of the day, for a feed whose connection lines name what they subscribe.

    A second is observed if, on an open connection, a snapshot of the market (or a price of the symbol) was
    received since its subscription, and a message about it in the 30 s before the second's end. It is quiet
    if only a message about another market came then, on a connection with one sequence number for all.
    """
    partition = read.partition
    if not read.paths or partition.is_polled or "books" not in read.tables or of_venue(partition) is not None:
        return
    reported, ends = connection_lines(read)
    if not any(line.names for line in reported):
        return
    day, messages = read.day, _messages(read)
    declared = feed_of(partition.venue, partition.feed)
    of_connection: dict[tuple[str, str], Mask] = defaultdict(day.none)
    seen: dict[tuple[str, str, str], int] = {}
    arrivals: dict[tuple[str, str, str], list[int]] = {}
    bases: dict[tuple[str, str, str], list[int]] = {}
    assets: dict[str, str | None] = {}
    for found_in, name, market, asset, first, seconds, books in run(
        read.connection,
        f"""SELECT run, connection, market, any_value(asset), min(epoch_us(received_at)),
                   list(DISTINCT {second("received_at", day)}),
                   list(epoch_us(received_at) ORDER BY received_at) FILTER (is_book)
            FROM {messages} GROUP BY run, connection, market""",
    ):
        key = (found_in, name, market)
        seen[key], arrivals[key], bases[key], assets[market] = first, seconds, books or [], asset
        if declared is not None and declared.is_numbered:
            of_connection[found_in, name] |= day.since(day.at(seconds), STREAM_S)
    found: dict[tuple[str, str], list[SubscriptionSpan]] = defaultdict(list)
    rowless = () if declared is None else declared.rowless
    for span in spans(reported, seen, ends):
        if span.name in rowless:
            continue
        found[span.run, span.name].append(span)
    for (found_in, market), of in found.items():
        observed, quiet = day.none(), day.none()
        for span in of:
            key = (found_in, span.connection, market)
            books = bases.get(key, [])
            place = bisect_left(books, span.start)
            if place == len(books) or books[place] > span.end:
                continue
            mask = day.none()
            day.hold(mask, books[place], span.end)
            observed |= mask & day.since(day.at(arrivals[key]), STREAM_S)
            quiet |= mask & of_connection[found_in, span.connection]
        yield Watched(
            partition.venue,
            partition.feed,
            found_in,
            market,
            None,
            tracked(of),
            observed,
            quiet,
            connections=frozenset(span.connection for span in of),
            asset=assets.get(market),
        )


def _messages(read: Reading) -> str:
    """Return an SQL relation of snapshots, deltas and prices received on a socket.

    `is_book` is true for snapshots and for prices, which are the whole state of their symbol.
    """
    columns = "run, connection, market, asset, received_at"
    parts = [
        f"SELECT {columns}, {table == 'books'} AS is_book FROM {schemas.relation(table, read.tables[table])}"
        for table in ("books", "book_changes")
        if table in read.tables
    ]
    if "reference_prices" in read.tables:
        prices = schemas.relation("reference_prices", read.tables["reference_prices"])
        parts.append(
            f"SELECT run, connection, topic || ':' || symbol, asset, received_at, true FROM {prices}"
        )
    return (
        f"(SELECT * FROM ({' UNION ALL '.join(parts)}) WHERE connection IS NOT NULL AND market IS NOT NULL)"
    )
