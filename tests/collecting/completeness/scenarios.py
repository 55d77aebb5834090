"""Scenarios that a rule of completeness exists for: each raises AssertionError where the rule is broken.

`module` is what stands in for `marketarchive.collecting.streams.completeness`: mutants are tried with them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from marketarchive.collecting.streams import completeness as real
from marketarchive.collecting.streams import effects as fx
from marketarchive.collecting.streams.axis import Outage
from marketarchive.times import MICROSECOND
from marketarchive.venues.channel import Proof, Update
from tests.collecting.completeness.judge import Judge
from tests.collecting.completeness.script import Script
from tests.collecting.completeness.venue_model import Fault, World, ns

NUMBERED_TRADES: tuple[Proof, ...] = ("hash", "sequence", "none")
"""Proofs of the books of channels whose trades are numbered."""
SCENARIOS: dict[str, Callable[..., None]] = {}


def scenario(function: Callable[..., None]) -> Callable[..., None]:
    SCENARIOS[function.__name__] = function
    return function


def quiet_world(proof: Proof, module: Any = real) -> World:
    return World(proof, [300, 4_000, 20_000], seed=7, length=60_000, module=module).run()


@scenario
def dated_ten_minutes_ahead(module: Any = real) -> None:
    """A state dated well ahead is no base, and nothing is frozen by it."""
    for proof in ("hash", "sequence"):
        faults = [Fault("ahead", 20_000, 20_700, 600_000)]
        world = World(proof, [300, 4_000], faults, seed=3, length=90_000, module=module).run()
        judge = Judge(world)
        assert judge.problems() == []
        assert all(end < 40_000 for _, end in judge.gaps["k0"])
        assert [row for key, tick, row in world.rows if key == "k0" and tick > 40_000 and row is None] == []


@scenario
def renewal_meets_accept_and_silent(module: Any = real) -> None:
    """A healthy connection is never given up for one that brings nothing."""
    for proof in ("hash", "sequence", "cadence", "none"):
        faults = [Fault("silent", 27_000, 60_000)]
        world = World(proof, [300, 4_000], faults, seed=3, length=90_000, renew_s=30.0, module=module)
        judge = Judge(world.run())
        assert judge.missing == {"k0": [], "k1": []}
        assert judge.gaps == {"k0": [], "k1": []}


@scenario
def one_key_mute_and_rest_dead_to_the_stop(module: Any = real) -> None:
    """Weak proof ages: order alone does not prove a key for ever."""
    for seed in range(6):
        for rest in ("down", "hang"):
            faults = [Fault("mute", 20_000, 99_000), Fault(rest, 20_000, 99_000)]
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
            judge = Judge(World(proof, [1_500, 300], faults, seed=seed, length=90_000, module=module).run())
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
def renewed_under_load(module: Any = real) -> None:
    """A renewal without faults makes no gap, also where the old connection lags behind."""
    for proof in ("hash", "sequence", "cadence", "none"):
        for seed in range(4):
            world = World(
                proof,
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
        world = World(proof, [300, 4_000], faults, seed=2, length=90_000, module=module).run()
        assert world.lines == []
        assert world.opened == 1


@scenario
def one_request_refused(module: Any = real) -> None:
    """One refused request opens nothing: weak proof counts as long as the last strong one is young."""
    world = World("hash", [90_000, 300], [Fault("down", 20_000, 22_000)], seed=3, module=module).run()
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
        world = World(
            "sequence", [4_000, 1_500], faults, seed=seed, length=90_000, renew_s=19.0, module=module
        )
        assert Judge(world.run()).problems() == []


def judged(world: World) -> int:
    """Run a world in which nothing may be wrong; return how many trades it lost that their numbers show."""
    judge = Judge(world.run())
    assert judge.problems() == []
    missing = [item for items in judge.missing.values() for item in items if item.trade]
    return sum(map(world.is_noticed, missing))


@scenario
def trades_lost_in_a_burst(module: Any = real) -> None:
    """Neighbours of one date leave a gap of no length."""
    noticed = 0
    for proof, seed in itertools.product(NUMBERED_TRADES, range(3)):
        faults = [Fault("burst", 15_000, 45_000), Fault("lost trade", 20_000, 21_000, seed)]
        noticed += judged(
            World(proof, [300, 1_500], faults, seed=seed, length=70_000, trade_ms=4_000, module=module)
        )
    assert noticed > 6


@scenario
def trades_lost_in_a_quiet_market(module: Any = real) -> None:
    """It shows later than gaps are kept."""
    noticed = 0
    for proof, seed in itertools.product(NUMBERED_TRADES[:2], range(4)):
        faults = [Fault("lost trade", 300_000, 301_000)]
        noticed += judged(
            World(proof, [1_500], faults, seed=seed, length=700_000, trade_ms=150_000, module=module)
        )
    assert noticed > 3


@scenario
def trades_lost_while_books_are_mute(module: Any = real) -> None:
    """What is missing of the books lies in a gap, whatever the trades say."""
    for seed in range(8):
        faults = [Fault(kind, 20_000, 70_000) for kind in ("books mute", "down")]
        faults += [Fault("lost trade", at, at + 1_000) for at in (45_000, 50_000, 55_000, 60_000)]
        judged(World("hash", [1_500, 300], faults, seed=seed, length=90_000, trade_ms=700, module=module))


# ---- by hand: one rule each ------------------------------------------------------------------------------


@scenario
def order_proves_for_a_while(module: Any = real) -> None:
    script = Script("hash", module)
    script.run(20_000, chatter="k1")
    assert script.gaps("k0") == [(0, None)]
    assert script.gaps("k1") == []


@scenario
def passed_over(module: Any = real) -> None:
    script = Script("hash", module)
    script.delta("k0", 1_000, "one")
    script.run(2_000)
    script.stated("k0", 1_900, "two")
    script.delta("k0", 2_100, "three")
    script.stop()
    assert script.gaps("k0") == [(1_000, 2_100)]


@scenario
def between_two_reports(module: Any = real) -> None:
    script = Script("hash", module)
    for at, state in ((1_000, "one"), (2_000, "two"), (3_000, "three")):
        script.run(at)
        script.delta("k0", at, state)
    script.stated("k0", 1_500, "between")
    script.stop()
    assert script.gaps("k0") == [(1_000, 2_000)]


@scenario
def a_newer_state_does_not_arrive(module: Any = real) -> None:
    script = Script("hash", module)
    script.run(8_000, chatter="k1")
    script.stated("k0", 7_500, "newer")
    script.run(10_500, chatter="k1")
    assert script.live.is_live("k0")
    script.run(11_500, chatter="k1")
    assert not script.live.is_live("k0")
    assert script.live.is_live("k1")
    assert script.did(fx.OpenConnection) == 2


@scenario
def stopped_while_a_newer_state_is_awaited(module: Any = real) -> None:
    script = Script("hash", module)
    script.run(8_000, chatter="k1")
    script.stated("k0", 7_500, "newer")
    script.stop()
    assert script.gaps("k0") == [(0, 8_000)]


@scenario
def stopped_when_proof_is_just_too_old(module: Any = real) -> None:
    script = Script("hash", module)
    script.run(13_900, chatter="k1")
    script.stop(after=600)
    assert script.gaps("k0") == [(0, 14_500)]


@scenario
def rest_alone_brings_nothing_back(module: Any = real) -> None:
    script = Script("hash", module)
    script.delta("k0", 1_000, "broken", integrity="failed")
    script.loaded("k0", 2_000, "of rest", integrity="unchecked", base=2_000)
    assert not script.live.is_live("k0")
    script.delta("k0", 3_000, "next", base=2_000)
    script.stop()
    assert script.gaps("k0") == [(0, 2_000)]


@scenario
def a_base_dated_ahead_is_dropped(module: Any = real) -> None:
    script = Script("hash", module)
    script.run(1_000)
    script.snapshot("k0", 601_000, "ahead")
    assert not script.live.is_live("k0")
    assert script.did(fx.DropBooks) == 1


@scenario
def a_base_dated_a_little_ahead(module: Any = real) -> None:
    script = Script("sequence", module)
    script.run(1_000)
    script.snapshot("k0", 4_000, "")
    script.delta("k0", 2_000, "", is_known=True)
    assert not script.live.is_live("k0")
    assert script.did(fx.DropBooks) == 1


@scenario
def a_delta_that_no_book_takes(module: Any = real) -> None:
    """Numbers prove the key, but it has no rows: it is out, and its book is requested."""
    script = Script("sequence", module)
    script.run(1_000)
    script.delta("k0", 1_000, "", integrity="unchecked")
    assert not script.live.is_live("k0")
    assert script.live.is_live("k1")
    assert script.requested[-1].keys == ("k0",)


@scenario
def a_delta_that_no_book_takes_yet(module: Any = real) -> None:
    """The request of a new book may have dropped the one held, so for a while deltas find none."""
    script = Script("sequence", module)
    script.run(5_500)
    assert len(script.requested) == 1
    script.delta("k0", 5_500, "", integrity="unchecked")
    assert script.live.is_live("k0")
    script.run(9_000)
    script.delta("k0", 9_000, "", integrity="unchecked")
    assert not script.live.is_live("k0")


@scenario
def a_trade_lost_inside_an_open_gap(module: Any = real) -> None:
    """It says nothing of the time before it: the gap stays as it was, whether it begins inside or before."""
    for before in (18_000, 0):
        script = Script("hash", module)
        script.run(20_000, chatter="k1")
        assert script.gaps("k0") == [(0, None)]
        script.apply(Update("k0", "trade", ns(20_000), "failed", base=ns(before)))
        script.run(20_500)
        assert script.gaps("k0") == [(0, None)]
        assert script.live.row("k0", ns(10_000)) is None
        script.stop()
        assert script.gaps("k0") == [(0, 20_500)]


@scenario
def lost_between_two_of_one_time(module: Any = real) -> None:
    """What is missing between two messages of one date, or of dates that go back, lies in a gap too."""
    for before, after in ((1_000, 1_000), (1_001, 1_000)):
        script = Script("sequence", module)
        script.run(1_100)
        script.apply(Update("k0", "trade", ns(after), "failed", base=ns(before)))
        script.run(3_000)
        script.delta("k0", 3_000, "")
        assert script.gaps("k0") == [(after, before)]
        line = script.lines[-1]
        assert line.to_ns is not None
        assert line.from_ns // MICROSECOND < line.to_ns // MICROSECOND  # as lines state them
        script.apply(Update("k0", "trade", ns(after), "ok", base=ns(after)))  # the next of the burst
        script.run(4_000)
        if before == after:
            assert script.gaps("k0") == [(after, before)]
    script = Script("hash", module)
    script.delta("k0", 1_000, "one")
    script.delta("k0", 1_000, "broken", integrity="failed")
    script.snapshot("k0", 1_000, "right")
    script.delta("k0", 2_000, "next")
    assert script.gaps("k0") == [(1_000, 1_000)]


@scenario
def lost_long_before_it_is_learnt(module: Any = real) -> None:
    """A quiet key's next message may be minutes later: all of the time since the last one is a gap."""
    script = Script("sequence", module)
    script.run(1_000)
    script.delta("k0", 1_000, "")
    for at in range(2_000, 400_000, 1_000):
        script.run(at)
        script.delta("k1", at, "")
        script.live.forget(ns(at - 120_000))
    script.apply(Update("k0", "trade", ns(399_000), "failed", base=ns(1_500)))
    script.run(401_000)
    script.delta("k1", 401_000, "")
    script.run(401_100)
    assert script.gaps("k0") == [(1_500, 399_000)]
    for at in range(402_000, 600_000, 1_000):
        script.run(at)
        script.delta("k1", at, "")
        script.live.forget(ns(at - 120_000))
    assert script.gaps("k0") == [(1_500, 399_000)]
    assert script.live.gap_ids == set()


@scenario
def a_quiet_key_that_came_back_has_rows(module: Any = real) -> None:
    """Its new snapshot states what has been held for long, and is right from its receipt on."""
    script = Script("sequence", module)
    script.run(1_000)
    script.apply(Update("", "mark", ns(1_000), "failed"))
    script.run(1_200)
    script.snapshot("k0", 0, "right")
    script.snapshot("k1", 1_100, "of k1")
    script.run(3_000)
    script.delta("k1", 3_000, "another")
    assert script.gaps("k0") == [(0, 1_200)]
    shown = [script.live.row("k0", ns(tick)) for tick in (1_100, 1_500)]
    assert [None if row is None else row.value for row in shown] == [None, "right"]


@scenario
def a_skipped_answer_is_not_awaited(module: Any = real) -> None:
    """A later snapshot answers nothing: that its state is another than the one held is no loss."""
    script = Script("hash", module, snapshots=False)
    script.live.skipped("c1", script.mono)
    script.run(1_000)
    script.loaded("k0", 500, "of rest", integrity="unchecked", base=500)
    script.snapshot("k0", 2_000, "next")
    script.run(3_000)
    assert script.gaps("k0") == []


@scenario
def failures_request_every_two_seconds(module: Any = real) -> None:
    script = Script("sequence", module)
    for at in range(1_000, 11_000, 100):
        script.run(at)
        script.apply(Update("", "mark", ns(at), "failed"))
    assert script.did(fx.RequestResync) <= 6


@scenario
def a_sequence_concerns_all_its_keys(module: Any = real) -> None:
    script = Script("sequence", module)
    script.run(1_000)
    script.apply(Update("", "mark", ns(1_000), "failed"))
    assert not script.live.is_live("k0")
    assert not script.live.is_live("k1")
    script.run(1_100)
    script.snapshot("k0", 900, "")
    script.run(1_300)
    script.delta("k0", 1_300, "")
    script.stop()
    assert script.gaps("k0") == [(0, 1_100)]


@scenario
def an_answer_proves_its_sequence_until_its_request(module: Any = real) -> None:
    script = Script("sequence", module)
    script.run(8_000)
    assert script.did(fx.RequestResync) >= 1
    script.snapshot("k0", 0, "")
    assert script.watermark("k1") >= 4_000  # requested when it was silent for 5 s


@scenario
def a_damaged_message_may_be_of_any_key(module: Any = real) -> None:
    script = Script("hash", module)
    script.run(3_000)
    script.live.failed("c1", None, Outage("checksum", "unknown", "unreadable"), script.mono)
    script.run(3_200)
    script.delta("k0", 2_900, "next")
    script.run(4_000)
    script.delta("k0", 4_000, "another")
    script.stop()
    assert script.gaps("k0") == [(0, 3_000)]


@scenario
def a_silent_key_is_requested(module: Any = real) -> None:
    script = Script("hash", module)
    script.run(6_000, chatter="k1")
    assert script.did(fx.RequestStatements) == 1


@scenario
def a_key_without_its_first_snapshot_is_requested(module: Any = real) -> None:
    """REST may say that it is over: nothing will come of it on any connection."""
    script = Script("hash", module, snapshots=False)
    script.snapshot("k1", 0, "first")
    script.run(3_000, chatter="k1")
    assert script.did(fx.RequestStatements) == 0
    script.run(4_500, chatter="k1")
    assert script.did(fx.RequestStatements) == 1
    script.run(9_000, chatter="k1")
    assert script.did(fx.RequestStatements) <= 4


@scenario
def a_connection_that_brings_nothing(module: Any = real) -> None:
    script = Script("hash", module, snapshots=False)
    script.run(11_000)
    assert script.did(fx.CloseConnection) == 1
    script.run(13_000)
    assert script.did(fx.OpenConnection) == 2


@scenario
def an_observation_a_second(module: Any = real) -> None:
    script = Script("cadence", module)
    for at in (1_000, 2_000, 5_000, 6_000):
        script.run(at)
        script.snapshot("k0", at, "")
    script.stop()
    assert script.gaps("k0") == [(2_000, 5_000)]


@scenario
def an_observation_published_again(module: Any = real) -> None:
    """It proves nothing, however new its publication; the same price observed anew does."""
    script = Script("cadence", module)
    for at in range(1_000, 41_000, 1_000):
        script.run(at)
        for key in ("k0", "k1"):
            observed = at - 800 if key == "k1" or at < 10_000 else 8_200
            script.apply(Update(key, "snapshot", ns(at), observed=ns(observed)))
    assert script.gaps("k0") == [(9_000, None)]
    assert script.gaps("k1") == []
    script.run(41_000)
    script.apply(Update("k0", "snapshot", ns(41_000), observed=ns(40_200)))
    assert script.gaps("k0") == [(9_000, 41_000)]


@scenario
def observations_of_two_symbols_of_a_topic(module: Any = real) -> None:
    """One symbol's are published later than the other's: nothing is missing of the topic."""
    script = Script("cadence", module, snapshots=False)
    for second in range(1_000, 20_000, 1_000):
        for late in (2_400, 1_300):  # the one symbol's of a second ago, then the other's
            script.run(second + 1_300 if late == 1_300 else second + 1_200)
            observed = second - 1_200 if late == 2_400 else second
            script.apply(Update("k0", "snapshot", ns(script.now), observed=ns(observed)))
    assert script.gaps("k0") == []


@scenario
def an_observation_dated_ahead(module: Any = real) -> None:
    """It is not believed, so those that follow are not older than it."""
    script = Script("cadence", module)
    for at, ahead in ((1_000, 0), (2_000, 600_000), (3_000, 0), (4_000, 0)):
        script.run(at)
        script.apply(Update("k0", "snapshot", ns(at), observed=ns(at + ahead)))
    assert script.live.is_live("k0")
    assert script.gaps("k0") == [(1_000, 3_000)]


@scenario
def a_hash_that_does_not_match(module: Any = real) -> None:
    script = Script("hash", module)
    script.delta("k0", 1_000, "broken", integrity="failed")
    assert not script.live.is_live("k0")
    assert script.live.is_live("k1")


@scenario
def a_match_does_not_undo_a_failure(module: Any = real) -> None:
    """The state is right again on the same base; what was missing, or damaged, before it is missing still."""
    script = Script("hash", module)
    script.delta("k0", 1_000, "good")
    for at in (2_000, 3_000):
        script.delta("k0", at, "broken", integrity="failed")
    script.delta("k0", 4_000, "right again")
    script.stop()
    assert script.gaps("k0") == [(1_000, 3_000)]
    assert script.live.row("k0", ns(2_500)) is None


@scenario
def a_silent_one_does_not_replace_a_live_one(module: Any = real) -> None:
    """A newer connection that is live for one key does not end another key's."""
    script = Script("hash", module, renew_s=20.0)
    script.run(22_000, chatter="k1", confirmed="k0")
    script.snapshot("k1", 22_000, "new", connection="c2")
    script.run(26_000, chatter="k1", confirmed="k0")
    assert script.did(fx.CloseConnection) == 0


@scenario
def closed_while_a_newer_state_is_awaited(module: Any = real) -> None:
    script = Script("hash", module)
    script.run(8_000, chatter="k1")
    script.stated("k0", 7_500, "newer")
    script.closed("c1")
    script.run(9_500)
    script.snapshot("k0", 0, "first", connection="c2")  # by a server that lags behind REST
    script.stop()
    [(start, end)] = script.gaps("k0")
    assert start == 0
    assert end is not None
    assert end >= 7_500


@scenario
def unchecked_messages_prove_nothing(module: Any = real) -> None:
    """Under load a delta is applied without comparing its hash: that is order, not proof."""
    script = Script("hash", module)
    for at in range(1_000, 20_000, 1_000):
        script.run(at)
        script.delta("k0", at, f"s{at}", integrity="unchecked")
    assert script.gaps("k0") == [(0, None)]


@scenario
def a_first_snapshot_that_fails(module: Any = real) -> None:
    """REST's book takes its place where the connection named that state, or a delta matches on it."""
    script = Script("hash", module, snapshots=False)
    script.run(1_000)
    script.snapshot("k1", 0, "first")
    script.apply(Update("k0", "snapshot", ns(500), "failed", "first"))
    assert script.did(fx.RequestStatements) == 1
    script.stated("k0", 400, "earlier")
    assert script.did(fx.LoadStatement) == 1
    script.loaded("k0", 400, "earlier", integrity="unchecked", base=400)
    assert not script.live.is_live("k0")
    script.stated("k0", 500, "first")
    script.loaded("k0", 500, "first", integrity="unchecked", base=500)
    assert script.live.is_live("k0")
    script.run(12_500, chatter="k1", confirmed="k0")
    assert script.did(fx.OpenConnection) == 1
    assert script.gaps("k0") == []


@scenario
def a_delta_that_matches_on_the_first_book_of_rest(module: Any = real) -> None:
    script = Script("hash", module, snapshots=False)
    script.apply(Update("k0", "snapshot", ns(0), "failed", "first"))
    script.stated("k0", 400, "of rest")
    script.loaded("k0", 400, "of rest", integrity="unchecked", base=400)
    script.run(1_000)
    assert script.watermark("k0") < 0
    script.delta("k0", 1_000, "next", base=400)
    script.delta("k0", 1_500, "and next", base=400)
    assert script.live.row("k0", ns(300)) is None
    assert (found := script.live.row("k0", ns(1_200))) is not None
    assert found.value == "next"


@scenario
def a_first_snapshot_that_was_skipped(module: Any = real) -> None:
    """It is archived: REST's book takes its place, and no connection is opened while there is no time."""
    script = Script("hash", module, snapshots=False)
    script.run(500)
    script.live.skipped("c1", script.mono)
    script.stated("k0", 0, "first")
    assert script.did(fx.LoadStatement) == 1
    for key in ("k0", "k1"):
        script.loaded(key, 0, "first", integrity="unchecked", base=0)
    assert script.live.is_live("k0")
    script.run(12_500, chatter="k1", confirmed="k0")
    assert script.did(fx.OpenConnection) == 1
    assert script.gaps("k0") == []


@scenario
def a_first_snapshot_that_fails_is_requested_again(module: Any = real) -> None:
    script = Script("sequence", module, snapshots=False)
    script.snapshot("k1", 0, "")
    script.apply(Update("k0", "snapshot", ns(100), "failed"))
    script.run(1_000)
    assert script.did(fx.RequestResync) == 1
    for at in (1_000, 5_000, 9_000):
        script.run(at)
        for key in ("k0", "k1"):
            script.snapshot(key, at, "")
    assert script.did(fx.OpenConnection) == 1
    assert script.gaps("k0") == []


@scenario
def a_closed_connection_is_not_judged_by_a_first_book_of_rest(module: Any = real) -> None:
    """It may be from before what the connection missed last."""
    script = Script("hash", module)
    script.run(8_000, chatter="k1")
    script.closed("c1")
    script.run(9_500)
    script.apply(Update("k0", "snapshot", ns(9_000), "failed", "broken"), "c2")
    script.loaded("k0", 0, "first", integrity="ok", base=0, connection="c2")
    script.stop()
    [(start, end)] = script.gaps("k0")
    assert start == 0
    assert end is not None
    assert end >= 8_000


@scenario
def skipped_again_since_the_request(module: Any = real) -> None:
    """What was skipped after a statement's request may be newer than it: its book is not the book."""
    for is_subscribed in (True, False):
        script = Script("hash", module, snapshots=is_subscribed)
        script.run(3_000)
        script.live.skipped("c1", script.mono)
        script.run(3_500)
        script.live.skipped("c1", script.mono)
        script.run(4_000)
        script.stated("k0", 2_900, "before", age=1_000)
        assert script.did(fx.LoadStatement) == 0
        script.run(9_000)
        script.stated("k0", 3_400, "after", age=100)
        assert script.did(fx.LoadStatement) == 1
        assert script.did(fx.RequestStatements) > 1


@scenario
def a_late_first_snapshot_with_deltas_before_it(module: Any = real) -> None:
    """They prove the key from the snapshot's date on; what a row shows is the book after them."""
    script = Script("hash", module)
    script.run(2_000)
    script.closed("c1")
    script.run(7_500)
    script.apply(Update("k0", "snapshot", ns(7_500), "ok", "after", ns(4_000), value="after"), "c2")
    script.run(8_500)
    script.delta("k0", 8_500, "next", base=4_000, connection="c2")
    script.stop()
    assert script.gaps("k0") == [(0, 4_000)]
    assert script.live.row("k0", ns(6_000)) is None
    assert (found := script.live.row("k0", ns(8_000))) is not None
    assert found.value == "after"
