"""States of the seconds of a round in which a stream has no data of its own.

quiet     (in the dataset) an answer of the venue proved that the books had not changed
silent    nothing came on an open connection, and the messages before and after on it are consecutive
recorded  a gap that concerns the stream touches it
untracked no run was to observe it
unknown   none of these: data may be missing
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from marketarchive.archive.ledger import SEGMENT_KINDS, Ledger
from marketarchive.research.engine import run, stored
from marketarchive.research.labels.label import Label
from marketarchive.research.products.updown.labels.boundary_prices import INSTRUMENT
from marketarchive.research.products.updown.validation.sessions import as_table, sessions
from marketarchive.research.tables import schemas
from marketarchive.research.tables.partitions import files
from marketarchive.research.tables.soundness import CROSSED
from marketarchive.research.views import literal
from marketarchive.times import SECOND

if TYPE_CHECKING:
    import duckdb

STREAMS = ("cl", "pm")
SILENT_S = 30
"""Seconds of silence after which a stream requests the book: longer silence is proven or a gap."""

_AROUND = 3_600 * SECOND  # ns before and after the rounds: messages there show what lies between


def register_sessions(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Register the relation `sessions`: for each run and feed the spans recorded without a lost segment.

    Raises duckdb.Error.
    """
    connection.register("sessions", as_table(sessions(Ledger(root).of_kind(*SEGMENT_KINDS, "label"))))


def register(connection: duckdb.DuckDBPyConnection, root: Path, labels: Sequence[Label]) -> None:
    """Create the tables `observed` and `bare` for the rounds of `labels`.

    `observed` has the dataset's seconds before the end of each round; `bare` (market_no, stream, t, state)
    the seconds without an observation of a stream, and their state.

    Needs the relations `rounds`, `tokens`, `market_gaps`, `dataset`, `seconds` of `labels`, and `sessions`.
    Raises duckdb.Error.
    """
    first = min(each.start_ns for each in labels) - _AROUND
    last = max(each.end_ns for each in labels) + _AROUND
    _messages(connection, root, first, last)
    _tracked(connection, root, first, last)
    run(
        connection,
        """CREATE OR REPLACE TEMP TABLE observed AS
           SELECT market_no, t, cl_ffill, pm_ffill, pm_quiet FROM dataset WHERE t < duration""",
    )
    run(
        connection,
        f"""CREATE OR REPLACE TEMP TABLE unproven AS
        WITH missing AS (
            SELECT seconds.*, unnest({list(STREAMS)}) AS stream,
                   unnest([coalesce(cl_ffill, 1), coalesce(pm_ffill, 1)]) <> 0 AS is_bare
            FROM seconds LEFT JOIN observed
                ON observed.market_no = seconds.market_no AND observed.t = seconds.t
        ), bare AS (SELECT * FROM missing WHERE is_bare)
        SELECT market_no, stream, t, sec,
               CASE WHEN EXISTS (FROM market_gaps WHERE market_gaps.market_no = bare.market_no
                                 AND market_gaps.stream = bare.stream
                                 AND bare.sec >= market_gaps.from_us // 1000000
                                 AND bare.sec <= (market_gaps.to_us + 999999) // 1000000) THEN 'recorded'
                    WHEN NOT EXISTS (FROM tracked WHERE tracked.market_no = bare.market_no
                                     AND tracked.stream = bare.stream
                                     AND bare.sec * 1000000 BETWEEN tracked.from_us AND tracked.to_us)
                    THEN 'untracked' ELSE 'unknown' END AS state
        FROM bare""",
    )
    _islands(connection)
    run(
        connection,
        f"""CREATE OR REPLACE TEMP TABLE bare AS
        SELECT market_no, stream, t,
               CASE WHEN state = 'unknown' AND stream = 'pm'
                        AND EXISTS ({_silent("up")}) AND EXISTS ({_silent("down")})
                    THEN 'silent' ELSE state END AS state
        FROM unproven AS bare""",
    )


def _silent(side: str) -> str:
    return f"""FROM islands JOIN rounds ON islands.number = rounds.{side}
               WHERE rounds.market_no = bare.market_no
               AND bare.sec * 1000000 BETWEEN islands.from_us AND islands.to_us"""


_SESSION = """(sessions.run, sessions.venue, sessions.feed) = (received.run, received.venue, received.feed)
    AND epoch_us(received_at) BETWEEN first_us AND last_us"""


def _messages(connection: duckdb.DuckDBPyConnection, root: Path, first: int, last: int) -> None:
    """Create the relations `messages` and `connections` from what was received in a time range.

    first, last: receipt in ns, the second not included. `messages` is a view of the snapshots and deltas of
    the rounds' tokens, without stale ones: a view, as a day has too many to keep. `connections` has the times
    of the first and newest message of each token on each connection (from_us, newest_us).
    """
    parts = []
    times = f"received_at >= {literal(first)} AND received_at < {literal(last)}"
    for name, is_change, where in (
        ("books", "false", "route <> 'state'"),
        ("book_changes", "true", "is_stale IS NOT TRUE"),
    ):
        if paths := files(root, name, first, last):
            parts.append(
                f"""SELECT venue, feed, run, connection, seq, index, position, token, event_time,
                           received_at, verified = 'ok' AND NOT {CROSSED} AS is_sound,
                           {is_change} AS is_change
                    FROM {schemas.relation(name, stored(*paths, hive=True))} WHERE {where} AND {times}"""
            )
    empty = """SELECT '' AS venue, '' AS feed, '' AS run, '' AS connection, 0 AS seq, 0 AS index,
        0 AS position, '' AS token, NULL::TIMESTAMPTZ AS event_time, NULL::TIMESTAMPTZ AS received_at,
        false AS is_sound, false AS is_change WHERE false"""
    run(
        connection,
        f"""CREATE OR REPLACE TEMP VIEW messages AS
            SELECT session, last_us AS end_us, connection, seq, index, position, is_sound, is_change,
                   tokens.number, tokens.slug, epoch_us(coalesce(event_time, received_at)) AS event_us,
                   epoch_us(received_at) AS received_us
            FROM ({" UNION ALL ".join(parts) or empty}) AS received
            JOIN tokens ON tokens.token = received.token
            JOIN sessions ON {_SESSION}""",
    )
    run(
        connection,
        """CREATE OR REPLACE TEMP TABLE connections AS
           SELECT session, end_us, connection, number, slug,
                  min(received_us) AS from_us, max(received_us) AS newest_us
           FROM messages GROUP BY ALL""",
    )


def _tracked(connection: duckdb.DuckDBPyConnection, root: Path, first: int, last: int) -> None:
    """Create the table `tracked`: spans from a session's first data of a round's stream to the session's end.

    Prices arrive late: the span of prices ends earlier by the delay of the last one.
    """
    paths = files(root, "reference_prices", first, last)
    columns = set(connection.sql(f"SELECT * FROM {stored(*paths)} LIMIT 0").columns) if paths else set()
    instrument = f"coalesce(instrument, {INSTRUMENT})" if "instrument" in columns else INSTRUMENT
    prices = (
        f"""UNION ALL
            SELECT market_no, 'cl', from_us, last_us - delay_us
            FROM (SELECT {instrument} AS instrument, session, last_us, min(epoch_us(event_time)) AS from_us,
                         arg_max(epoch_us(received_at) - epoch_us(event_time), epoch_us(received_at))
                             AS delay_us
                  FROM {stored(*paths, hive=True)} AS received JOIN sessions ON {_SESSION}
                  WHERE event_time IS NOT NULL GROUP BY ALL)
            JOIN rounds ON rounds.spot = instrument"""
        if paths
        else ""
    )
    run(
        connection,
        f"""CREATE OR REPLACE TEMP TABLE tracked AS
            SELECT market_no, 'pm' AS stream, from_us, end_us AS to_us
            FROM (SELECT session, end_us, slug, min(from_us) AS from_us FROM connections GROUP BY ALL)
            JOIN rounds ON rounds.market_id = slug
            {prices}""",
    )


def _islands(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table `islands`: spans in which everything that a connection sent of a token was received.

    Only tokens are included whose round has a second of books in `unproven` with state unknown. A delta whose
    hash matches proves that no delta before it is missing. A snapshot proves nothing, nor does the
    connection's end: there silence counts up to SILENT_S, after which the stream itself records a gap.
    """
    run(
        connection,
        f"""CREATE OR REPLACE TEMP TABLE islands AS
        WITH ordered AS (
            SELECT number, session, connection, seq, index, position, event_us,
                   coalesce(is_sound AND lag(is_sound) OVER w
                       AND (is_change OR event_us - lag(event_us) OVER w <= {SILENT_S} * 1000000), false)
                       AS is_linked, is_sound
            FROM messages WHERE connection IS NOT NULL AND is_sound IS NOT NULL AND number IN (
                SELECT unnest([up, down]) FROM rounds WHERE market_no IN (
                    SELECT market_no FROM unproven WHERE stream = 'pm' AND state = 'unknown'))
            WINDOW w AS (PARTITION BY number, session, connection ORDER BY seq, index, position)
        ), counted AS (
            SELECT *, sum(CASE WHEN is_linked THEN 0 ELSE 1 END) OVER (
                PARTITION BY number, session, connection ORDER BY seq, index, position) AS island
            FROM ordered
        ), newest AS (
            SELECT session, connection, end_us, max(newest_us) AS newest_us
            FROM connections WHERE connection IS NOT NULL GROUP BY ALL
        ), closed AS (
            SELECT session, connection,
                   CASE WHEN newest_us = max(newest_us) OVER (PARTITION BY session)
                        THEN end_us ELSE newest_us END AS end_us
            FROM newest
        ), found AS (
            SELECT number, session, connection, island, min(event_us) AS from_us,
                   max(event_us) AS to_us, bool_or(is_sound) AS is_sound,
                   island = max(island) OVER (PARTITION BY number, session, connection) AS is_last
            FROM counted GROUP BY number, session, connection, island
        )
        SELECT number, from_us,
               CASE WHEN is_last THEN greatest(to_us, least(to_us + {SILENT_S} * 1000000, end_us))
                    ELSE to_us END AS to_us
        FROM (SELECT * FROM found WHERE is_sound) JOIN closed USING (session, connection)""",
    )
