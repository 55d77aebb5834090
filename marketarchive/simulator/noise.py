"""Randomness without state: every value is a hash of seed and key, so values can be computed in any order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b


def digest(size: int, *key: object) -> bytes:
    """Return `size` bytes (at most 64) that depend on `key` alone."""
    return blake2b("|".join(map(str, key)).encode(), digest_size=size).digest()


def bits(*key: object) -> int:
    """Return an integer of 64 bits that depends on `key` alone."""
    return int.from_bytes(digest(8, *key))


def unit(*key: object) -> float:
    """Return a number in [0, 1) that depends on `key` alone."""
    return bits(*key) / 2**64


@lru_cache(maxsize=1 << 17)
def _lattice(seed: int, name: str, octave: int, index: int) -> float:
    key = f"{seed}|{name}|{octave}|{index}"  # as in `digest`, which takes longer to put it together
    return 2 * (int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) / 2**64) - 1


@lru_cache(maxsize=1 << 16)
def _ramp(seed: int, name: str, octave: int, index: int) -> tuple[float, float]:
    """Return the value noise at the start of a period, and its rise until the start of the next.

    name: of the noise; octave: a period has 2**octave seconds; index: number of the period.
    """
    left = _lattice(seed, name, octave, index)
    return left, _lattice(seed, name, octave, index + 1) - left


def wave(seed: int, name: str, octave: int, second: int) -> float:
    """Return value noise in [-1, 1]: random at multiples of 2**octave seconds, smooth in between.

    name: of the noise; second: Unix seconds.
    """
    index, rest = divmod(second, 1 << octave)
    left, rise = _ramp(seed, name, octave, index)
    x = rest / (1 << octave)
    return left + rise * x * x * (3 - 2 * x)


def waves(seed: int, name: str, weights: Sequence[float], seconds: range) -> list[float]:
    """Return noise for consecutive seconds: the sum of `wave` of octaves 0, 1, ..., each times its weight."""
    totals = [0.0] * len(seconds)
    for octave, weight in enumerate(weights):
        size = 1 << octave
        newest = None
        for place, second in enumerate(seconds):
            index = second >> octave
            if index != newest:
                newest = index
                left, rise = _ramp(seed, name, octave, index)
            x = (second & size - 1) / size
            totals[place] += weight * (left + rise * x * x * (3 - 2 * x))
    return totals
