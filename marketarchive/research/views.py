"""Tables of an archive as views of one DuckDB connection, for the notebook's frames."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING

from marketarchive.exceptions import ArgumentError
from marketarchive.research.engine import run, stored, text
from marketarchive.research.names import Known, known
from marketarchive.research.tables import closed_gaps, copies, coverage, gaps, schemas
from marketarchive.research.tables.extract import table as make_table
from marketarchive.research.tables.gap_scope import concerns
from marketarchive.research.tables.partitions import feeds_with, files
from marketarchive.research.tables.simultaneous import around, run_groups
from marketarchive.times import from_iso, iso

if TYPE_CHECKING:
    import duckdb

Moment = str | date | None
"""ISO 8601 text, a date or a datetime (a pandas Timestamp is one); without an offset it is UTC."""

IS_FIRST_TRADE = """(trade_id IS NULL AND transaction_hash IS NULL) OR row_number() OVER (
    PARTITION BY venue, feed, coalesce(token, market, asset), trade_id, CASE WHEN trade_id IS NULL
        THEN (transaction_hash, wallet, side, price, size, event_time, number) END
    ORDER BY received_at, run, seq, index, position) = 1"""
"""SQL: whether a row of `trades` is the first receipt of its trade. One without identity always is."""

_EMPTY = {"gaps": gaps.nothing, "coverage": coverage.nothing}


def view_names(connection: duckdb.DuckDBPyConnection, root: Path, master_url: str | None) -> Known:
    """Create the view `names`: present names of tokens, whatever they were when a table was made.

    Returns all that is known of names.
    """
    given = known(root, master_url)
    found = [
        (token, slug, outcome, given.markets.asset(slug)) for token, (slug, outcome) in given.tokens.items()
    ]
    columns = ("token", "slug", "outcome", "asset")
    connection.register(
        "names", make_table({name: [row[n] for row in found] for n, name in enumerate(columns)})
    )
    return given


def view_rows(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    name: str,
    first: int | None,
    last: int | None,
    *,
    table: str | None = None,
) -> None:
    """Create a view of a table whose rows are of markets.

    It has the columns of its files' paths. first, last: ns of receipt; table: where the view has another
    name. Needs the view `names`.
    """
    of = table or name
    found = files(root, of, first, last)
    rows = schemas.relation(of, stored(*found, hive=True) if found else None)
    run(
        connection,
        f"""CREATE OR REPLACE TEMP VIEW {name} AS SELECT stored.* REPLACE (
                coalesce(names.slug, stored.slug) AS slug,
                coalesce(names.outcome, stored.outcome) AS outcome,
                coalesce(names.asset, stored.asset) AS asset)
            FROM {rows} AS stored LEFT JOIN names ON names.token = stored.token""",
    )


def view_plain(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    name: str,
    first: int | None,
    last: int | None,
    *,
    table: str | None = None,
) -> None:
    """Create a view of a table's files, unfiltered, with the columns of their paths.

    first, last: ns of receipt, None: no bound. table: where the view has another name.
    """
    of = table or name
    found = files(root, of, first, last)
    rows = stored(*found, hive=True) if found else f"no_{of}"
    if of in schemas.COLUMNS:
        rows = schemas.relation(of, stored(*found, hive=True) if found else None)
    elif not found:
        connection.register(rows, _EMPTY[of]())
    run(connection, f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM {rows}")


def merge_copies(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    table: str,
    feeds: Collection[tuple[str, str]],
    times: tuple[int | None, int | None],
    where: Sequence[str] = (),
) -> None:
    """Replace the view of a table by one that has each message of `feeds` once, and only rows in `times`.

    feeds: those that several runs recorded at once; where: SQL conditions of the rows that are wanted of any
    table of markets. What is read around `times` tells copies that were received before or after them. Needs
    `names`.
    """
    of_table = feeds_with(table) & set(feeds)
    if not of_table or table not in copies.TABLES:
        return
    first, last = times
    wide = around(first, last)
    groups = run_groups(root, first, last)
    columns = {name: [key[place] for key in groups] for place, name in enumerate(("venue", "feed", "run"))}
    numbers = list(groups.values())
    connection.register(
        "run_groups", make_table({**columns, "recorded_with": numbers}, {"recorded_with": "i4"})
    )
    rows = {}
    for each in (table, *copies.CAUSES) if table == "quotes" else (table,):
        view = f"recorded_{each}"
        if "token" in schemas.COLUMNS[each]:
            view_rows(connection, root, view, *wide, table=each)
        else:
            view_plain(connection, root, view, *wide, table=each)
        within = " AND ".join([*where, *received(*wide)]) or "true"
        rows[each] = f"(FROM (FROM {view} WHERE {within}) JOIN run_groups USING (venue, feed, run))"
    run(
        connection,
        f"CREATE OR REPLACE TEMP TABLE copies_of_{table} AS {copies.copies(table, rows, of_table)}",
    )
    kept = f"(FROM recorded_{table} WHERE {' AND '.join([*where, *received(first, last)]) or 'true'})"
    query = copies.without(table, kept, f"copies_of_{table}")
    run(connection, f"CREATE OR REPLACE TEMP VIEW {table} AS {query}")


def received(first: int | None, last: int | None) -> list[str]:
    """Return the SQL conditions of rows received in `first` <= time < `last` (ns)."""
    where = [f"received_at >= {literal(first)}"] if first is not None else []
    return where + ([f"received_at < {literal(last)}"] if last is not None else [])


def close_gaps(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    feeds: Collection[tuple[str, str]],
    first: int | None,
    last: int | None,
) -> None:
    """Replace the view `gaps` by what other recorders of `feeds` left open: `closed_gaps.still_open`.

    Needs the views `gaps` and `names`.
    """
    run(connection, "CREATE OR REPLACE TEMP TABLE stated_gaps AS SELECT * FROM gaps")
    query = closed_gaps.untouched("stated_gaps")
    if feeds:
        view_plain(connection, root, "proven", first, last, table="coverage")
        query = closed_gaps.still_open("stated_gaps", "proven", "names", feeds)
    run(connection, f"CREATE OR REPLACE TEMP TABLE open_gaps AS {query}")
    run(connection, "CREATE OR REPLACE TEMP VIEW gaps AS SELECT * FROM open_gaps")


def view_gaps(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    first: int | None,
    last: int | None,
    *,
    is_named: bool = False,
) -> None:
    """Create the view `gaps` of those that touch the time; a crash is noticed long after it.

    is_named: `markets` has also those whose tokens are concerned. Needs `names`.
    """
    connection.register("no_gaps", gaps.nothing())
    found = files(root, "gaps", first)
    where = [f'"from" < {literal(last)}'] if last is not None else ["true"]
    if first is not None:
        where.append(f'("to" IS NULL OR "to" > {literal(first)})')
    rows = gaps.current(stored(*found, hive=True) if found else "no_gaps")
    run(
        connection,
        f"""CREATE OR REPLACE TEMP VIEW {"unnamed" if is_named else "gaps"} AS
            SELECT * EXCLUDE (date) FROM {rows} WHERE {" AND ".join(where)}""",
    )
    if is_named:
        run(connection, f"CREATE OR REPLACE TEMP VIEW gaps AS {_WITH_MARKETS}")


_WITH_MARKETS = """
    SELECT unnamed.* REPLACE (coalesce(unnamed.markets, found.slugs) AS markets)
    FROM unnamed LEFT JOIN (
        SELECT venue, feed, run, seq, list(DISTINCT slug ORDER BY slug) AS slugs
        FROM (SELECT venue, feed, run, seq, unnest(subjects) AS token FROM unnamed WHERE kind = 'token')
        JOIN names USING (token) GROUP BY ALL) AS found
    ON unnamed.venue = found.venue AND unnamed.feed = found.feed
        AND unnamed.run = found.run AND unnamed.seq = found.seq"""


# rows between which and the row before them something was missed: by the row's own recording; or before its
# first row, or by one that ended there without saying until when, and no recording saw the same meanwhile
def after_a_gap(subject: str, names: str) -> str:
    """Return the SQL of the places in `chosen` of rows after a gap.

    subject: columns that distinguish the subjects of rows; names: list of the names of a row (`seen`).
    """
    return f"""
    SELECT place FROM (
        SELECT *, lag(received_at) OVER (PARTITION BY venue, feed, {subject}, run ORDER BY place) AS own,
               lag(received_at) OVER (PARTITION BY venue, feed, {subject} ORDER BY place) AS latest
        FROM chosen) AS seen
    JOIN gaps ON {concerns("seen.venue", "seen.feed", names, "seen.connection")}
        AND {closed_gaps.stands(names)} AND gaps."from" < seen.received_at
        AND CASE WHEN gaps.open_for IS NOT NULL
                 THEN CASE WHEN gaps."to" IS NULL THEN gaps."from" >= seen.latest
                           ELSE gaps."to" > seen.latest END
                 WHEN gaps.run = seen.run AND seen.own IS NOT NULL
                 THEN coalesce(gaps."to", 'infinity') > seen.own
                 ELSE (gaps."to" IS NULL OR gaps.run = seen.run) AND gaps."from" >= seen.latest END"""


def gaps_of_chosen(names: str, given: Sequence[str]) -> str:
    """Return the SQL condition that a row of `gaps` concerns a row of `chosen`, or what is named.

    names: as in `after_a_gap`; given: names of which perhaps nothing came. Needs `names`.
    """
    listed = sql_list(given) or "NULL"
    subjects = f"SELECT DISTINCT venue, feed, connection, {names} AS names FROM chosen AS seen"
    others = f"""(SELECT coalesce(list(token) || list(slug), []) FROM names
        WHERE slug IN ({listed}) OR asset IN ({listed}) OR token IN ({listed}))"""
    return f"""(
        EXISTS (SELECT 1 FROM ({subjects}) AS seen
                WHERE {concerns("seen.venue", "seen.feed", "seen.names", "seen.connection")}
                  AND {closed_gaps.stands("seen.names")})
        OR (coalesce(len(gaps.subjects), 0) = 0 AND gaps.connection IS NULL AND gaps.endpoint IS NULL
            AND gaps.open_for IS NULL)
        OR (list_has_any(gaps.subjects, [{listed}]) AND {closed_gaps.stands(f"[{listed}]")})
        OR (list_has_any(gaps.subjects, {others}) AND {closed_gaps.stands(others)}))"""


def sql_list(given: str | Sequence[str]) -> str:
    """Return the inside of an SQL list."""
    return ", ".join(map(text, [given] if isinstance(given, str) else given))


def ns(moment: Moment) -> int | None:
    """Return a moment in ns. Raises ArgumentError."""
    if moment is None:
        return None
    if isinstance(moment, (int, float, Number)):
        raise ArgumentError(
            f"{moment!r} is a number without a unit: give a time like 2026-11-21T10:15:00Z, or "
            f"pandas.Timestamp({moment!r}, unit='s')"
        )
    try:
        written = moment.isoformat() if isinstance(moment, date) else str(moment)
        return from_iso(written)
    except ValueError as error:
        raise ArgumentError(f"{moment!r} is not a time like 2026-11-21T10:15:00Z") from error


def literal(at: int) -> str:
    return f"{text(iso(at))}::TIMESTAMPTZ"
