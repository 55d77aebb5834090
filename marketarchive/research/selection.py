"""Arguments of notebook methods: names, one or several, and time ranges; an unknown name is an error."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from marketarchive.exceptions import ArgumentError
from marketarchive.research import views
from marketarchive.research.engine import run
from marketarchive.research.names import Known
from marketarchive.research.tables import schemas
from marketarchive.research.views import Moment, ns, sql_list
from marketarchive.times import iso

if TYPE_CHECKING:
    import duckdb

OneOrMany = str | Iterable[str] | None
"""One name or several; None: no choice, which is all."""

Wanted = Mapping[str, tuple[str, ...]]
"""Argument -> the names given for it, at least one; an argument that was not given is absent."""

COLUMNS: Mapping[str, tuple[str, ...]] = {"market": ("slug", "market")}
"""Argument -> columns that are searched for its names, where these are not the column called like it."""

_SHOWN = 12


def wanted(**given: OneOrMany) -> Wanted:
    """Return the arguments that are not None, each as a tuple of names.

    Raises ArgumentError for a value that is no text, and for an empty list.
    """
    found: dict[str, tuple[str, ...]] = {}
    for argument, names in given.items():
        if names is None:
            continue
        listed = tuple(names) if isinstance(names, Iterable) and not isinstance(names, str) else (names,)
        if wrong := [name for name in listed if not isinstance(name, str)]:
            raise ArgumentError(f"{argument}={wrong[0]!r} is not a name: give a text, or a list of texts")
        if not listed:
            raise ArgumentError(f"{argument}=[] names nothing: leave it out for all")
        found[argument] = listed
    return found


def columns_of(columns: OneOrMany, known: Iterable[str]) -> list[str]:
    """Return the columns to read; columns: None is all of `known`. Raises ArgumentError if unknown."""
    there = list(known)
    chosen = wanted(columns=columns).get("columns", tuple(there))
    if unknown := [name for name in chosen if name not in there]:
        raise ArgumentError(f"there is no column {unknown[0]!r}; there is {', '.join(there)}")
    return list(dict.fromkeys(chosen))


def span(start: Moment, end: Moment) -> tuple[int | None, int | None]:
    """Return start and end in ns, None for no bound. Raises ArgumentError if the start is after the end."""
    first, last = ns(start), ns(end)
    if first is not None and last is not None and first > last:
        raise ArgumentError(f"start={iso(first)} is after end={iso(last)}")
    return first, last


def conditions(given: Wanted) -> list[str]:
    """Return SQL conditions that choose the rows with the given names in stored tables."""
    return [
        "("
        + " OR ".join(f"{column} IN ({sql_list(names)})" for column in COLUMNS.get(argument, (argument,)))
        + ")"
        for argument, names in given.items()
    ]


def feeds_given(given: Wanted) -> Wanted:
    """Return those of the given arguments that choose feeds: venue and feed."""
    return {name: names for name, names in given.items() if name in ("venue", "feed")}


def check(argument: str, names: Collection[str], known: Iterable[str | None]) -> None:
    """Raise ArgumentError if one of `names` is not `known`; the error lists the known names."""
    there = {name for name in known if name is not None}
    for name in names:
        if name not in there:
            raise ArgumentError(f"nothing here has {argument}={name!r}; {_listed(name, there)}")


def check_feeds(given: Wanted, feeds: Collection[tuple[str, str]]) -> None:
    """Raise ArgumentError for a given venue or feed of which nothing is recorded."""
    check("venue", given.get("venue", ()), {venue for venue, _ in feeds})
    check("feed", given.get("feed", ()), {feed for _, feed in feeds})


def check_rows(
    connection: duckdb.DuckDBPyConnection, root: Path, table: str, rows: str, given: Wanted, known: Known
) -> None:
    """Raise ArgumentError for a given name that is in no row and in no manifest or master.

    table: the table that is read; rows: relation with its rows in the requested time. A known name without a
    row in that time is no error. Needs the view `names`.
    """
    for argument, names in given.items():
        if argument in feeds_given(given):
            continue
        columns = COLUMNS.get(argument, (argument,))
        missing = set(names) - _values(connection, rows, columns)
        if missing:
            stated = _stated(known).get(argument, set())
            if missing <= stated:
                continue
            if table in schemas.COLUMNS and "token" in schemas.COLUMNS[table]:
                views.view_rows(connection, root, table, None, None)
            else:
                views.view_plain(connection, root, table, None, None)
            check(argument, sorted(missing), stated | _values(connection, table, columns))


def token_of(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    known: Known,
    name: str,
    outcome: str | None,
    venues: Collection[str] | None = None,
) -> str:
    """Return the token that `name` means: itself, or of a market the token of `outcome`.

    outcome: None is the market's first outcome; venues: those of which a name may be, None for all. A market
    without tokens stands for itself. Needs the views `names` and `books`. Raises ArgumentError.
    """
    if name in known.tokens:
        return name
    tokens = {side: token for token, (slug, side) in known.tokens.items() if slug == name}
    if not tokens:
        query = f"""SELECT DISTINCT outcome, token FROM books
            WHERE market IN ({sql_list(name)}) AND token IS NOT NULL AND token <> market"""
        place = {token: number for number, token in enumerate(known.tokens)}
        found = sorted(run(connection, query), key=lambda row: (place.get(row[1], len(place)), row[1]))
        tokens = {side or token: token for side, token in found}
    if not tokens:
        if name not in known.markets.names():
            views.view_rows(connection, root, "all_books", None, None, table="books", venues=venues)
            there = _values(connection, "all_books", ("slug", "market", "token"))
            check("token", (name,), there | set(known.tokens))
        return name
    if outcome is not None:
        check("outcome", (outcome,), tokens)
        return tokens[outcome]
    return next(iter(tokens.values()))


def check_one_venue(connection: duckdb.DuckDBPyConnection, names: Collection[str]) -> None:
    """Raise ArgumentError if a name is that of books of several venues. Needs the view `books`.

    names: tokens, or markets without tokens.
    """
    shared = run(
        connection,
        f"""SELECT coalesce(token, market) AS of, list_sort(list(DISTINCT venue)) FROM books
        WHERE coalesce(token, market) IN ({sql_list(list(names)) or "NULL"})
        GROUP BY of HAVING count(DISTINCT venue) > 1 ORDER BY of LIMIT 1""",
    )
    for name, venues in shared:
        raise ArgumentError(
            f"{name!r} is a name at {' and '.join(venues)}: choose one by venue={venues[0]!r}"
        )


def _values(connection: duckdb.DuckDBPyConnection, rows: str, columns: Iterable[str]) -> set[str]:
    query = " UNION ".join(f"SELECT {column} FROM {rows}" for column in columns)
    return {value for (value,) in run(connection, query) if value is not None}


def _stated(known: Known) -> dict[str, set[str]]:
    """Return argument -> names that manifests and the market master state."""
    markets = known.markets.names() | {slug for slug, _ in known.tokens.values()}
    assets = {asset for name in markets if (asset := known.markets.asset(name)) is not None}
    return {"market": markets, "asset": assets, "token": set(known.tokens)}


def _listed(name: str, there: Collection[str]) -> str:
    """Return a sentence that lists the names `there` for an error, those that resemble `name` first."""
    if not there:
        return "there is none yet"
    folded = {each.casefold(): each for each in sorted(there)}
    near = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, 3, 0.6)]
    listed = list(dict.fromkeys([*near, *sorted(there)]))
    rest = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"there is {', '.join(listed[:_SHOWN])}{rest}"
