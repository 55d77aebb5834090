"""Scenarios that a rule of completeness exists for: each raises AssertionError where the rule is broken.

`module` is what stands in for `marketarchive.collecting.streams.completeness`: mutants are tried with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from marketarchive.collecting.streams import completeness as real
from marketarchive.venues.channel import Proof
from tests.collecting.completeness.judge import Judge
from tests.collecting.completeness.venue_model import Fault, World

SCENARIOS: dict[str, Callable[..., None]] = {}


def scenario(function: Callable[..., None]) -> Callable[..., None]:
    SCENARIOS[function.__name__] = function
    return function


def quiet_world(proof: Proof, module: Any = real) -> World:
    return World(proof, [300, 4_000, 20_000], seed=7, length=60_000, module=module).run()


@scenario
def dated_ten_minutes_ahead(module: Any = real) -> None:
    """L2: a state dated well ahead is no base, and nothing is frozen by it."""
    for proof in ("hash", "sequence"):
        faults = [Fault("ahead", 20_000, 20_700, 600_000)]
        world = World(proof, [300, 4_000], faults, seed=3, length=90_000, module=module).run()  # type: ignore[arg-type]
        judge = Judge(world)
        assert judge.problems() == []
        assert all(end < 40_000 for _, end in judge.gaps["k0"])
        assert [row for key, tick, row in world.rows if key == "k0" and tick > 40_000 and row is None] == []


@scenario
def renewal_meets_accept_and_silent(module: Any = real) -> None:
    """L3: a healthy connection is never given up for one that brings nothing."""
    for proof in ("hash", "sequence", "cadence", "none"):
        faults = [Fault("silent", 27_000, 60_000)]
        world = World(proof, [300, 4_000], faults, seed=3, length=90_000, renew_s=30.0, module=module)  # type: ignore[arg-type]
        judge = Judge(world.run())
        assert judge.missing == {"k0": [], "k1": []}
        assert judge.gaps == {"k0": [], "k1": []}


@scenario
def one_key_mute_and_rest_dead_to_the_stop(module: Any = real) -> None:
    """Weak proof ages: order alone does not prove a key for ever."""
    for seed in range(6):
        for rest in ("down", "hang"):
            faults = [Fault("mute", 20_000, 99_000), Fault(rest, 20_000, 99_000)]  # type: ignore[arg-type]
            world = World("hash", [1_500, 300], faults, seed=seed, length=55_000, module=module)
            judge = Judge(world.run())
            assert judge.problems() == []
            assert judge.exempt["tail"] == 0


@scenario
def one_key_mute(module: Any = real) -> None:
    """A statement that never arrives refutes the connection."""
    for proof in ("hash", "none"):
        for seed in range(6):
            faults = [Fault("mute", 20_000, 50_000)]
            judge = Judge(World(proof, [1_500, 300], faults, seed=seed, length=90_000, module=module).run())  # type: ignore[arg-type]
            assert judge.problems() == []
            assert judge.lost("k0") == []


@scenario
def closed_before_the_newest_arrived(module: Any = real) -> None:
    """A closed track is judged by the first snapshot after it: order does not prove its last seconds."""
    for seed in range(12):
        faults = [Fault("mute", 20_000, 26_500), Fault("close", 26_000, 27_000)]
        judge = Judge(World("hash", [1_500, 300], faults, seed=seed, length=60_000, module=module).run())
        assert judge.problems() == []
        assert judge.lost("k0") == []


@scenario
def stopped_while_out(module: Any = real) -> None:
    """A base from REST alone does not make a key live: its connection may not bring it any more."""
    for seed in range(12):
        faults = [Fault("drop", 20_000, 20_001), Fault("mute", 21_500, 99_000)]
        world = World("hash", [400, 300], faults, seed=seed, length=27_000, module=module).run()
        judge = Judge(world)
        assert judge.problems() == []
        if any(start < 22_000 and end > 22_500 for start, end in judge.gaps["k0"]):
            assert judge.lost("k0") == []


@scenario
def renewed_under_load(module: Any = real) -> None:
    """A renewal without faults makes no gap, also where the old connection lags behind."""
    for proof in ("hash", "sequence", "cadence", "none"):
        for seed in range(4):
            world = World(  # type: ignore[call-arg]
                proof,  # type: ignore[arg-type]
                [300, 4_000, 20_000],
                [Fault("delay", 20_000, 45_000, 1_500)],
                seed=seed,
                length=60_000,
                renew_s=30.0,
                module=module,
            ).run()
            assert world.lines == [], world.lines


@scenario
def paused(module: Any = real) -> None:
    """After a pause of our own the sockets are drained before anything is judged."""
    for proof in ("hash", "sequence", "none"):
        faults = [Fault("paused", 20_000, 40_000)]
        world = World(proof, [300, 4_000], faults, seed=2, length=90_000, module=module).run()  # type: ignore[arg-type]
        assert world.lines == []
        assert world.opened == 1


@scenario
def one_request_refused(module: Any = real) -> None:
    """One refused request opens nothing: weak proof counts as long as the last strong one is young."""
    world = World("hash", [90_000, 300], [Fault("down", 20_000, 25_000)], seed=3, module=module).run()
    assert world.lines == []


@scenario
def storm(module: Any = real) -> None:
    """Damaged answers do not request again for ever."""
    faults = [Fault("damage", 20_000, 50_000)]
    world = World("sequence", [300, 300, 1_500], faults, length=90_000, module=module).run()
    assert Judge(world).problems() == []
    assert world.requests < 3 * 70  # a key, connection and 2 s; two connections at a time


@scenario
def dated_a_little_ahead(module: Any = real) -> None:
    """A base dated before its receipt holds what its date says, one dated after it does not."""
    for seed in range(8):
        faults = [Fault("ahead", 20_000, 40_000, 3_000)]
        world = World("sequence", [4_000, 1_500], faults, seed=seed, length=90_000, renew_s=19.0, module=module)
        assert Judge(world.run()).problems() == []
