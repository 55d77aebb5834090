"""Resync of a book: deltas are kept, to be replayed on a late or older snapshot."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class DeltaBuffer(Generic[T]):
    """The newest deltas of a key with their venue times, oldest first."""

    __slots__ = ("_kept", "_size")

    def __init__(self, size: int) -> None:
        """Prepare a buffer. size: deltas that are kept at most."""
        self._size = size
        self._kept: deque[tuple[int, T]] = deque(maxlen=size)

    def __bool__(self) -> bool:
        return bool(self._kept)

    def __iter__(self) -> Iterator[tuple[int, T]]:
        return iter(self._kept)

    @property
    def last(self) -> T:
        """Return the newest delta. Raises IndexError when there is none."""
        return self._kept[-1][1]

    def add(self, at: int, delta: T) -> None:
        """Keep a delta of venue time `at`."""
        self._kept.append((at, delta))

    def clear(self) -> None:
        """Forget all: a snapshot holds them."""
        self._kept.clear()

    def copy(self) -> DeltaBuffer[T]:
        """Return a buffer that changes by itself."""
        made = DeltaBuffer[T](self._size)
        made._kept = self._kept.copy()
        return made

    def after(self, at: int) -> DeltaBuffer[T]:
        """Return the deltas with a venue time after `at`."""
        made = DeltaBuffer[T](self._size)
        made._kept.extend(each for each in self._kept if each[0] > at)
        return made

    def has(self, at: int, delta: T) -> bool:
        """Return whether this very delta was kept; deltas lie in the order of their times."""
        for kept_at, kept in reversed(self._kept):
            if kept_at < at:
                return False
            if kept == delta and kept_at == at:
                return True
        return False

    def covers(self, at: int) -> bool:
        """Return whether no delta after `at` can have been forgotten."""
        return len(self._kept) < self._size or self._kept[0][0] <= at
