"""Comparison of two runs that recorded one feed: messages that both received, and what each missed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.field_docs import FieldDoc
from marketarchive.research import views
from marketarchive.research.engine import connect, reading_tables, run, text
from marketarchive.research.tables import copies, schemas
from marketarchive.research.tables.gap_scope import of_row
from marketarchive.research.tables.making import makers
from marketarchive.research.tables.normalize import bring_gaps_up_to_date, bring_up_to_date
from marketarchive.research.tables.partitions import tables_of
from marketarchive.research.tables.simultaneous import RunPair, around, run_pairs
from marketarchive.times import MICROSECOND, from_datetime

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

FIELDS: Mapping[str, FieldDoc] = {
    "time": FieldDoc("from when on both recorded it", "UTC"),
    "until": FieldDoc("until when both recorded it", "UTC"),
    "venue": FieldDoc("the venue"),
    "feed": FieldDoc("the feed that both recorded"),
    "run": FieldDoc("the recorder that the row is about", "run id"),
    "other": FieldDoc("the one it is compared with", "run id"),
    "both": FieldDoc("messages that both received", "messages"),
    "missed": FieldDoc(
        "messages that `other` received and `run` did not, between the first and the last that both have of "
        "a market",
        "messages",
    ),
    "gapped_s": FieldDoc("recorded gaps of `run`, summed over markets", "seconds"),
    "closed_s": FieldDoc("of these, what others proved", "seconds"),
}
"""Column of `recorders` -> its description in docs/TABLES.md."""

_Span = tuple[int, int]


def pairs_within(root: Path, first: int | None = None, last: int | None = None) -> list[RunPair]:
    """Return each pair of runs that recorded a feed at the same time within `first` <= time < `last` (ns)."""
    return [pair for pair in run_pairs(root, first, last) if _clipped(pair, first, last)]


def longest(
    pairs: Sequence[RunPair], most: int, first: int | None = None, last: int | None = None
) -> list[RunPair]:
    """Return of `pairs` the `most` that recorded together longest within `first` <= time < `last` (ns)."""
    found = sorted(pairs, key=lambda pair: -_length([_clipped(pair, first, last) or (0, 0)]))[:most]
    return [pair for pair in pairs if pair in found]


def recorders(
    root: Path,
    first: int | None = None,
    last: int | None = None,
    *,
    pairs: Sequence[RunPair] | None = None,
    master_url: str | None = None,
) -> pa.Table:
    """Return two rows per pair of runs that recorded a feed at the same time: what each of them missed.

    first, last: bounds of the time in ns, None: no bound; pairs: those to compare, by default all of
    `pairs_within`; master_url: None is `master.db` in `root`. From `time` until `until` both runs recorded.
    `both` counts messages that both received; `missed` those that run `other` received and `run` did not.
    `gapped_s` is the seconds of recorded gaps of `run`, summed over markets, `closed_s` those that other runs
    prove complete.

    A message is what one event says of one token, market or symbol. It counts between the first and the last
    message about its subject that both runs have. What was sent to one run alone (the answer to a
    subscription, a request beside a socket) is missed by nobody. Runs without a market in common have no row.
    Trades of tables that have each trade once are not counted. Tables are brought up to date first.

    Raises ArchiveError, DiskError.
    """
    if pairs is None:
        pairs = pairs_within(root, first, last)
    if not pairs:
        return _table([])
    shared = {(pair.venue, pair.feed) for pair in pairs}
    tables = {table for feed in shared for table in _counted(*feed)}
    bring_up_to_date(root, shared, sorted(tables), *around(first, last), master_url=master_url)
    bring_gaps_up_to_date(root, shared, first, last, master_url=master_url)
    rows: list[dict[str, Any]] = []
    with reading_tables(), closing(connect(root / "tables" / ".spill")) as connection:
        views.view_names(connection, root, master_url)
        views.view_gaps(connection, root, first, last)
        views.view_plain(connection, root, "coverage", first, last)
        for pair in pairs:
            begin, end = _clipped(pair, first, last) or (0, 0)
            both, only_run, only_other = _messages(connection, root, pair, first, last)
            if both == only_run == only_other == 0:
                continue
            common = {
                "time": begin // MICROSECOND,
                "until": end // MICROSECOND,
                "venue": pair.venue,
                "feed": pair.feed,
            }
            for one, other, missed in ((pair.run, pair.other, only_other), (pair.other, pair.run, only_run)):
                gapped, closed = _gapped(connection, pair, one, begin, end)
                rows.append(
                    common
                    | {"run": one, "other": other, "both": both, "missed": missed}
                    | {"gapped_s": gapped, "closed_s": closed}
                )
    return _table(rows)


def _clipped(pair: RunPair, first: int | None, last: int | None) -> _Span | None:
    """Return the time in which a pair recorded together within the bounds (ns); None if there is none."""
    begin = pair.first if first is None else max(pair.first, first)
    end = pair.last if last is None else min(pair.last, last)
    return (begin, end) if begin < end else None


def _counted(venue: str, feed: str) -> Sequence[str]:
    """Return the tables of a feed that keep the rows of each run, so that messages can be compared."""
    finished = makers("makers", "FINISHED")
    return [
        table
        for table in tables_of(venue, feed)
        if table in copies.TABLES and not (table == "trades" and (venue, feed, table) in finished)
    ]


def _messages(
    connection: duckdb.DuckDBPyConnection, root: Path, pair: RunPair, first: int | None, last: int | None
) -> tuple[int, int, int]:
    """Return the numbers of messages that both runs, only `pair.run`, and only `pair.other` received.

    first, last: bounds of the receipt in ns, None: no bound.
    """
    begin, end = _clipped(pair, first, last) or (pair.first, pair.last)
    feed = {(pair.venue, pair.feed)}
    counted = _counted(pair.venue, pair.feed)
    where = f"run IN ({text(pair.run)}, {text(pair.other)}) AND venue = {text(pair.venue)}"
    rows = {}
    for table in counted:
        view = f"counted_{table}"
        make = views.view_rows if "token" in schemas.COLUMNS[table] else views.view_plain
        make(connection, root, view, *around(begin, end), table=table)
        within = " AND ".join([where, f"feed = {text(pair.feed)}", *views.received(*around(begin, end))])
        rows[table] = f"(SELECT *, 0 AS recorded_with FROM {view} WHERE {within})"
    if "quotes" in rows:
        rows["quotes"] = f"({copies.quotes_alone(rows)})"
    units = " UNION ALL ".join(
        f"""SELECT '{table}' AS "table", subject, identity, island, n, run, moment, is_own, is_state,
                   received_at
            FROM ({copies.units(table, rows[table], feed)})"""
        for table in counted
    )
    if not units:
        return 0, 0, 0
    one, other = text(pair.run), text(pair.other)
    [(both, only_one, only_other)] = run(
        connection,
        f"""
        WITH units AS MATERIALIZED (FROM ({units}) WHERE NOT is_state),
        bounds AS (
            SELECT subject, max(begun) AS begun, min(ended) AS ended FROM (
                SELECT subject, run, min(moment) AS begun, max(moment) AS ended FROM units
                GROUP BY subject, run)
            GROUP BY subject HAVING count(*) = 2
        ), messages AS (
            SELECT subject, bool_or(run = {one}) AS has_one, bool_or(run = {other}) AS has_other,
                   bool_and(is_own) AS is_own, min(moment) AS moment, min(received_at) AS received_at
            FROM units GROUP BY "table", subject, identity, island, n
        )
        SELECT count(*) FILTER (has_one AND has_other),
               count(*) FILTER (has_one AND NOT has_other AND NOT is_own),
               count(*) FILTER (has_other AND NOT has_one AND NOT is_own)
        FROM messages JOIN bounds ON bounds.subject = messages.subject
        WHERE {" AND ".join(views.received(first, last)) or "true"}
            AND ((has_one AND has_other) OR (moment >= begun AND moment <= ended))""",
    )
    return both, only_one, only_other


def _gapped(
    connection: duckdb.DuckDBPyConnection, pair: RunPair, of: str, begin: int, end: int
) -> tuple[float, float]:
    """Return (seconds of gaps of the run `of`, summed over markets; those that other runs prove complete).

    begin, end: time range in ns.
    """
    feed = f"venue = {text(pair.venue)} AND feed = {text(pair.feed)}"
    listed: list[dict[str, Any]] = (
        connection.sql(f"SELECT * FROM gaps WHERE {feed} AND run = {text(of)}").to_arrow_table().to_pylist()
    )
    tracked: dict[tuple[str | None, str | None], list[_Span]] = defaultdict(list)
    proven: dict[tuple[str | None, str | None], list[_Span]] = defaultdict(list)
    names: dict[tuple[str | None, str | None], set[str]] = {}
    for market, slug, asset, tokens, start, seconds, state in run(
        connection,
        f"""SELECT market, slug, asset, tokens, epoch_us(span.start), span.seconds, span.state
            FROM (SELECT coverage.market, coverage.slug, coverage.asset, tokens, unnest(spans) AS span
                  FROM coverage
                  LEFT JOIN (SELECT slug, list(token) AS tokens FROM names GROUP BY slug) AS mine
                      ON mine.slug = coverage.slug
                  WHERE {feed})""",
    ):
        key, span = (market, slug), (start * MICROSECOND, (start + seconds * 1_000_000) * MICROSECOND)
        tracked[key].append(span)
        if state in ("observed", "quiet"):
            proven[key].append(span)
        if key not in names:
            parts = set() if market is None or ":" not in market else set(market.split(":", 1))
            names[key] = {each for each in (market, slug, asset) if each} | set(tokens or ()) | parts
    gapped = closed = 0
    for key, spans in tracked.items():
        mine = [
            (from_datetime(gap["from"]), from_datetime(gap["to"] or gap["noticed_at"]))
            for gap in listed
            if of_row(gap, pair.venue, pair.feed).concerns(pair.venue, pair.feed, names[key])
        ]
        missing = _common(_common(_union(mine), _union(spans)), [(begin, end)])
        gapped += _length(missing)
        closed += _length(_common(missing, _union(proven[key])))
    return gapped / 1e9, closed / 1e9


def _union(spans: Iterable[_Span]) -> list[_Span]:
    found: list[_Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _common(one: Sequence[_Span], other: Sequence[_Span]) -> list[_Span]:
    """Return the intersection of two sorted lists of disjoint spans."""
    return list(_crossing(one, other))


def _crossing(one: Sequence[_Span], other: Sequence[_Span]) -> Iterator[_Span]:
    a = b = 0
    while a < len(one) and b < len(other):
        start, end = max(one[a][0], other[b][0]), min(one[a][1], other[b][1])
        if start < end:
            yield start, end
        if one[a][1] < other[b][1]:
            a += 1
        else:
            b += 1


def _length(spans: Iterable[_Span]) -> int:
    return sum(end - start for start, end in spans)


def schema() -> pa.Schema:
    """Return the Arrow schema of the table that `recorders` returns."""
    import pyarrow as pa

    moment, name = pa.timestamp("us", "UTC"), pa.string()
    return pa.schema(
        [
            ("time", moment),
            ("until", moment),
            *((each, name) for each in ("venue", "feed", "run", "other")),
            ("both", pa.int64()),
            ("missed", pa.int64()),
            ("gapped_s", pa.float64()),
            ("closed_s", pa.float64()),
        ]
    )


def _table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(list(rows), schema())
