"""The seconds of a day as masks: which of them a time span covers, and what was known in each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]
    States = np.ndarray[tuple[int], np.dtype[np.uint8]]

SECONDS = 86_400
US = 1_000_000

# what is known of a second; of two recordings the higher one counts
UNTRACKED, UNKNOWN, GAPPED, QUIET, OBSERVED = range(5)


class Day:
    """Times are us; `first` is the day's midnight, or so many seconds `ahead` of it."""

    def __init__(self, midnight: int, ahead: int = 0) -> None:
        self.first = midnight - ahead * US
        self.end = midnight + SECONDS * US
        self.seconds = SECONDS + ahead

    def none(self) -> Mask:
        import numpy as np

        return np.zeros(self.seconds, dtype=np.bool_)

    def hold(self, mask: Mask, start: int, end: int) -> None:
        """Mark the seconds at whose end `start` < t <= `end`."""
        first, last = (start - self.first) // US, (end - self.first) // US
        mask[max(0, first) : max(0, last)] = True

    def during(self, start: int, end: int) -> Mask:
        """Return a mask of the seconds at whose end `start` <= t < `end`."""
        found = self.none()
        self.hold(found, start - 1, end - 1)
        return found

    def touch(self, mask: Mask, start: int, end: int) -> None:
        """Mark the seconds of which any part lies within `start` and `end`; an instant touches one."""
        first, last = (start - self.first) // US, -((self.first - end) // US)
        mask[max(0, first) : max(0, last, first + 1)] = True

    def at(self, seconds: Iterable[int]) -> Mask:
        """Return a mask of the seconds with these numbers, from 0."""
        import numpy as np

        found = self.none()
        found[np.fromiter((each for each in seconds if 0 <= each < self.seconds), dtype=np.int64)] = True
        return found

    def since(self, mask: Mask, seconds: int) -> Mask:
        """Return a mask of each second of `mask` and those after it, `seconds` of them in all."""
        import numpy as np

        total = np.cumsum(mask, dtype=np.int64)
        before = np.concatenate((np.zeros(seconds, dtype=np.int64), total[:-seconds]))
        return total > before

    def states(self, tracked: Mask, gapped: Mask, observed: Mask, quiet: Mask) -> States:
        """Return the state of each second by one run's data; a gap outweighs an observation."""
        import numpy as np

        known = np.select([gapped, observed, quiet], [GAPPED, OBSERVED, QUIET], UNKNOWN)
        return np.where(tracked, known, UNTRACKED).astype(np.uint8)
