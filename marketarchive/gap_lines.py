"""Selection of the gap lines that are in force: a gap's newest line replaces earlier ones, for its subjects.

`research/tables/gaps.py` does the same in SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class GapLineKey(NamedTuple):
    """Fields of a gap line that decide which lines of a gap are in force.

    `id` is shared by all lines of a gap; None or "" in schema 1, where each line is a gap of its own.
    `subjects` are the keys or names in the gap's scope.
    """

    venue: str
    feed: str
    id: str | None
    seq: int | None
    subjects: Sequence[str]


def held_subjects(lines: Sequence[GapLineKey]) -> list[list[str] | None]:
    """Return, for each gap line, the subjects for which it is in force; None where newer lines replace it.

    A line is in force for a subject if no newer line (by seq) of the same gap names the subject. A line
    without subjects is about its whole scope, which counts as one subject. Lines may be in any order.
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
    """Return whether a gap line is the first of its gap.

    gap_id: `<run>:<seq of the first line>`, None or "" in schema 1, where every line is a gap of its own;
    seq: of the line.
    """
    return not gap_id or gap_id.rpartition(":")[2] == str(seq)


def is_void(gap_id: str | None, seq: int | None, begin: object, end: object) -> bool:
    """Return whether a gap line withdraws its gap: it is not the first line, and ends where it begins.

    gap_id, seq: as for `is_first`; begin, end: of the gap, in any unit. A first line of no length is a real
    gap, such as a request that failed at once.
    """
    return not is_first(gap_id, seq) and begin == end
