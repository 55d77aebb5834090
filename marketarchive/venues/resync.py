"""Buffer of a book's recent deltas, replayed when a late or older snapshot replaces the book."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class DeltaBuffer(Generic[T]):
    """The newest deltas of a key with their venue times, in the order received."""

    __slots__ = ("_kept", "_size")

    def __init__(self, size: int) -> None:
        """Create a buffer. size: most deltas that are kept; the oldest are dropped."""
        self._size = size
        self._kept: deque[tuple[int, T]] = deque(maxlen=size)

    def __bool__(self) -> bool:
        return bool(self._kept)

    def __iter__(self) -> Iterator[tuple[int, T]]:
        return iter(self._kept)

    @property
    def last(self) -> T:
        """Return the newest delta. Raises IndexError when the buffer is empty."""
        return self._kept[-1][1]

    def add(self, at: int, delta: T) -> None:
        """Append a delta. at: its venue time."""
        self._kept.append((at, delta))

    def clear(self) -> None:
        """Remove all deltas, because a snapshot contains them."""
        self._kept.clear()

    def copy(self) -> DeltaBuffer[T]:
        """Return an independent copy of the buffer."""
        made = DeltaBuffer[T](self._size)
        made._kept = self._kept.copy()
        return made

    def after(self, at: int) -> DeltaBuffer[T]:
        """Return a new buffer with the deltas whose venue time is after `at`."""
        made = DeltaBuffer[T](self._size)
        made._kept.extend(each for each in self._kept if each[0] > at)
        return made

    def has(self, at: int, delta: T) -> bool:
        """Return whether the buffer contains this delta with the venue time `at`."""
        for kept_at, kept in reversed(self._kept):
            if kept_at < at:
                return False
            if kept == delta and kept_at == at:
                return True
        return False

    def covers(self, at: int) -> bool:
        """Return whether the buffer still contains every delta received with a venue time after `at`."""
        return len(self._kept) < self._size or self._kept[0][0] <= at
