from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from marketarchive.simulator.noise import digest, unit, wave, waves


@given(st.integers(), st.text(max_size=5), st.integers(0, 18), st.integers(1_600_000_000, 2_000_000_000))
def test_waves_are_bounded_and_smooth(seed: int, name: str, octave: int, second: int) -> None:
    here, there = wave(seed, name, octave, second), wave(seed, name, octave, second + 1)
    assert -1 <= here <= 1
    assert abs(there - here) <= 2 * 1.5 / 2**octave + 1e-12  # steepest slope of the smooth step
    assert here == wave(seed, name, octave, second)


@given(st.integers(), st.text(max_size=5), st.integers(1_600_000_000, 2_000_000_000), st.integers(1, 70))
def test_waves_of_a_row_of_seconds_are_those_of_each(seed: int, name: str, first: int, count: int) -> None:
    weights, seconds = (1.0, 0.5, 3.25, 7.0), range(first, first + count)
    alone = [[wave(seed, name, octave, each) for octave in range(len(weights))] for each in seconds]
    added = [
        weights[0] * one + weights[1] * two + weights[2] * three + weights[3] * four
        for one, two, three, four in alone
    ]
    assert waves(seed, name, weights, seconds) == added


def test_keys_do_not_run_into_each_other() -> None:
    assert digest(8, 1, 23) != digest(8, 12, 3)
    assert 0 <= unit("a") < 1
    assert unit(1, "x") != unit(2, "x")
    assert wave(1, "x", 0, 7) == 2 * unit(1, "x", 0, 7) - 1
