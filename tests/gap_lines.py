"""Which lines of a gap hold, worked out here again, so that what the package says of it can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Holding(NamedTuple):
    """A gap line, as it is written, and which of its subjects it holds for."""

    line: Mapping[str, Any]
    subjects: tuple[str, ...]


def holding(lines: Iterable[tuple[str, str, Mapping[str, Any], Iterable[str]]]) -> list[Holding]:
    """Return those of `lines` (venue, feed, line, subjects) that hold, in their order.

    Of the lines with the same id the newest one that names a subject holds for it; one that ends where it
    begins, and is not the first, says that there was no gap.
    """
    given = [(venue, feed, line, tuple(subjects) or ("",)) for venue, feed, line, subjects in lines]
    newest: dict[tuple[str, str, str, str], int] = {}
    for venue, feed, line, subjects in given:
        for subject in subjects if "id" in line else ():
            key = (venue, feed, line["id"], subject)
            newest[key] = max(newest.get(key, 0), line["seq"])
    found = []
    for venue, feed, line, subjects in given:
        if "id" in line:
            held = [each for each in subjects if newest[venue, feed, line["id"], each] == line["seq"]]
            is_later = not line["id"].endswith(f":{line['seq']}")
            if not held or (is_later and line["from"] == line["to"]):
                continue
            found.append(Holding(line, tuple(filter(None, held))))
        else:
            found.append(Holding(line, tuple(filter(None, subjects))))
    return found
