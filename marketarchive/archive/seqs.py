"""Sets of sequence numbers (seq) of lines, kept as ranges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from marketarchive.archive.ledger import Entry


class Seqs:
    """Set of sequence numbers, kept as ranges: a run has millions of them per feed, nearly all in order."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """Create a set of the numbers in `ranges`, each (first, last) with both included."""
        self._ranges = list(ranges)

    def add(self, seqs: list[int]) -> None:
        if not seqs:
            return
        seqs.sort()
        start = seqs[0]
        if seqs == list(range(start, start + len(seqs))):
            self._extend(start, seqs[-1])
        else:
            for seq in seqs:
                self._extend(seq, seq)

    def update(self, other: Seqs) -> None:
        self._ranges += other._ranges

    def _extend(self, first: int, last: int) -> None:
        if self._ranges and self._ranges[-1][1] == first - 1:
            self._ranges[-1] = (self._ranges[-1][0], last)
        else:
            self._ranges.append((first, last))

    def merged(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return (the set as ascending, separate ranges, ranges that were added more than once)."""
        whole: list[tuple[int, int]] = []
        twice: list[tuple[int, int]] = []
        for first, last in sorted(self._ranges):
            if whole and first <= whole[-1][1] + 1:
                before, end = whole[-1]
                if first <= end:
                    twice.append((first, min(last, end)))
                whole[-1] = (before, max(last, end))
            else:
                whole.append((first, last))
        return whole, twice

    def first_missing(self) -> int:
        """Return the smallest number, from 1 on, that is not in the set."""
        whole, _ = self.merged()
        return whole[0][1] + 1 if whole and whole[0][0] == 1 else 1


class Unwritten:
    """Sequence numbers, from 1 on, that are not written: those below the highest written one, and all above.

    It is as large as the number of lines that later ones have overtaken.
    """

    def __init__(self) -> None:
        self._overtaken: set[int] = set()
        self._next = 1  # no number from here on is written

    def remove(self, seqs: Sequence[int]) -> None:
        """Note that the lines with these numbers are written."""
        if not seqs:
            return
        if (last := max(seqs)) >= self._next:
            self._overtaken.update(range(self._next, last + 1))
            self._next = last + 1
        self._overtaken.difference_update(seqs)

    @property
    def is_gapless(self) -> bool:
        """Return whether all numbers up to the highest written one are written."""
        return not self._overtaken

    def first(self) -> int:
        """Return the smallest number that is not written."""
        return min(self._overtaken, default=self._next)


def claimed(entry: Entry) -> Seqs | None:
    """Return the sequence numbers of a segment, taken from its ledger line without reading the segment.

    None where the line does not prove them: its number of lines is not that of the range seq_min to seq_max.
    """
    first, last = entry["seq_min"], entry["seq_max"]
    with_seq = sum(entry["counts"].get(kind, 0) for kind in ("response", "frame", "connection", "gap"))
    if first is None or last is None:
        return Seqs() if with_seq == 0 else None
    return Seqs([(first, last)]) if last - first + 1 == with_seq else None
