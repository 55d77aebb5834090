from __future__ import annotations

import pytest

from marketarchive.exceptions import ConfigurationError, TooFastError
from marketarchive.simulator.pace import ALLOWED_S, STRIKES, Pace
from marketarchive.simulator.server import Options, Server, serve


def test_lateness_counts_in_simulated_seconds() -> None:
    slow, fast = Pace(1), Pace(100)
    for _ in range(STRIKES):
        slow.judge(0.5)
    assert slow.sustained == ALLOWED_S / 0.5
    for _ in range(STRIKES - 1):
        fast.judge(0.5)
    fast.judge(0.001)  # one probe in time: no strike
    fast.judge(0.5)
    fast.judge(0.5)
    with pytest.raises(TooFastError, match=r"at --speed 100; this machine sustained about 4: choose a lower"):
        fast.judge(0.5)


async def test_a_server_that_falls_behind_ends_with_an_error() -> None:
    ready: list[str] = []
    with pytest.raises(TooFastError):
        await Server([], Options(port=0, speed=1e12)).run(ready.append)
    assert ready[0].startswith("http://127.0.0.1:")


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ConfigurationError, match="--speed -1"):
        serve([], Options(port=0, speed=-1), print)
