"""Counters of documented request limits: sliding windows of ten simulated seconds, and token buckets."""

from __future__ import annotations

from collections import deque

from marketarchive.simulator.messages import Bucket
from marketarchive.times import SECOND, to_seconds

WINDOW_NS = 10 * SECOND


class Limits:
    """Counter of requests by class of limit. A request beyond its limit is refused and not counted."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[int]] = {}
        self._left: dict[str, tuple[float, int]] = {}  # name of a bucket -> (tokens left, when counted in ns)

    def take(self, bucket: Bucket, now_ns: int) -> bool:
        """Take the tokens of a request from its bucket; return whether there were enough.

        now_ns: simulated wall clock, ns.
        """
        left, since = self._left.get(bucket.name, (bucket.capacity, now_ns))
        left = min(bucket.capacity, left + to_seconds(max(now_ns - since, 0)) * bucket.per_second)
        is_within = left >= bucket.cost
        self._left[bucket.name] = (left - bucket.cost if is_within else left, now_ns)
        return is_within

    def wait(self, name: str, limit: int, now_ns: int) -> int:
        """Count a request and return 0 if it is within the limit, else the seconds to wait (for Retry-After).

        name: class of the limit; limit: requests per ten seconds; now_ns: simulated wall clock, ns.
        """
        seen = self._seen.setdefault(name, deque())
        while seen and seen[0] <= now_ns - WINDOW_NS:
            seen.popleft()
        if len(seen) < limit:
            seen.append(now_ns)
            return 0
        return max(1, -(-(seen[0] + WINDOW_NS - now_ns) // SECOND))
