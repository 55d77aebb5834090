"""The table `coverage`: per market and day, the number of seconds tracked, and what was known in them.

observed: data arrived within its time. quiet: a REST snapshot proved that nothing had changed. gapped: a
recorded gap that concerns the market touches the second. unknown: none of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.research.engine import stored
from marketarchive.research.tables import coverage_inputs, market_streams, midnight
from marketarchive.research.tables import gaps as gaps_table
from marketarchive.research.tables.coverage_inputs import Reading, Watched
from marketarchive.research.tables.extract import MadeTable, register
from marketarchive.research.tables.gap_scope import of_row
from marketarchive.research.tables.making import Task
from marketarchive.research.tables.partitions import METADATA, stamp_of
from marketarchive.research.tables.seconds import (
    GAPPED,
    OBSERVED,
    QUIET,
    SECONDS,
    UNKNOWN,
    UNTRACKED,
    US,
    Day,
)
from marketarchive.venues.venue import MarketFacts

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from marketarchive.research.tables.seconds import Mask, States

_STATES = {UNKNOWN: "unknown", GAPPED: "gapped", QUIET: "quiet", OBSERVED: "observed"}
SLICE_S = 300
"""Length in seconds of the slices for which a row has counts of its own."""

AHEAD_S = 60
"""Seconds before the day that are read: data count as observed for so long at most."""


def make(task: Task) -> MadeTable:
    """Write the day's rows of `coverage` to the task's target; return how many.

    Raises ArchiveError, and duckdb.Error for a segment that cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    connection, root, partition = task.connection, task.root, task.partition
    day = Day(partition.first_ns // 1000)
    wide = replace(partition, entries=(*midnight.present(root, partition.before), *partition.entries))
    paths = register(connection, root, wide, task.names, task.target)
    gaps = _gaps(task)
    found: dict[tuple[str | None, str | None], States] = {}
    bounds: dict[tuple[str | None, str | None], tuple[int, int]] = {}
    assets: dict[tuple[str | None, str | None], str] = {}
    read = Reading(connection, wide, paths, _tables(task), task.names, Day(day.first, AHEAD_S))
    for one in list(market_streams.watched(read)) or coverage_inputs.watched(read):
        key, spans = (one.market, one.slug), _spans(one, gaps, day)
        if one.asset is not None:
            assets[key] = one.asset
        states = _states(one, spans, gaps, read.day)[AHEAD_S:]
        if not states.any():
            continue
        first, last = min(start for start, _ in spans), max(end for _, end in spans)
        if key in found:
            import numpy as np

            states = np.maximum(found[key], states)
            first, last = min(first, bounds[key][0]), max(last, bounds[key][1])
        found[key], bounds[key] = states, (first, last)
    paused = _paused(gaps, day)
    for key, states in found.items():
        open_for = task.markets.facts(key[1] or key[0] or "", partition.venue)
        bounds[key] = _close(states, paused, open_for, *bounds[key], day)
    rows = [
        _row(*key, states, *bounds[key])
        | {
            "asset": assets.get(key) or task.markets.asset(key[1] or key[0], partition.venue),
            "slices": _slices(states, day),
            "spans": _spans_of(states, day),
        }
        for key, states in found.items()
    ]
    needed = [stamp_of(root / partition.path_of(name)) for name in partition.needs]
    is_verified = all(stamp is not None and stamp.verified for stamp in needed)
    stamp = msgspec.json.encode(partition.stamp(verified=is_verified))
    schema = _schema().with_metadata({METADATA.encode(): stamp})
    pq.write_table(pa.Table.from_pylist(rows, schema), task.target, compression="zstd")
    return MadeTable(len(rows), verified=is_verified)


def _tables(task: Task) -> dict[str, str]:
    """Return table -> SQL relation of its rows on and around the day, for the tables that are needed."""
    root, partition = task.root, task.partition
    needs = [table for table in partition.needs if table != "gaps"]
    around = midnight.rows_around(root, partition, needs, task.target, task.names)
    return {
        table: f"(FROM {stored(root / partition.path_of(table), *paths, hive=True)})"
        for table, paths in around.items()
    }


def _gaps(task: Task) -> list[dict[str, Any]]:
    """Return the rows of `gaps` that hold and touch the day, with their `scope`, also if noticed later."""
    import pyarrow as pa

    partition = task.partition
    around = midnight.gap_rows_around(task.root, partition)
    task.connection.register("around", pa.Table.from_pylist(around, gaps_table.nothing().schema))
    of_day = stored(task.root / partition.path_of("gaps"), hive=True)
    stated = gaps_table.current(f"(FROM {of_day} UNION ALL BY NAME FROM around)")
    return [
        gap | {"scope": of_row(gap, partition.venue, partition.feed)}
        for gap in _dicts(task.connection, f"SELECT * FROM {stated}")
    ]


def _spans(one: Watched, gaps: list[dict[str, Any]], day: Day) -> list[tuple[int, int]]:
    """Return the (start, end) in us in which a market was tracked, including gaps that name it."""
    named = [
        _ends(gap, day)
        for gap in gaps
        if gap["run"] == one.run and gap["to"] is not None and one.is_named_by(gap["scope"])
    ]
    cut = ((max(start, day.first), min(end, day.end)) for start, end in [*one.tracked, *named])
    return [(start, end) for start, end in cut if start < end]


def _states(one: Watched, spans: Iterable[tuple[int, int]], gaps: list[dict[str, Any]], day: Day) -> States:
    tracked, gapped = day.none(), day.none()
    for start, end in spans:
        (day.touch if one.is_polled else day.hold)(tracked, start, end)
    for gap in gaps:
        if gap["run"] == one.run and one.is_concerned_by(gap["scope"]):
            day.touch(gapped, *_ends(gap, day))
    return day.states(tracked, gapped, one.observed, one.quiet)


def _paused(gaps: list[dict[str, Any]], day: Day) -> Mask:
    """Return a mask of the seconds in which no run recorded the feed, and a gap says so.

    A gap without an end lasts until it was noticed: then the next run begins.
    """
    paused = day.none()
    for gap in gaps:
        if gap["scope"].is_whole_feed:
            start, _ = _ends(gap, day)
            day.touch(paused, start, round((gap["to"] or gap["noticed_at"]).timestamp() * 1_000_000))
    return paused


def _close(
    states: States, paused: Mask, market: MarketFacts, first: int, last: int, day: Day
) -> tuple[int, int]:
    """Extend tracking over a pause between two runs and while the round goes on, in `states`.

    paused: mask of seconds without a run, which become gapped; first, last: ends of tracking so far, us.
    Returns the new ends.
    """
    import numpy as np

    within = day.none()
    day.hold(within, first, last)
    if market.start_ns is not None and market.end_ns is not None:
        day.hold(within, market.start_ns // 1000, market.end_ns // 1000)
    missed = np.flatnonzero(paused & within & (states == UNTRACKED))
    if not missed.size:
        return first, last
    states[missed] = GAPPED
    return min(first, day.first + int(missed[0]) * US), max(last, day.first + int(missed[-1] + 1) * US)


def _ends(gap: dict[str, Any], day: Day) -> tuple[int, int]:
    start = round(gap["from"].timestamp() * 1_000_000)
    return start, day.end if gap["to"] is None else round(gap["to"].timestamp() * 1_000_000)


def _row(market: str | None, slug: str | None, states: States, first: int, last: int) -> dict[str, Any]:
    import numpy as np

    counts = np.bincount(states, minlength=OBSERVED + 1).tolist()
    return {
        "market": market,
        "slug": slug,
        "first_tracked": first,
        "last_tracked": last,
        "tracked_s": sum(counts) - counts[UNTRACKED],
        "observed_s": counts[OBSERVED],
        "quiet_s": counts[QUIET],
        "gapped_s": counts[GAPPED],
        "unknown_s": counts[UNKNOWN],
    }


def _slices(states: States, day: Day) -> list[dict[str, Any]]:
    """Return the number of seconds of each state per slice of SLICE_S seconds that has a tracked second."""
    import numpy as np

    kinds, count = OBSERVED + 1, SECONDS // SLICE_S
    numbered = np.repeat(np.arange(count) * kinds, SLICE_S) + states
    counts = np.bincount(numbered, minlength=count * kinds).reshape(count, kinds)
    return [
        {
            "start": day.first + place * SLICE_S * US,
            "observed_s": found[OBSERVED],
            "quiet_s": found[QUIET],
            "gapped_s": found[GAPPED],
            "unknown_s": found[UNKNOWN],
        }
        for place, found in enumerate(counts.tolist())
        if found[UNTRACKED] < SLICE_S
    ]


def _spans_of(states: States, day: Day) -> list[dict[str, Any]]:
    """Return the spans of consecutive tracked seconds of one state: start (us), seconds, state."""
    import numpy as np

    starts = np.concatenate(([0], np.flatnonzero(np.diff(states)) + 1))
    lengths = np.diff(np.append(starts, SECONDS))
    return [
        {"start": day.first + int(start) * US, "seconds": int(length), "state": _STATES[states[start]]}
        for start, length in zip(starts, lengths, strict=True)
        if states[start] != UNTRACKED
    ]


def nothing() -> pa.Table:
    """Return an empty table with the columns of `coverage`, venue, feed and date among them."""
    import pyarrow as pa

    named = [pa.field(name, pa.string()) for name in ("venue", "feed", "date")]
    return pa.schema([*_schema(), *named]).empty_table()


def _dicts(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
    return found


def _schema() -> pa.Schema:
    import pyarrow as pa

    moment, text, count = pa.timestamp("us", tz="UTC"), pa.string(), pa.int32()
    known = [(name, pa.int16()) for name in ("observed_s", "quiet_s", "gapped_s", "unknown_s")]
    return pa.schema(
        [
            ("market", text),
            ("slug", text),
            ("asset", text),
            ("first_tracked", moment),
            ("last_tracked", moment),
            ("tracked_s", count),
            ("observed_s", count),
            ("quiet_s", count),
            ("gapped_s", count),
            ("unknown_s", count),
            ("slices", pa.list_(pa.struct([("start", moment), *known]))),
            ("spans", pa.list_(pa.struct([("start", moment), ("seconds", count), ("state", text)]))),
        ]
    )
