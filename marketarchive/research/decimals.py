"""Conversion of Arrow's decimals to the nearest doubles, so that equal prices stay equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[tuple[int], np.dtype[Any]]

_EXACT = 2**53
_POWER = 22
"""Integers up to _EXACT and powers of ten up to 10**_POWER are exact as doubles."""


def doubles(values: pa.Array) -> Array:
    """Return the nearest doubles of decimal128 `values`, ties to even; NaN where null."""
    import numpy as np

    if values.null_count == len(values):
        return np.full(len(values), np.nan)
    scale = values.type.scale
    words = np.frombuffer(values.buffers()[1], "<i8").reshape(-1, 2)[values.offset :][: len(values)]
    low, high = words.T.copy()
    found: Array
    if scale <= _POWER and values.type.precision <= 18 and low.min() >= -_EXACT and low.max() <= _EXACT:
        found = low / 10.0**scale
        others = np.empty(0, "i8")
    else:
        is_small = (high == low >> 63) & (abs(low) <= _EXACT) & (scale <= _POWER)
        quotient, is_sure = _quotients(low.view("u8"), high, min(scale, 18))
        found = np.where(is_small, low / 10.0**scale, quotient)
        others = np.flatnonzero(~is_small & (~is_sure | (scale > 18)))
    if values.null_count:
        found[values.is_null().to_numpy(zero_copy_only=False)] = np.nan
    found[others] = [np.nan if each is None else float(each) for each in values.take(others).to_pylist()]
    return found


def _quotients(low: Array, high: Array, scale: int) -> tuple[Array, Array]:
    """Return (high * 2**64 + low) / 10**scale, and a mask: true where it is surely the nearest double.

    A quotient of doubles is off by a few units of its last place at most. The remainder shows how many, and
    is small enough that 64 bits hold it, whatever overflows above them on the way.
    """
    import numpy as np

    bits = ((high * 2.0**64 + low) / 10.0**scale).view("i8")
    digits = bits & (2**52 - 1) | 2**52  # in units of the last place, which is 2**-shift
    shift = 1075 - (bits >> 52)
    is_sure = (high >= 0) & (high < _EXACT) & (shift >= 0) & (shift < 64)
    remainder = ((low << (shift & 63).view("u8")) - digits.view("u8") * np.uint64(10**scale)).view("i8")
    units = remainder / 10.0**scale
    off = np.rint(units)
    is_sure &= abs(units - off) < 0.499999  # midway between two doubles the caller decides
    is_sure &= (digits + off > 2**52) & (digits + off <= 2**53)  # outside, the last place has another size
    return (bits + off.astype("i8")).view("f8"), is_sure
