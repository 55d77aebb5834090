"""Tracked and observed times of each market on a day of an exchange's socket."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

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
from marketarchive.research.tables.extract import table
from marketarchive.research.tables.soundness import SOUND, unsound_spans
from marketarchive.research.tables.subscriptions import SubscriptionSpan, spans, tracked
from marketarchive.venues import feed_of

if TYPE_CHECKING:
    import duckdb

    from marketarchive.research.tables.seconds import Mask


def watched(read: Reading) -> Iterator[Watched]:
    """Yield every market of every run of the day, for a feed whose connection lines name what they subscribe.

    A second is observed if, on an open connection, a sound snapshot of the market (or a price of the symbol)
    was received since its subscription, no unsound state came after the newest sound one, and a message
    about it was received in the 30 s before the second's end. It is quiet if only a message about another
    market came then, on a connection with one sequence number for all.
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
    assets: dict[str, str | None] = {}
    for found_in, name, market, asset, first, seconds in run(
        read.connection,
        f"""SELECT run, connection, market, any_value(asset), min(epoch_us(received_at)),
                   list(DISTINCT {second("received_at", day)})
            FROM {messages} GROUP BY run, connection, market""",
    ):
        key = (found_in, name, market)
        seen[key], arrivals[key], assets[market] = first, seconds, asset
        if declared is not None and declared.is_numbered:
            of_connection[found_in, name] |= day.since(day.at(seconds), STREAM_S)
    rowless = () if declared is None else declared.rowless
    subscribed = [span for span in spans(reported, seen, ends) if span.name not in rowless]
    firsts = _first_bases(read.connection, messages, subscribed)
    books, changes = read.tables["books"], read.tables.get("book_changes")
    unsound = unsound_spans(read.connection, books, changes, "market")
    found: dict[tuple[str, str], list[tuple[SubscriptionSpan, int | None]]] = defaultdict(list)
    for span, first_base in zip(subscribed, firsts, strict=True):
        found[span.run, span.name].append((span, first_base))
    for (found_in, market), of in found.items():
        observed, quiet = day.none(), day.none()
        for span, first_base in of:
            if first_base is None:
                continue
            key = (found_in, span.connection, market)
            mask = day.none()
            day.hold(mask, first_base, span.end)
            for start, end in unsound.get(key, ()):
                mask[day.during(start, end)] = False
            observed |= mask & day.since(day.at(arrivals[key]), STREAM_S)
            quiet |= mask & of_connection[found_in, span.connection]
        yield Watched(
            partition.venue,
            partition.feed,
            found_in,
            market,
            None,
            tracked([span for span, _ in of]),
            observed,
            quiet,
            connections=frozenset(span.connection for span, _ in of),
            asset=assets.get(market),
        )


def _first_bases(
    connection: duckdb.DuckDBPyConnection, messages: str, subscribed: Sequence[SubscriptionSpan]
) -> list[int | None]:
    """Return for each subscription the time (us) of the first sound snapshot within it; None without any."""
    columns: dict[str, list[Any]] = {
        "place": list(range(len(subscribed))),
        **{
            name: [getattr(span, name) for span in subscribed]
            for name in ("run", "connection", "name", "start", "end")
        },
    }
    kinds = dict.fromkeys(("place", "start", "end"), "i8")
    connection.register("subscribed", table(columns, kinds))
    found = run(
        connection,
        f"""SELECT place, min(epoch_us(received_at)) FROM subscribed JOIN {messages} AS messages
            ON subscribed.run = messages.run AND subscribed.connection = messages.connection
                AND subscribed.name = messages.market
                AND epoch_us(received_at) BETWEEN subscribed.start AND subscribed."end"
            WHERE is_book GROUP BY place""",
    )
    connection.unregister("subscribed")
    firsts = dict(found)
    return [firsts.get(place) for place in range(len(subscribed))]


def _messages(read: Reading) -> str:
    """Return an SQL relation of snapshots, deltas and prices received on a socket.

    `is_book` is true for sound snapshots and for prices, which are the whole state of their symbol.
    """
    columns = "run, connection, market, asset, received_at"
    parts = [
        f"""SELECT {columns}, {of == "books"} AND {SOUND} AS is_book
            FROM {schemas.relation(of, read.tables[of])}"""
        for of in ("books", "book_changes")
        if of in read.tables
    ]
    if "reference_prices" in read.tables:
        prices = schemas.relation("reference_prices", read.tables["reference_prices"])
        parts.append(
            f"SELECT run, connection, topic || ':' || symbol, asset, received_at, true FROM {prices}"
        )
    return (
        f"(SELECT * FROM ({' UNION ALL '.join(parts)}) WHERE connection IS NOT NULL AND market IS NOT NULL)"
    )
