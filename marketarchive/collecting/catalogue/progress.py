"""Progress of a cycle, and its form in `cycle` lines of the archive."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marketarchive.items import Cycle, CycleState, Phase
from marketarchive.times import MICROSECOND


@dataclass
class CycleProgress:
    """State of a running cycle: a pass of one phase (discover, snapshot, resolve) over a venue's markets.

    A step is one of the lists that the pass reads; `place` is the position within it, {} at its beginning.
    """

    started: int  # wall ns, whole microseconds
    pages: int = 0  # answers read
    markets: int = 0  # listed in them
    failures: int = 0  # requests that failed
    step: int = 0  # index of the step in progress
    place: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, now: int) -> CycleProgress:
        """Return the progress of a cycle that begins at `now`, wall ns."""
        return cls(now // MICROSECOND * MICROSECOND)

    @classmethod
    def of(cls, cycle: Cycle) -> CycleProgress:
        """Return the progress that an archived `cycle` line describes, to resume that cycle."""
        found: Mapping[str, Any] = json.loads(cycle.position) if cycle.position else {}
        return cls(
            cycle.started,
            cycle.pages,
            cycle.markets,
            cycle.failures,
            found.get("step", 0),
            found.get("place", {}),
        )

    def cycle(self, venue: str, feed: str, phase: Phase, state: CycleState, now: int) -> Cycle:
        """Return the item for a `cycle` line of the archive that states this progress.

        state: of the cycle; now: wall ns.
        """
        position = json.dumps({"step": self.step, "place": self.place}) if state == "running" else ""
        counts = self.pages, self.markets, self.failures
        return Cycle(venue, feed, now, phase, self.started, state, *counts, position)
