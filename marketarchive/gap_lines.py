"""Selection of the gap lines that hold: of those with one id the newest that names a subject.

`research/tables/gaps.py` says the same as SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class GapLineKey(NamedTuple):
    """Fields that distinguish the lines of a gap.

    id: None or "" in schema 1, where each line is a gap of its own.
    """

    venue: str
    feed: str
    id: str | None
    seq: int | None
    subjects: Sequence[str]


def held_subjects(lines: Sequence[GapLineKey]) -> list[list[str] | None]:
    """Return for each line the subjects that no newer line of its gap names, None where it is replaced.

    The whole scope of a line without subjects counts as one. Lines may stand in any order.
    """
    newest: dict[tuple[str, str, str, str | None], int] = {}
    for line in lines:
        for subject in line.subjects or (None,):
            if line.id:
                key = (line.venue, line.feed, line.id, subject)
                newest[key] = max(line.seq or 0, newest.get(key, 0))
    found: list[list[str] | None] = []
    for line in lines:
        if not line.id:
            found.append(list(line.subjects))
            continue
        held = [
            subject
            for subject in line.subjects or (None,)
            if newest[line.venue, line.feed, line.id, subject] == (line.seq or 0)
        ]
        found.append([subject for subject in held if subject is not None] if held else None)
    return found


def is_first(gap_id: str | None, seq: int | None) -> bool:
    """Return whether a line is the first of its gap; in schema 1, without an id, each counts as one."""
    return not gap_id or gap_id.rpartition(":")[2] == str(seq)


def is_void(gap_id: str | None, seq: int | None, begin: object, end: object) -> bool:
    """Return whether a line says that there was no gap for its subjects: it ends where it begins.

    A first line cannot: a request that failed at once is a gap without a length.
    """
    return not is_first(gap_id, seq) and begin == end
