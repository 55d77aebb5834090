"""Train, validation and test splits of resolved markets by event and time, so that no row leaks answers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from marketarchive.exceptions import ArgumentError
from marketarchive.research.products.catalog.leaks import Row, words

NAMES = ("train", "validation", "test")


def shares_of(given: str) -> tuple[float, ...]:
    """Parse two or three percents that sum to 100, like "80,10,10", into fractions. Raises ArgumentError."""
    try:
        shares = tuple(float(each) / 100 for each in given.split(","))
    except ValueError:
        shares = ()
    if len(shares) not in (2, 3) or min(shares) < 0 or not math.isclose(sum(shares), 1):
        raise ArgumentError(f"--split {given} is not two or three percents like 80,10,10")
    return shares


def splits(rows: Sequence[Row], shares: Sequence[float]) -> list[str | None]:
    """Return the split of each row: one of NAMES, or None for a row that would leak between two.

    shares: fraction of the rows by split, in the order of NAMES. All markets of an event have the same split.
    A split ends before the next begins, by time of resolution; an event that straddles the border is in none.
    Nor is the first event of a series after a border: its strike reveals how the round before it ended.
    """
    events: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        events[row["platform"], row["group"]].append(place)
    ordered = sorted(row["settled_at"] for row in rows)
    places = [round(sum(shares[:count]) * len(ordered)) for count in range(1, len(shares))]
    borders = [ordered[place] for place in places if place < len(ordered)]
    times = {event: [rows[place]["settled_at"] for place in members] for event, members in events.items()}
    chosen: dict[tuple[str, str], str | None] = {}
    for event, settled in times.items():
        first, last = (sum(border <= at for border in borders) for at in (min(settled), max(settled)))
        chosen[event] = NAMES[first] if first == last else None
    ladders: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for event, members in events.items():
        if rows[members[0]]["series"] is not None:
            ladders[event[0], rows[members[0]]["series"]].append(event)
    for rounds in ladders.values():
        rounds.sort(key=lambda event: (max(times[event]), event))
        for before, after in pairwise(rounds):
            if chosen[before] is not None and chosen[after] != chosen[before]:
                chosen[after] = None
    return [chosen[row["platform"], row["group"]] for row in rows]


def first_of_each_question(rows: Sequence[Row]) -> list[bool]:
    """Return a flag per row: true if it is the first, by time of resolution, with a title of these words."""
    order = sorted(range(len(rows)), key=lambda place: rows[place]["settled_at"])
    seen: set[tuple[str, ...]] = set()
    kept = [True] * len(rows)
    for place in order:
        question = tuple(words(rows[place]["title"] or ""))
        kept[place] = not question or question not in seen
        seen.add(question)
    return kept
