"""Randomness without state: every value is a hash of the seed and a key, so any moment can be asked first."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b


def digest(size: int, *key: object) -> bytes:
    """`size` bytes (at most 64) that depend on `key` only."""
    return blake2b("|".join(map(str, key)).encode(), digest_size=size).digest()


def bits(*key: object) -> int:
    """A whole number of 64 bits."""
    return int.from_bytes(digest(8, *key))


def unit(*key: object) -> float:
    """A number in [0, 1)."""
    return bits(*key) / 2**64


@lru_cache(maxsize=1 << 17)
def _lattice(seed: int, name: str, octave: int, index: int) -> float:
    return 2 * unit(seed, name, octave, index) - 1


def wave(seed: int, name: str, octave: int, second: int) -> float:
    """Value noise in [-1, 1] at a period of 2**octave seconds, smooth in between."""
    index, rest = divmod(second, 1 << octave)
    left = _lattice(seed, name, octave, index)
    if rest == 0:
        return left
    x = rest / (1 << octave)
    return left + (_lattice(seed, name, octave, index + 1) - left) * x * x * (3 - 2 * x)
