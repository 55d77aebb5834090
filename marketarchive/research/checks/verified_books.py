"""Check that books and deltas have the hashes that the venue stated, as recomputed from raw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.research.checks.check import OFFENDERS, CheckResult, dicts, share
from marketarchive.research.engine import run, stored
from marketarchive.research.tables.gap_scope import concerns
from marketarchive.research.tables.partitions import files
from marketarchive.research.views import literal, view_gaps
from marketarchive.times import DAY

if TYPE_CHECKING:
    import duckdb

RULE = (
    "Each snapshot and each delta has the hash that it states. One that does not (verified = 'failed') is a "
    "warning if a recorded gap of its run concerns its token and time, since that loss is known; otherwise "
    "the check fails. Unchecked: no snapshot came before it, or it is a repeat. Not available: no hash was "
    "stated."
)
VERDICTS = ("ok", "failed", "unchecked", "not_available")

_NAMED = "venue, feed, run, seq, connection, market, slug, token, event_time, received_at, verified"
_NAMES = "[found.slug, found.market, found.token]"
_REPORTED = f"""EXISTS (FROM gaps
    WHERE gaps.run = found.run AND {concerns("found.venue", "found.feed", _NAMES, "found.connection")}
    AND gaps."from" <= found.received_at
    AND coalesce(gaps."to", 'infinity') >= coalesce(found.event_time, found.received_at))"""


def check(connection: duckdb.DuckDBPyConnection, root: Path, first: int, last: int) -> CheckResult:
    """Check the hash verdicts of snapshots and deltas received in `first` <= time < `last` (ns).

    Raises duckdb.Error.
    """
    parts = []
    for name, where in (("books", "route IS DISTINCT FROM 'state'"), ("book_changes", "true")):
        if paths := files(root, name, first, last):
            parts.append(
                f"""SELECT {_NAMED}, '{name}' AS source FROM {stored(*paths, hive=True)}
                    WHERE {where} AND received_at >= {literal(first)} AND received_at < {literal(last)}"""
            )
    counted: list[dict[str, Any]] = []
    unexplained = 0
    offenders: list[dict[str, Any]] = []
    if parts:
        reported = f"({' UNION ALL '.join(parts)})"
        counts = ", ".join(f"count(*) FILTER (verified = '{name}') AS {name}" for name in VERDICTS)
        counted = dicts(
            connection,
            f"""SELECT source AS "table", venue, feed, count(*) AS "rows", {counts}
                FROM {reported} GROUP BY ALL ORDER BY ALL""",
        )
        view_gaps(connection, root, first - DAY, None)
        run(
            connection,
            f"""CREATE OR REPLACE TEMP TABLE failed AS
                SELECT *, {_REPORTED} AS is_reported FROM {reported} AS found WHERE verified = 'failed'""",
        )
        [[unexplained]] = run(connection, "SELECT count(*) FROM failed WHERE NOT is_reported")
        offenders = dicts(
            connection,
            f"""SELECT source AS "table", feed, run, seq, coalesce(slug, market) AS market, token,
                       event_time::VARCHAR AS event_time, is_reported AS in_a_recorded_gap
                FROM failed ORDER BY is_reported, failed.event_time, run, seq LIMIT {OFFENDERS}""",
        )
    sums = {name: sum(each[name] for each in counted) for name in ("rows", *VERDICTS)}
    checked = sums["ok"] + sums["failed"]
    return CheckResult(
        "books",
        "Books have the hashes that they state",
        RULE,
        "nothing to check"
        if not checked
        else "fail"
        if unexplained
        else "warn"
        if sums["failed"]
        else "pass",
        f"{share(sums['ok'], sums['rows'])} of {sums['rows']:,} verified, {sums['failed']:,} failed "
        f"({unexplained:,} outside recorded gaps)",
        {**sums, "failed outside recorded gaps": unexplained},
        [],
        offenders,
        counted,
    )
