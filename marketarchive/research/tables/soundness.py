"""SQL of the sound states of books: no hash or checksum failed, bid and ask do not overlap, no date is ahead.

Whatever needs the state of a book skips unsound states, as if they had never come; frames of rows show them,
marked by `verified` and `is_crossed`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal

from marketarchive.research.engine import run
from marketarchive.venues.channel import AHEAD_S

if TYPE_CHECKING:
    import duckdb

CROSSED = "coalesce(best_bid >= best_ask, false)"
"""SQL condition: bid and ask of a row of `books`, `book_changes` or `quotes` overlap or touch."""

AHEAD = f"coalesce(event_time > received_at + to_seconds({AHEAD_S}), false)"
"""SQL condition: a row is dated well after its receipt; all true states that follow would look older."""

SOUND = f"(verified IS DISTINCT FROM 'failed' AND NOT {CROSSED} AND NOT {AHEAD})"
"""SQL condition: the state after a row of `books`, `book_changes` or `quotes` is sound."""

_FOR_EVER = 2**62


def unsound_spans(
    connection: duckdb.DuckDBPyConnection,
    books: str,
    changes: str | None,
    book_of: Literal["token", "market"],
) -> dict[tuple[str, str, str], list[tuple[int, int]]]:
    """Return (run, connection, market) -> (start, end) in us, from each unsound state to the next sound one.

    books, changes: relations of snapshots and deltas (None: the feed has none); book_of: the column that
    names a book. They are read twice, since nearly all messages are of books without an unsound state.
    """
    columns = f"run, connection, market, {book_of} AS book, received_at, seq, index, position"
    messages = f"SELECT {columns}, {SOUND} AS is_sound FROM {books} WHERE connection IS NOT NULL"
    if changes is not None:
        messages += (
            f" UNION ALL SELECT {columns}, {SOUND} FROM {changes} WHERE is_stale IS DISTINCT FROM true"
        )
    found: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for found_in, name, market, start, end in run(
        connection,
        f"""WITH messages AS NOT MATERIALIZED ({messages})
            SELECT run, connection, market, start, "end" FROM (
                SELECT *, epoch_us(received_at) AS start,
                       min(epoch_us(received_at)) FILTER (is_sound) OVER (
                           PARTITION BY run, connection, book ORDER BY received_at, seq, index, position
                           ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS "end"
                FROM messages SEMI JOIN (FROM messages WHERE NOT is_sound) USING (run, connection, book))
            WHERE NOT is_sound""",
    ):
        found[found_in, name, market].append((start, _FOR_EVER if end is None else end))
    return found
