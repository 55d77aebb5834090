"""Aimed scenarios, each one that went wrong in a collector somewhere."""

from __future__ import annotations

from typing import get_args

import pytest

from marketarchive.venues.channel import Proof
from tests.collecting.completeness.judge import Judge
from tests.collecting.completeness.scenarios import SCENARIOS, quiet_world
from tests.collecting.completeness.venue_model import Fault, World

PROOFS = get_args(Proof)


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str) -> None:
    SCENARIOS[name]()


@pytest.mark.parametrize("proof", PROOFS)
@pytest.mark.parametrize("rest", ["down", "hang"])
def test_all_is_withheld_to_the_stop(proof: Proof, rest: str) -> None:
    """Every item that was withheld lies in a gap, whether REST fails or hangs."""
    faults = [Fault("stall", 20_000, 99_000), Fault("silent", 20_000, 99_000)]
    faults.append(Fault("down" if rest == "down" else "hang", 20_000, 99_000))
    judge = Judge(World(proof, [300, 4_000, 20_000], faults, seed=3, length=65_000).run())
    assert judge.problems() == []
    assert sum(map(len, judge.missing.values())) > 50
    assert not judge.exempt


@pytest.mark.parametrize("proof", PROOFS)
def test_a_planned_renewal_makes_no_gap(proof: Proof) -> None:
    for seed in range(5):
        world = World(proof, [300, 4_000, 20_000], seed=seed, length=150_000, renew_s=30.0).run()
        assert world.lines == []
        assert 4 <= world.opened <= 7


@pytest.mark.parametrize("proof", PROOFS)
def test_a_pause_of_our_own_process_makes_no_gap(proof: Proof) -> None:
    """What arrived meanwhile waits in the socket and is looked at first."""
    world = World(proof, [300, 4_000], [Fault("paused", 20_000, 40_000)], seed=2, length=90_000).run()
    assert Judge(world).problems() == []
    assert world.lines == []
    assert world.opened == 1


@pytest.mark.parametrize("count", [10, 100, 400])
@pytest.mark.parametrize("proof", ["hash", "sequence"])
def test_gap_lines_are_linear_in_keys(count: int, proof: Proof) -> None:
    world = World(proof, [8_000] * count, [Fault("close", 20_000, 21_000)], length=40_000).run()
    assert Judge(world).problems() == []
    assert sum(len(line.keys) for line in world.lines) <= 3.5 * count


def test_damaged_answers_make_no_storm_of_requests() -> None:
    faults = [Fault("damage", 20_000, 50_000)]
    world = World("sequence", [300, 300, 1_500], faults, length=90_000).run()
    assert Judge(world).problems() == []
    assert world.requests < 3 * 70  # a key, connection and 2 s: with two connections at a time


def test_keys_without_faults_make_no_lines() -> None:
    for proof in PROOFS:
        assert quiet_world(proof).lines == []
