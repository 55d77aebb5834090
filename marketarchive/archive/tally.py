"""What a segment's lines add up to: the figures of its ledger line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from marketarchive.archive.lines import Built
from marketarchive.clock import iso


@dataclass(slots=True)
class Tally:
    """Counts of lines by kind, of responses by status, of gaps by reason; ranges of seq and of time."""

    lines: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    seq_min: int | None = None
    seq_max: int | None = None
    first: int | None = None  # ns; of every line with collected_at_utc
    last: int | None = None

    def add(self, built: Built) -> None:
        self.lines += built.lines
        self.counts[built.kind] += built.lines - built.parts
        if built.parts:
            self.counts["part"] += built.parts
        if built.status is not None:
            self.statuses[str(built.status)] += 1
        if built.reason is not None:
            self.gaps[built.reason] += 1
        self.first = built.first if self.first is None else min(self.first, built.first)
        self.last = built.last if self.last is None else max(self.last, built.last)
        if built.seq_min is not None and built.seq_max is not None:
            self.seq_min = built.seq_min if self.seq_min is None else min(self.seq_min, built.seq_min)
            self.seq_max = built.seq_max if self.seq_max is None else max(self.seq_max, built.seq_max)

    def add_end(self) -> None:
        """The end line has neither time nor seq."""
        self.lines += 1
        self.counts["end"] += 1

    def fields(self) -> dict[str, Any]:
        """As the ledger writes them."""
        return {
            "lines": self.lines,
            "first": None if self.first is None else iso(self.first),
            "last": None if self.last is None else iso(self.last),
            "seq_min": self.seq_min,
            "seq_max": self.seq_max,
            "counts": dict(sorted(self.counts.items())),
            "statuses": dict(sorted(self.statuses.items())),
        }
