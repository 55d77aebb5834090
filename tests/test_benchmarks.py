"""What is installed for the tests runs the benchmarks too."""

from __future__ import annotations

import sys

import pytest

from benchmarks.__main__ import main, names


def test_every_benchmark_says_what_it_measures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == names()
    assert all(len(line.split()) > 5 for line in lines)
