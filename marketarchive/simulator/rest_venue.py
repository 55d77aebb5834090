"""The part that simulated venues without sockets share."""

from __future__ import annotations

from typing import Any

from marketarchive.simulator.messages import SimRequest
from marketarchive.simulator.sockets import SimSession


class SimRestVenue:
    """Base of a venue that answers requests alone, and leaves no truth of frames."""

    def connect(self, request: SimRequest, number: int, now_ns: int) -> SimSession | None:
        """Return None: nothing is sent on sockets."""
        del request, number, now_ns
        return None

    def truth(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """Return no markets."""
        del start_ns, end_ns
        return []
