"""Masks over the seconds of a day: which of them a time span covers, and what is known of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]
    States = np.ndarray[tuple[int], np.dtype[np.uint8]]

SECONDS = 86_400
US = 1_000_000

# what is known of a second; where two runs differ, the higher state counts
UNTRACKED, UNKNOWN, GAPPED, QUIET, OBSERVED = range(5)


class Day:
    """A UTC day in us, and the seconds of masks over it.

    `first` is the day's midnight, or `ahead` seconds before it, where masks begin; `end` is the next
    midnight.
    """

    def __init__(self, midnight: int, ahead: int = 0) -> None:
        self.first = midnight - ahead * US
        self.end = midnight + SECONDS * US
        self.seconds = SECONDS + ahead

    def none(self) -> Mask:
        import numpy as np

        return np.zeros(self.seconds, dtype=np.bool_)

    def hold(self, mask: Mask, start: int, end: int) -> None:
        """Mark in `mask` the seconds whose end t is in `start` < t <= `end` (us)."""
        first, last = (start - self.first) // US, (end - self.first) // US
        mask[max(0, first) : max(0, last)] = True

    def during(self, start: int, end: int) -> Mask:
        """Return a mask of the seconds whose end t is in `start` <= t < `end` (us)."""
        found = self.none()
        self.hold(found, start - 1, end - 1)
        return found

    def touch(self, mask: Mask, start: int, end: int) -> None:
        """Mark in `mask` the seconds that overlap `start` to `end` (us); an instant is in one second."""
        first, last = (start - self.first) // US, -((self.first - end) // US)
        mask[max(0, first) : max(0, last, first + 1)] = True

    def at(self, seconds: Iterable[int]) -> Mask:
        """Return a mask of the seconds with these indices; those outside of the mask are ignored."""
        import numpy as np

        found = self.none()
        found[np.fromiter((each for each in seconds if 0 <= each < self.seconds), dtype=np.int64)] = True
        return found

    def since(self, mask: Mask, seconds: int) -> Mask:
        """Return a mask of each second of `mask` and the `seconds` - 1 seconds after it."""
        import numpy as np

        total = np.cumsum(mask, dtype=np.int64)
        before = np.concatenate((np.zeros(seconds, dtype=np.int64), total[:-seconds]))
        return total > before

    def states(self, tracked: Mask, gapped: Mask, observed: Mask, quiet: Mask) -> States:
        """Return the state of each second from one run's data; a gap outweighs an observation."""
        import numpy as np

        known = np.select([gapped, observed, quiet], [GAPPED, OBSERVED, QUIET], UNKNOWN)
        return np.where(tracked, known, UNTRACKED).astype(np.uint8)
