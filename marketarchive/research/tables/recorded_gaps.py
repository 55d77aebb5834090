"""Recorded gaps of some feeds as each run recorded them, to judge data made from that run.

What the archive is missing over all runs is in `closed_gaps.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from marketarchive.research import views
from marketarchive.research.engine import connect
from marketarchive.research.tables.normalize import bring_up_to_date
from marketarchive.research.tables.partitions import feeds


def recorded_gaps(
    root: Path, is_wanted: Callable[[str, str], bool], first: int, last: int
) -> list[dict[str, Any]]:
    """Return the rows of `gaps` that touch `first` to `last` (wall ns); bring the table up to date first.

    is_wanted: returns whether a (venue, feed) is needed; rows of other feeds may be included. Without an
    archived needed feed there are none. Raises ArchiveError.
    """
    wanted = [each for each in feeds(root) if is_wanted(*each)]
    if not wanted:
        return []
    bring_up_to_date(root, wanted, ("gaps",), first)  # a crash is noticed long after it
    with closing(connect()) as connection:
        views.view_gaps(connection, root, first, last)
        found: list[dict[str, Any]] = connection.sql("SELECT * FROM gaps").to_arrow_table().to_pylist()
    return found
