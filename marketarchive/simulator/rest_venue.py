"""Base of simulated venues without sockets."""

from __future__ import annotations

from typing import Any

from marketarchive.simulator.messages import SimRequest
from marketarchive.simulator.sockets import SimSession


class SimRestVenue:
    """Base class of a simulated venue that only answers HTTP requests, and has no markets in the truth."""

    def connect(self, request: SimRequest, number: int, now_ns: int) -> SimSession | None:
        """Return None: the venue has no sockets."""
        del request, number, now_ns
        return None

    def truth(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """Return no markets: the truth of this venue is only in the responses served."""
        del start_ns, end_ns
        return []
