"""Rows and gap lines of a day's runs before its first and after its last midnight.

They come from the segment of each run before the day, the one after it, and segments that cross a midnight:
a message just before midnight still counts as observed after it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from marketarchive.archive.ledger import Entry
from marketarchive.archive.reader import read_segment
from marketarchive.archive.stored import StoredSegment
from marketarchive.research.tables import rows
from marketarchive.research.tables.extract import Names, aside
from marketarchive.research.tables.gaps import table_row
from marketarchive.research.tables.partitions import Partition
from marketarchive.times import DAY, from_iso, iso


def rows_around(
    root: Path, partition: Partition, tables: list[str], target: Path, names: Names
) -> dict[str, list[Path]]:
    """Write the rows of `tables` around the day to files beside `target`; return table -> files.

    names: token -> (slug, outcome). Raises ArchiveError, CorruptError.
    """
    found: dict[str, list[Path]] = {table: [] for table in tables}
    for mark, entries, day in _sides(root, partition):
        if not entries or not tables:
            continue
        neighbour = replace(partition, day=day, entries=entries, before=(), after=(), labels={})
        targets = {table: aside(target, f"{mark}-{table}") for table in tables}
        rows.make(root, neighbour, targets, names, _no_progress, verify=False)
        for table, path in targets.items():
            found[table].append(path)
    return found


def gap_rows_around(root: Path, partition: Partition) -> list[dict[str, Any]]:
    """Return the rows of `gaps`, with `venue` and `feed`, from gap lines before and after the day."""
    about: dict[str, Any] = {"venue": partition.venue, "feed": partition.feed}
    return [
        table_row(message) | about
        for _, entries, _ in _sides(root, partition)
        for entry in entries
        if entry["counts"].get("gap")
        for message in read_segment(root, entry)
        if message.kind == "gap" and not partition.first_ns <= message.received_at < partition.until_ns
    ]


def present(root: Path, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the segments that are on the disk; one of a neighbouring day may have been moved away."""
    return tuple(entry for entry in entries if StoredSegment(root, entry["path"]).place() is not None)


def _sides(root: Path, partition: Partition) -> list[tuple[str, tuple[Entry, ...], str]]:
    """Return (mark, segments, UTC day) for before and after the day."""
    first, until = partition.first_ns, partition.until_ns
    earlier = tuple(entry for entry in partition.entries if from_iso(entry["first"]) < first)
    later = tuple(entry for entry in partition.entries if from_iso(entry["last"]) >= until)
    return [
        ("before", (*present(root, partition.before), *earlier), iso(first - DAY)[:10]),
        ("after", (*later, *present(root, partition.after)), iso(until)[:10]),
    ]


def _no_progress(read: int) -> None:
    """Ignore the number of bytes read: rows around the day are no part of the progress that is shown."""
