"""The table `gaps`: one row per gap line of raw that holds; what could have been observed and was not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive.reader import Message, read_segment
from marketarchive.gap_lines import GapLineKey, held_subjects
from marketarchive.research.tables.extract import MadeTable
from marketarchive.research.tables.partitions import METADATA, Partition
from marketarchive.scope import Scope
from marketarchive.times import from_iso

if TYPE_CHECKING:
    import pyarrow as pa


_SAME = ("from", "reason", "connection", "detail")
"""Fields in which the two lines of a gap in schema 1, without and with its end, are equal."""


def make(root: Path, partition: Partition, target: Path) -> MadeTable:
    """Write the day's gap lines that hold to `target`; return how many. Raises ArchiveError, CorruptError.

    Only segments that have gap lines are read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = (
        table_row(message)
        for entry in partition.entries
        if entry["counts"].get("gap")
        for message in read_segment(root, entry)
        if message.kind == "gap" and partition.first_ns <= message.received_at < partition.until_ns
    )
    rows = newest_lines(found, partition.venue, partition.feed)
    stamp = msgspec.json.encode(partition.stamp(verified=True))
    schema = _schema().with_metadata({METADATA.encode(): stamp})
    pq.write_table(pa.Table.from_pylist(rows, schema), target, compression="zstd")
    return MadeTable(len(rows))


def newest_lines(rows: Iterable[dict[str, Any]], venue: str, feed: str) -> list[dict[str, Any]]:
    """Return the rows of one feed that hold, each with only the subjects that no newer line of its gap names.

    Void gaps are included: the line that they make void may be of another day. Readers use `current`, which
    leaves them out.
    """
    found = _without_ended(list(rows))
    lines = [GapLineKey(venue, feed, row["id"], row["seq"], row["subjects"]) for row in found]
    return [
        row if held == row["subjects"] else row | {"subjects": held}
        for row, held in zip(found, held_subjects(lines), strict=True)
        if held is not None
    ]


def _without_ended(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows without those of schema 1 that lack an end and that a later row repeats with one."""
    ended: dict[tuple[Any, ...], int] = {}  # the seq of the newest line with the end
    for row in rows:
        if row["id"] is None and row["to"] is not None and row["seq"] is not None:
            key = (row["run"], *(row[name] for name in _SAME))
            ended[key] = max(row["seq"], ended.get(key, 0))
    return [
        row
        for row in rows
        if row["id"] is not None
        or row["to"] is not None
        or row["seq"] is None
        or row["seq"] > ended.get((row["run"], *(row[name] for name in _SAME)), 0)
    ]


def current(rows: str) -> str:
    """Return the SQL relation of the gaps that hold, over all days in `rows`, without void ones.

    rows: relation of the table's files, with the columns `venue` and `feed`. The rule is that of
    `newest_lines`.
    """
    return f"""(
        WITH stored AS (FROM {rows}), named AS (
            SELECT venue, feed, id, seq, unnest(subjects) AS subject,
                   generate_subscripts(subjects, 1) AS place
            FROM stored WHERE id IS NOT NULL
        ), newest AS (
            SELECT venue, feed, id, subject, max(named.seq) AS seq, max_by(place, named.seq) AS place
            FROM named GROUP BY venue, feed, id, subject
        ), held AS (
            SELECT venue, feed, id, seq, list(subject ORDER BY place) AS held FROM newest
            GROUP BY venue, feed, id, seq
        ), lines AS (
            SELECT stored.*, held, id IS NOT NULL AND coalesce(len(subjects), 0) = 0 AS is_whole
            FROM stored LEFT JOIN held USING (venue, feed, id, seq))
        SELECT * EXCLUDE (held, is_whole) REPLACE (coalesce(held, subjects) AS subjects) FROM lines
        WHERE id IS NULL OR is_whole OR held IS NOT NULL
        QUALIFY CASE
            WHEN id IS NULL THEN "to" IS NOT NULL OR seq IS NULL
                OR coalesce(max(seq) FILTER ("to" IS NOT NULL AND id IS NULL) OVER (
                       PARTITION BY venue, feed, run, "from", reason, connection, detail), 0) < seq
            ELSE ("to" IS DISTINCT FROM "from" OR split_part(id, ':', -1) = seq::VARCHAR)
                AND (NOT is_whole
                     OR seq = max(seq) FILTER (is_whole) OVER (PARTITION BY venue, feed, id)) END)"""


def nothing() -> pa.Table:
    """Return an empty table with the columns of `gaps`, venue, feed and date among them."""
    import pyarrow as pa

    named = [pa.field(name, pa.string()) for name in ("venue", "feed", "date")]
    return pa.schema([*_schema(), *named]).empty_table()


def table_row(message: Message) -> dict[str, Any]:
    """Return the row of a gap line, without the columns `venue`, `feed` and `date`; times in us."""
    line = message.envelope
    scope = line["scope"]
    about = Scope.read(message.venue, message.feed, scope)
    within = scope if isinstance(scope, dict) else about.as_dict()
    return {
        "from": from_iso(line["from"]) // 1000,
        "to": None if line["to"] is None else from_iso(line["to"]) // 1000,
        "reason": line["reason"],
        "cause": line["cause"],
        "scope": scope if isinstance(scope, str) else msgspec.json.encode(scope).decode(),
        **{name: _of(within, name, list) for name in ("markets", "topics")},
        "token": about.subjects[0] if about.kind == "token" and len(about.subjects) == 1 else None,
        **{name: _of(within, name, str) for name in ("connection", "symbol")},
        "detail": line.get("detail"),
        "noticed_at": message.received_at // 1000,
        "run": message.run,
        "seq": line.get("seq"),
        "first_lost_seq": line.get("first_lost_seq"),
        "id": line.get("id"),
        "kind": about.kind,
        "subjects": list(about.subjects),
        "endpoint": about.endpoint,
    }


def _of(scope: dict[str, Any], name: str, kind: type) -> Any:
    found = scope.get(name)
    return found if isinstance(found, kind) else None


def _schema() -> pa.Schema:
    import pyarrow as pa

    moment, text = pa.timestamp("us", tz="UTC"), pa.string()
    return pa.schema(
        [
            ("from", moment),
            ("to", moment),
            ("reason", text),
            ("cause", text),
            ("scope", text),
            ("markets", pa.list_(text)),
            ("token", text),
            ("connection", text),
            ("topics", pa.list_(text)),
            ("symbol", text),
            ("detail", text),
            ("noticed_at", moment),
            ("run", text),
            ("seq", pa.int64()),
            ("first_lost_seq", pa.int64()),
            ("id", text),
            ("kind", text),
            ("subjects", pa.list_(text)),
            ("endpoint", text),
        ]
    )
