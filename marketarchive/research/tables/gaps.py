"""The table `gaps`: one row per gap line of raw, what could have been observed and was not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive.reader import Message, read_segment
from marketarchive.research.tables.extract import Made
from marketarchive.research.tables.partitions import METADATA, Partition
from marketarchive.scope import Scope
from marketarchive.times import from_iso

if TYPE_CHECKING:
    import pyarrow as pa


_SAME = ("from", "reason", "connection", "detail")
"""What the line of schema 1 that has a gap's end shares with the line that has not."""


def make(root: Path, partition: Partition, target: Path) -> Made:
    """Writes the day's gap lines to `target`. Only segments that have some are read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = _lasting(
        _row(message)
        for entry in partition.entries
        if entry["counts"].get("gap")
        for message in read_segment(root, entry)
        if message.kind == "gap" and partition.first_ns <= message.received_at < partition.until_ns
    )
    stamp = msgspec.json.encode(partition.stamp(verified=True))
    schema = _schema().with_metadata({METADATA.encode(): stamp})
    pq.write_table(pa.Table.from_pylist(rows, schema), target, compression="zstd")
    return Made(len(rows))


def _lasting(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A gap is written when it is noticed, without an end, and again with it: the first line is left out
    then, or keeps the subjects that have no end.
    """
    found = list(rows)
    ended: dict[tuple[Any, ...], int] = {}  # schema 1: the seq of the newest line with the end
    back: dict[str, set[str]] = {}  # by id
    for row in found:
        if row["to"] is not None and row["id"] is not None:
            back.setdefault(row["id"], set()).update(row["subjects"])
        elif row["to"] is not None and row["seq"] is not None:
            key = (row["run"], *(row[name] for name in _SAME))
            ended[key] = max(row["seq"], ended.get(key, 0))
    return [row for row in found if row["to"] is not None or not _has_ended(row, ended, back)]


def _has_ended(row: dict[str, Any], ended: dict[tuple[Any, ...], int], back: dict[str, set[str]]) -> bool:
    """Whether later lines say the end of a row that has none; of a part of it they take the subjects."""
    if row["id"] is None:
        last = ended.get((row["run"], *(row[name] for name in _SAME)), 0)
        return row["seq"] is not None and row["seq"] <= last
    if row["id"] not in back:
        return False
    row["subjects"] = [each for each in row["subjects"] if each not in back[row["id"]]]
    return not row["subjects"]


def lasting(rows: str) -> str:
    """The same as SQL, over files of several days."""
    return f"""(
        WITH stored AS (FROM {rows}), ended AS (
            SELECT venue, feed, id, flatten(list(subjects)) AS back FROM stored
            WHERE "to" IS NOT NULL AND id IS NOT NULL GROUP BY venue, feed, id)
        SELECT * EXCLUDE (back) FROM (
            SELECT stored.* REPLACE (CASE WHEN back IS NULL THEN subjects ELSE
                       [each FOR each IN subjects IF NOT list_contains(back, each)] END AS subjects), back
            FROM stored LEFT JOIN ended ON stored."to" IS NULL AND stored.id = ended.id
                AND stored.venue = ended.venue AND stored.feed = ended.feed)
        WHERE back IS NULL OR len(subjects) > 0
        QUALIFY "to" IS NOT NULL OR seq IS NULL OR id IS NOT NULL
            OR coalesce(max(seq) FILTER ("to" IS NOT NULL AND id IS NULL) OVER (
                   PARTITION BY venue, feed, run, "from", reason, connection, detail), 0) < seq)"""


def nothing() -> pa.Table:
    """The columns of the stored table and no row."""
    import pyarrow as pa

    named = [pa.field(name, pa.string()) for name in ("venue", "feed", "date")]
    return pa.schema([*_schema(), *named]).empty_table()


def _row(message: Message) -> dict[str, Any]:
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
