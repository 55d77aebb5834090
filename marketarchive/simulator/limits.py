"""The documented request limits, over a sliding window of ten simulated seconds."""

from __future__ import annotations

from collections import deque

from marketarchive.times import SECOND

WINDOW_NS = 10 * SECOND


class Limits:
    """Counts requests per class; past the limit a request is refused and not counted."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[int]] = {}

    def wait(self, name: str, limit: int, now_ns: int) -> int:
        """0 when the request is within its limit, else whole seconds until it would be (Retry-After)."""
        seen = self._seen.setdefault(name, deque())
        while seen and seen[0] <= now_ns - WINDOW_NS:
            seen.popleft()
        if len(seen) < limit:
            seen.append(now_ns)
            return 0
        return max(1, -(-(seen[0] + WINDOW_NS - now_ns) // SECOND))
