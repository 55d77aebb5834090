"""Recorded gaps of some feeds, as each recorder has them, for who asks which concern what it has made.

What the archive is missing, all recorders together, `closed_gaps.py` tells.
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
    """Return the rows of `gaps` that touch `first` to `last` (wall ns), the table brought up to date.

    is_wanted: of a venue and a feed, whose tables are brought up to date; rows of others may be among them.
    Nothing where none is archived. Raises ArchiveError.
    """
    wanted = [each for each in feeds(root) if is_wanted(*each)]
    if not wanted:
        return []
    bring_up_to_date(root, wanted, ("gaps",), first)  # a crash is noticed long after it
    with closing(connect()) as connection:
        views.view_gaps(connection, root, first, last)
        found: list[dict[str, Any]] = connection.sql("SELECT * FROM gaps").to_arrow_table().to_pylist()
    return found
