"""Tables of an archive as views of a DuckDB connection, from which frames are read."""

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
"""A time: ISO 8601 text, a date or a datetime (such as a pandas Timestamp); UTC without an offset."""

IS_FIRST_TRADE = """(trade_id IS NULL AND transaction_hash IS NULL) OR row_number() OVER (
    PARTITION BY venue, feed, coalesce(token, market, asset), trade_id, CASE WHEN trade_id IS NULL
        THEN (transaction_hash, wallet, side, price, size, event_time, number) END
    ORDER BY received_at, run, seq, index, position) = 1"""
"""SQL condition: a row of `trades` is the first receipt of its trade; true for a trade without identity."""

_EMPTY = {"gaps": gaps.nothing, "coverage": coverage.nothing}


def view_names(connection: duckdb.DuckDBPyConnection, root: Path, master_url: str | None) -> Known:
    """Create the view `names` (token, slug, outcome, asset) of tokens as named now; return all known names.

    Names may differ from those in stored tables. master_url: None is `master.db` in `root`.
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
    venues: Collection[str] | None = None,
) -> None:
    """Create the view `name` of a table whose rows name markets, with present names, venue, feed and date.

    first, last: files of these days (ns, None: no bound); table: None is the table called `name`; venues: the
    venues whose files are read, None for all. Needs the view `names`.
    """
    of = table or name
    found = files(root, of, first, last)
    if venues is not None:
        found = [path for path in found if path.parents[2].name.removeprefix("venue=") in venues]
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
    """Create the view `name` of a table's files, unfiltered, with venue, feed and date.

    first, last: files of these days (ns, None: no bound); table: None is the table called `name`.
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

    feeds: (venue, feed)s that several runs recorded at once; times: bounds of the receipt in ns; where: SQL
    conditions of the wanted rows. Rows around `times` are read too, since a copy may have been received
    there. Needs the view `names`.
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
    """Return SQL conditions for rows received in `first` <= time < `last` (ns, None: no bound)."""
    where = [f"received_at >= {literal(first)}"] if first is not None else []
    return where + ([f"received_at < {literal(last)}"] if last is not None else [])


def close_gaps(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    feeds: Collection[tuple[str, str]],
    first: int | None,
    last: int | None,
) -> None:
    """Replace the view `gaps` by what no other run of `feeds` closed, as `closed_gaps.still_open` does.

    feeds: (venue, feed)s that several runs recorded at once; first, last: days of coverage to read (ns).
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
    """Create the view `gaps` of the gaps that touch `first` <= time < `last` (ns, None: no bound).

    is_named: `markets` includes the markets of the tokens in a gap's scope, which needs the view `names`.
    Later days are read too, since a crash is noticed long after it.
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


# a row is after a gap if its own run missed something since its previous row; or, for the first row of a run,
# if that run or one that ended with an open gap missed something that no other run received meanwhile
def after_a_gap(subject: str, names: str) -> str:
    """Return SQL of the `place` of each row of `chosen` before which, since the row before it, a gap lies.

    subject: columns that together name a row's subject; names: SQL list of the names of a row `seen`.
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
    """Return the SQL condition that a row of `gaps` concerns a row of `chosen`, or one of the names `given`.

    names: as in `after_a_gap`; given: names that may have no row. Needs the view `names`.
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
    """Return texts as SQL string literals separated by commas, for use in an SQL list."""
    return ", ".join(map(text, [given] if isinstance(given, str) else given))


def ns(moment: Moment) -> int | None:
    """Return a time in ns; None for None. Raises ArgumentError for a number or an unreadable text."""
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
