"""Rows of one message that several recorders received: SQL that tells which of its copies stands for it.

What makes a message of two recorders the same is what its venue's `RowMaker` made of it: a unit is the rows
of one table that one event of a message has of one subject (a token, a market, a symbol), without what
belongs to the recording (receipt, run, connection, numbers of lines, verdict). The larger count per identity
holds: the n-th copy of one recording is the same message as the n-th copy of another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from marketarchive.research.engine import of_feeds
from marketarchive.research.tables.partitions import tables_of
from marketarchive.research.tables.simultaneous import WITHIN_NS
from marketarchive.times import SECOND
from marketarchive.venues import feed_of

_MARKET = "coalesce(token, market, asset, '')"
_CONTENT: Mapping[str, str] = {
    "books": 'event_time, "hash", bids, asks',
    "book_changes": 'event_time, side, price, size, "hash"',
    "trades": "trade_id, transaction_hash, wallet, side, price, size, event_time",
    "quotes": "source, event_time, best_bid, best_ask",
    "reference_prices": "instrument, event_time, value, bid, ask, window_s",
}
"""Table -> columns of a row that are the message's own."""
TABLES = tuple(_CONTENT)
CAUSES = ("books", "book_changes")
"""Tables whose messages quotes follow from: such a quote goes with its message."""

_UNDATED_S = 2
"""Seconds within which messages that the venue does not date can be the same."""


def _subject(table: str) -> str:
    if table == "reference_prices":
        return "coalesce(topic || ':' || symbol, symbol, asset, '')"
    return _MARKET


def _is_state(table: str) -> str:
    return "coalesce(route = 'state', false)" if table == "books" else "false"


def _is_polled(feeds: Collection[tuple[str, str]]) -> str:
    """Return the SQL condition that a row is of an answer to a request of its recorder alone."""
    polled = {each for each in feeds if (declared := feed_of(*each)) is not None and declared.is_polled}
    return f"({of_feeds(polled)})"


def _is_own(table: str, feeds: Collection[tuple[str, str]]) -> str:
    """Return the SQL condition that a row was sent to its recorder alone, so that nobody else can miss it.

    A state of its own, a REST snapshot, a snapshot that answers a subscription, the first book of a
    connection, past values.
    """
    if table == "reference_prices":
        return "coalesce(is_backfill, false)"
    if table == "trades":
        return "coalesce(source = 'backfill', false)"
    if table != "books":
        return "false"
    with_deltas = {each for each in feeds if "book_changes" in tables_of(*each)}
    return f"""(coalesce(route = 'state', false) OR (connection IS NULL AND NOT {_is_polled(feeds)})
        OR coalesce(route = 'snapshot' AND {of_feeds(with_deltas)}, false)
        OR (connection IS NOT NULL AND row_number() OVER (
            PARTITION BY venue, feed, run, connection, {_MARKET} ORDER BY seq, index) = 1))"""


def units(table: str, rows: str, feeds: Collection[tuple[str, str]]) -> str:
    """Return SQL of the units of a table's `rows` of `feeds`, each numbered among its equals in its run.

    `recorded_with` of a row: a number of the runs whose messages can be the same.

    Equal `subject`, `identity`, `island`, `n` mean: the same message. `place` is 1 for the copy that stands
    for it: of those with the best verdict the first one received. `moment` is the venue's time, else of
    receipt; `is_own`: only its recorder could receive it.

    An answer that was requested is the same where it came within the same second. What the venue does not
    date can be the same for 2 s, all else for a minute.
    """
    near = f"CASE WHEN is_undated THEN {_UNDATED_S} ELSE {WITHIN_NS // SECOND} END"
    equal = "PARTITION BY venue, feed, recorded_with, subject, is_state, identity"
    order = "received_at, run, seq, index"
    return f"""
        SELECT *, row_number() OVER ({equal}, island, n ORDER BY bad, {order}) AS place FROM (
            SELECT *, row_number() OVER ({equal}, island, run ORDER BY {order}) AS n FROM (
                SELECT *, CASE WHEN is_polled THEN epoch_us(received_at) // 1000000
                               ELSE sum(is_apart::INTEGER) OVER ({equal} ORDER BY {order}
                                        ROWS UNBOUNDED PRECEDING) END::BIGINT AS island
                FROM (
                    SELECT *, coalesce(received_at - lag(received_at) OVER ({equal} ORDER BY {order})
                                       > to_seconds({near}), true) AS is_apart
                    FROM (
                        SELECT venue, feed, run, seq, index, subject, is_state, recorded_with,
                               min(received_at) AS received_at, max(bad) AS bad, bool_or(is_own) AS is_own,
                               min(coalesce(event_time, received_at)) AS moment,
                               bool_or(event_time IS NULL) AS is_undated, bool_or(is_polled) AS is_polled,
                               hash(list(content ORDER BY position, content)) AS identity
                        FROM (
                            SELECT venue, feed, run, seq, index, received_at, event_time, recorded_with,
                                   {"0" if table == "reference_prices" else "position"} AS position,
                                   {_subject(table)} AS subject, {_is_state(table)} AS is_state,
                                   {_is_own(table, feeds)} AS is_own,
                                   {_is_polled(feeds)} OR connection IS NULL AS is_polled,
                                   CASE verified WHEN 'failed' THEN 2 WHEN 'unchecked' THEN 1 ELSE 0 END
                                       AS bad,
                                   hash({_CONTENT[table]}) AS content
                            FROM {rows} WHERE {of_feeds(feeds)})
                        GROUP BY venue, feed, run, seq, index, subject, is_state, recorded_with))))"""


_KEY = "venue, feed, run, seq, index, subject"


def copies(table: str, rows: Mapping[str, str], feeds: Collection[tuple[str, str]]) -> str:
    """Return SQL of the units of a table for which a copy of another recording stands.

    rows: relation of the table, and of those in CAUSES where it is quotes.
    """
    alone = f"SELECT {_KEY}, is_state FROM ({units(table, _alone(table, rows), feeds)}) WHERE place > 1"
    caused = [
        f"SELECT {_KEY}, is_state FROM ({units(each, rows[each], feeds)}) WHERE place > 1 AND NOT is_state"
        for each in CAUSES
        if table == "quotes"
    ]
    return " UNION ALL ".join([*caused, alone])


def _alone(table: str, rows: Mapping[str, str]) -> str:
    return f"({quotes_alone(rows)})" if table == "quotes" else rows[table]


def quotes_alone(rows: Mapping[str, str]) -> str:
    """Return SQL of the quotes that follow from no row of CAUSES, as far as `rows` has these tables."""
    keys = ("venue", "feed", "run", "seq", "index")
    same = " AND ".join(f"cause.{name} = quoted.{name}" for name in keys)
    missing = [
        f"""NOT EXISTS (FROM {rows[each]} AS cause WHERE {same} AND NOT {_is_state(each)} AND
            coalesce(cause.token, cause.market, cause.asset, '')
                = coalesce(quoted.token, quoted.market, quoted.asset, ''))"""
        for each in CAUSES
        if each in rows
    ]
    return f"SELECT quoted.* FROM {rows['quotes']} AS quoted WHERE {' AND '.join(missing) or 'true'}"


def without(table: str, rows: str, copies_of: str) -> str:
    """Return SQL of the `rows` of a table without those in the relation `copies_of` it."""
    keys = ("venue", "feed", "run", "seq", "index")
    same = " AND ".join(f"copies.{name} = kept.{name}" for name in keys)
    return f"""
        SELECT kept.* FROM {rows} AS kept WHERE NOT EXISTS (
            FROM {copies_of} AS copies WHERE {same}
                AND copies.subject = {_subject(table)} AND copies.is_state = {_is_state(table)})"""
