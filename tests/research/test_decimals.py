"""Decimals become the nearest doubles."""

from __future__ import annotations

from fractions import Fraction
from math import ulp

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.research.decimals import doubles

SCALE = 18
unscaled = st.integers(-(2**54), 2**54) | st.integers(-(10**38) + 1, 10**38 - 1) | st.integers(10**15, 10**24)


def exact(numbers: list[int | None], scale: int, precision: int = 38) -> pa.Array:
    words = b"".join((each or 0).to_bytes(16, "little", signed=True) for each in numbers)
    known = pa.array([each is not None for each in numbers]).buffers()[1]
    return pa.Array.from_buffers(pa.decimal128(precision, scale), len(numbers), [known, pa.py_buffer(words)])


@given(numbers=st.lists(unscaled | st.none(), min_size=1), scale=st.sampled_from((0, 1, 6, 9, 18, 20, 37)))
def test_each_is_the_nearest(numbers: list[int | None], scale: int) -> None:
    for found, number in zip(doubles(exact(numbers, scale)).tolist(), numbers, strict=True):
        if number is None:
            assert found != found
        else:
            assert found == float(Fraction(number, 10**scale))


@given(price=st.floats(2**-10, 2**40), steps=st.integers(-3, 3), nudge=st.sampled_from((-1, 0, 1)))
def test_ties_are_even(price: float, steps: int, nudge: int) -> None:
    """Half way between two doubles, or as little beside it as a decimal can say; around powers of two too."""
    for near in (price, 2.0 ** round(price).bit_length()):
        between = Fraction(near) + Fraction(ulp(near)) * steps / 4
        number = round(between * 10**SCALE) + nudge
        assert doubles(exact([number], SCALE)).tolist() == [float(Fraction(number, 10**SCALE))]


def test_a_slice_is_read_from_where_it_begins() -> None:
    values = exact([1, 5 * 10**17, 10**23 + 1, None], SCALE)
    assert doubles(values.slice(1, 2)).tolist() == [0.5, pytest.approx(100_000)]


@given(
    numbers=st.lists(st.integers(-(10**18) + 1, 10**18 - 1) | st.integers(-99, 99) | st.none(), min_size=1)
)
def test_narrow_decimals_too(numbers: list[int | None]) -> None:
    found = doubles(exact(numbers, 9, 18)).tolist()
    wanted = [None if each is None else float(Fraction(each, 10**9)) for each in numbers]
    assert [None if each != each else each for each in found] == wanted
