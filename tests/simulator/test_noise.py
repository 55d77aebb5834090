from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from marketarchive.simulator.noise import digest, unit, wave


@given(st.integers(), st.text(max_size=5), st.integers(0, 18), st.integers(1_600_000_000, 2_000_000_000))
def test_waves_are_bounded_and_smooth(seed: int, name: str, octave: int, second: int) -> None:
    here, there = wave(seed, name, octave, second), wave(seed, name, octave, second + 1)
    assert -1 <= here <= 1
    assert abs(there - here) <= 2 * 1.5 / 2**octave + 1e-12  # steepest slope of the smooth step
    assert here == wave(seed, name, octave, second)


def test_keys_do_not_run_into_each_other() -> None:
    assert digest(8, 1, 23) != digest(8, 12, 3)
    assert 0 <= unit("a") < 1
    assert unit(1, "x") != unit(2, "x")
