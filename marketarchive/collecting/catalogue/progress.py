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
    """State of a cycle in progress; `place` is the position in its step, {} at the step's beginning."""

    started: int  # wall ns, whole microseconds
    pages: int = 0
    markets: int = 0
    failures: int = 0
    step: int = 0
    place: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, now: int) -> CycleProgress:
        """Return that of a cycle that begins at `now`, wall ns."""
        return cls(now // MICROSECOND * MICROSECOND)

    @classmethod
    def of(cls, cycle: Cycle) -> CycleProgress:
        """Return that of a cycle that goes on."""
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
        """Return `state` as an item of the archive; now: wall ns."""
        position = json.dumps({"step": self.step, "place": self.place}) if state == "running" else ""
        counts = self.pages, self.markets, self.failures
        return Cycle(venue, feed, now, phase, self.started, state, *counts, position)
