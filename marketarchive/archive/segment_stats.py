"""Figures of a segment's lines while they are written, for its ledger line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from marketarchive.archive.lines import Built
from marketarchive.times import iso


@dataclass(slots=True)
class SegmentStats:
    """Figures of the lines written to one segment."""

    lines: int = 0
    counts: Counter[str] = field(default_factory=Counter)  # number of lines by kind
    statuses: Counter[str] = field(default_factory=Counter)  # number of responses by HTTP status
    gaps: Counter[str] = field(default_factory=Counter)  # number of gaps by reason
    seq_min: int | None = None
    seq_max: int | None = None
    first: int | None = None  # wall ns; earliest collected_at_utc
    last: int | None = None  # wall ns; latest collected_at_utc

    def add(self, built: Built) -> None:
        _, _, kind, lines, parts, first, last, seqs, status, reason = built
        self.lines += lines
        self.counts[kind] += lines - parts
        if parts:
            self.counts["part"] += parts
        if status is not None:
            self.statuses[str(status)] += 1
        if reason is not None:
            self.gaps[reason] += 1
        if self.first is None or first < self.first:
            self.first = first
        if self.last is None or last > self.last:
            self.last = last
        if seqs:
            low, high = min(seqs), max(seqs)
            if self.seq_min is None or low < self.seq_min:
                self.seq_min = low
            if self.seq_max is None or high > self.seq_max:
                self.seq_max = high

    def add_end(self) -> None:
        """Count the segment's `end` line, which has neither time nor seq."""
        self.lines += 1
        self.counts["end"] += 1

    def fields(self) -> dict[str, Any]:
        """Return the figures that the segment's ledger line states."""
        return {
            "lines": self.lines,
            "first": None if self.first is None else iso(self.first),
            "last": None if self.last is None else iso(self.last),
            "seq_min": self.seq_min,
            "seq_max": self.seq_max,
            "counts": dict(sorted(self.counts.items())),
            "statuses": dict(sorted(self.statuses.items())),
            "gaps": dict(sorted(self.gaps.items())),
        }
