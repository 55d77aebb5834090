"""SQL that finds copies of one message that several runs received, and the copy that is kept.

Messages of two runs are compared by the rows that the venue's `RowMaker` made of them. A unit is the rows of
one table that one event of a message has about one subject (a token, a market, a symbol), without what
belongs to the recording (receipt, run, connection, line numbers, verdict). The n-th equal unit of one run is
the same message as the n-th of another, so of equal units as many are kept as the run with most has.
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
"""Table -> columns that are the message's own content."""
TABLES = tuple(_CONTENT)
CAUSES = ("books", "book_changes")
"""Tables from whose messages quotes follow: such a quote is kept or removed with its message."""

_UNDATED_S = 2
"""Seconds within which messages without a venue time can be the same."""


def _subject(table: str) -> str:
    if table == "reference_prices":
        return "coalesce(topic || ':' || symbol, symbol, asset, '')"
    return _MARKET


def _is_state(table: str) -> str:
    return "coalesce(route = 'state', false)" if table == "books" else "false"


def _is_polled(feeds: Collection[tuple[str, str]]) -> str:
    """Return the SQL condition that a row is from an answer to a request of its own run."""
    polled = {each for each in feeds if (declared := feed_of(*each)) is not None and declared.is_polled}
    return f"({of_feeds(polled)})"


def _is_own(table: str, feeds: Collection[tuple[str, str]]) -> str:
    """Return the SQL condition that a row was sent to its run alone, so that no other run can miss it.

    Such are a run's stored states, REST snapshots, snapshots that answer a subscription, the first book of a
    connection, and past values.
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
    """Return SQL of the units of a table's `rows` (SQL), each numbered among its equals in its run.

    rows: with a column `recorded_with`, which numbers groups of runs whose messages can be the same; feeds:
    the (venue, feed)s to include.

    Units with equal `subject`, `identity`, `island` and `n` are the same message. `place` is 1 for the copy
    to keep: the first received among those with the best verdict. `moment` is the venue's time, else the
    receipt; `is_own`: only this run could receive it.

    Answers to requests are the same if received within the same second. Messages without a venue time can be
    the same within 2 s, all others within a minute.
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
    """Return SQL of the units of a table that are not kept, since a copy in another run is.

    rows: table -> its relation (SQL); for quotes those of CAUSES too. feeds: the (venue, feed)s to include.
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
    """Return SQL of the quotes that follow from no row of CAUSES; rows: table -> its relation (SQL)."""
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
    """Return SQL of the relation `rows` of a table without the units in the relation `copies_of`."""
    keys = ("venue", "feed", "run", "seq", "index")
    same = " AND ".join(f"copies.{name} = kept.{name}" for name in keys)
    return f"""
        SELECT kept.* FROM {rows} AS kept WHERE NOT EXISTS (
            FROM {copies_of} AS copies WHERE {same}
                AND copies.subject = {_subject(table)} AND copies.is_state = {_is_state(table)})"""
