"""What goes in and out of `Completeness`, one thing at a time."""

from __future__ import annotations

import itertools
import time

import pytest

from marketarchive.collecting.reconnect import ReconnectPolicy
from marketarchive.collecting.streams import effects as fx
from marketarchive.collecting.streams.axis import Outage
from marketarchive.times import SECOND
from marketarchive.venues.channel import Update
from tests.collecting.completeness.script import Script
from tests.collecting.completeness.venue_model import ns


def test_lines_of_a_disconnect_are_merged_and_end_for_what_came_back() -> None:
    script = Script("hash")
    script.run(2_000)
    script.closed("c1")
    script.run(4_000)
    script.snapshot("k0", 4_000, "new", connection="c2")
    script.run(6_000)
    script.snapshot("k1", 6_000, "new", connection="c2")
    first, *ends = script.lines
    assert first == fx.WriteGap(
        "g1", ("k0", "k1"), ns(0), None, "disconnect", "venue", "1006", "c1", is_first=True
    )
    assert [(line.id, line.keys, line.is_first) for line in ends] == [
        ("g1", ("k0",), False),
        ("g1", ("k1",), False),
    ]
    assert [line.to_ns for line in ends] == [ns(4_000), ns(6_000)]


def test_a_stall_is_not_laid_to_an_outage_that_had_ended() -> None:
    script = Script("hash")
    script.run(2_000)
    script.closed("c1")
    for at in (4_000, 5_000, 6_000):
        script.run(at)
        for key in ("k0", "k1"):
            script.snapshot(key, at, "new", connection="c2")
    script.run(18_000)
    told = [line for line in script.lines if line.is_first]
    assert [(line.reason, line.from_ns) for line in told] == [("disconnect", ns(0)), ("stall", ns(6_000))]


def test_a_damaged_message_that_names_no_key_takes_nothing_out() -> None:
    """On a cadence channel its neighbours tell what is missing: the connection is not replaced."""
    script = Script("cadence")
    script.live.failed("c1", (), Outage("checksum", "venue", "cut"), script.mono)
    script.run(5_000)
    assert script.lines == []
    assert script.did(fx.OpenConnection) == 1


def test_what_the_next_observation_brings_back_wants_no_connection() -> None:
    script = Script("cadence")
    script.run(1_000)
    for key in ("k0", "k1"):
        script.delta(key, 1_000, "next")
    script.live.failed("c1", None, Outage("checksum", "ours", "fault"), script.mono)
    for second in (2_000, 3_000, 4_000):
        script.run(second)
        for key in ("k0", "k1"):
            script.snapshot(key, second, "next")
    script.run(4_500)
    assert script.gaps("k0") == [(1_000, 2_000)]
    assert script.did(fx.OpenConnection) == 1


def test_a_refusal_is_the_reason_of_a_gap_without_a_connection() -> None:
    script = Script("hash", snapshots=False)
    script.closed("c1")
    script.live.refused(Outage("dns", "ours", "no such host"), script.mono)
    script.run(500)
    script.stop(after=11_000)
    assert {line.reason for line in script.lines} <= {"dns", "disconnect"}
    assert script.gaps("k0") == [(0, 11_500)]


def test_an_unsubscribed_key_gets_its_last_words_and_no_more() -> None:
    script = Script("hash")
    script.run(2_000)
    script.closed("c1")
    script.live.unsubscribe(["k0"], script.mono)
    script.run(30_000)
    assert script.gaps("k0") == [(0, 2_000)]
    assert script.live.keys == ["k1"]
    assert script.live.row("k0", ns(1_000)) is None
    assert script.watermark("k0") == -(ns(0) // 1_000_000)  # 0: not known


def test_a_row_is_the_newest_state_strictly_inside_what_is_proven() -> None:
    script = Script("hash")
    script.run(1_000)
    script.delta("k0", 1_000, "one")
    script.run(2_000)
    script.delta("k0", 2_000, "two")
    script.delta("k1", 4_000, "chatter")
    row = script.live.row
    assert (found := row("k0", ns(1_999))) is not None
    assert (found.value, found.is_strong) == ("one", True)
    assert (found := row("k0", ns(2_500))) is not None
    assert (found.value, found.is_strong) == ("two", False)
    assert row("k0", ns(3_500)) is None  # the order of the connection proves to its newest date less 1 s
    assert row("k0", ns(0)) is None


def test_skipped_messages_are_no_gap_and_show_nothing_until_the_book_is_known_again() -> None:
    script = Script("hash")
    script.run(3_000)
    script.live.skipped("c1", script.mono)
    assert script.live.is_live("k0")
    script.run(5_000)
    script.delta("k0", 5_000, "next")  # its hash matches again
    script.run(6_000)
    script.delta("k1", 7_000, "chatter")
    assert script.live.row("k0", ns(4_000)) is None
    assert (found := script.live.row("k0", ns(5_500))) is not None
    assert found.value == "next"
    script.stop()
    assert script.did(fx.RequestStatements) == 1
    assert script.gaps("k0") == []


def test_skipped_messages_that_nothing_proves_in_time_are_a_gap() -> None:
    script = Script("hash")
    script.run(3_000)
    script.live.skipped("c1", script.mono)
    script.run(30_000)
    script.stop()
    assert script.gaps("k0") != []


def test_skipped_numbers_are_out() -> None:
    script = Script("sequence")
    script.run(3_000)
    script.live.skipped("c1", script.mono)
    assert not script.live.is_live("k0")


def test_a_trade_that_is_missing_takes_no_book_out() -> None:
    """Its market counts trades by themselves; the numbers of the connection are whole."""
    script = Script("sequence")
    script.run(2_000)
    script.apply(Update("k0", "trade", ns(2_000), "failed", base=ns(1_000), detail="trade 7 is missing"))
    assert script.live.is_live("k0")
    assert script.live.is_live("k1")
    assert script.did(fx.RequestResync) == 0
    script.delta("k0", 4_000, "next")
    script.stop()
    assert script.gaps("k0") == [(1_000, 2_000)]
    assert script.gaps("k1") == []


def test_keys_that_are_all_gone_close_the_connection() -> None:
    script = Script("hash")
    script.live.unsubscribe(["k0", "k1"], script.mono)
    script.run(1_000)
    assert script.connections == []
    assert script.lines == []


def test_a_late_key_is_subscribed_on_the_open_connection() -> None:
    script = Script("hash")
    script.run(5_000)
    script.live.subscribe(["k2", "k0"], script.mono)
    assert script.live.effects() == [fx.Subscribe("c1", ("k2",))]


def test_a_key_that_was_due_before_it_was_subscribed_has_its_gap_from_then() -> None:
    script = Script("hash")
    script.run(5_000)
    script.live.subscribe(["k2", "k3"], script.mono, {"k2": ns(1_000), "k3": ns(60_000)})
    script.run(5_500)
    for key in ("k2", "k3"):
        script.snapshot(key, 5_500, "first")
    script.run(6_000)
    assert script.gaps("k2") == [(1_000, 5_500)]
    assert {(line.reason, line.cause) for line in script.lines} == {("disconnect", "ours")}
    assert script.gaps("k3") == []


def test_forgetting_what_is_settled_changes_no_line() -> None:
    script = Script("hash")
    for round_ in range(1, 6):
        script.run(10_000 * round_)
        for key in ("k0", "k1"):
            script.delta(key, script.now, f"at the end of {round_}", connection=f"c{round_}")
        script.closed(f"c{round_}")
        while not script.connections:
            script.run(script.now + 100)
        for key in ("k0", "k1"):
            script.snapshot(key, script.now, f"of round {round_}", connection=f"c{round_ + 1}")
        before = len(script.lines)
        script.live.forget(ns(script.now - 5_000))
        script.run(script.now + 500)
        assert len(script.lines) == before
        assert len(script.live.gap_ids) <= 2  # of which a line may follow: nothing grows with the run
    assert len(script.gaps("k0")) == 5


def test_a_message_takes_the_same_time_with_many_keys() -> None:
    """Nothing is done for each key when a message comes."""
    script = Script("sequence")
    few = _seconds(script)
    script.live.subscribe([f"more{n}" for n in range(2_000)], script.mono)
    script.live.effects()
    for n in range(2_000):
        script.live.apply("c1", script.mono, [Update(f"more{n}", "snapshot", ns(0), "ok", base=ns(0))])
    assert _seconds(script) < 5 * few + 0.01


def _seconds(script: Script) -> float:
    best = 1.0
    for _ in range(5):
        began = time.perf_counter()
        for n in range(500):
            script.live.apply("c1", script.mono, [Update("k0", "delta", ns(n // 100), "ok", value=n)])
        best = min(best, time.perf_counter() - began)
    return best


def test_the_back_off_grows_until_a_connection_has_lived() -> None:
    policy = ReconnectPolicy(lambda: 0.0)
    waits, now = [], 0
    for _ in range(7):
        policy.failed(now)
        policy.failed(now)  # another pool, at the same moment: the same failure
        waits.append(_wait_s(policy, now))
        now += waits[-1] * SECOND
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    policy.lived()
    policy.failed(now)
    assert _wait_s(policy, now) == 1


def test_the_back_off_obeys_retry_after_and_blocks() -> None:
    policy = ReconnectPolicy(lambda: 0.5)
    policy.failed(0, at_least_s=45)
    assert _wait_s(policy, 0) == 45
    waits, now = [], 45 * SECOND
    for _ in range(8):
        policy.blocked(now)
        waits.append(_wait_s(policy, now))
        now += waits[-1] * SECOND
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def _wait_s(policy: ReconnectPolicy, now: int) -> int:
    """Return the whole seconds after `now` in which no connection may be opened."""
    return next(seconds for seconds in itertools.count() if policy.is_due(now + seconds * SECOND))


def test_a_key_that_is_gone_keeps_no_old_connection_and_is_looked_for_more_and_more_rarely() -> None:
    script = Script("cadence")
    opened: list[int] = []
    for second in range(1, 1_200):
        script.run(1_000 * second)
        for name in list(script.connections):
            script.snapshot("k0", script.now, f"at {second}", connection=name)
            if second < 5:
                script.snapshot("k1", script.now, f"at {second}", connection=name)
        opened += [second] * (script.did(fx.OpenConnection) - len(opened))
    assert len(script.connections) <= 2
    assert 3 <= len(opened) <= 9
    assert {key for line in script.lines for key in line.keys} == {"k1"}


def test_an_answer_that_comes_after_the_stop_opens_no_gap_again() -> None:
    script = Script("hash")
    script.run(30_000)
    script.stop()
    ended = script.gaps("k0")
    assert ended
    script.stated("k0", 29_000, "newer")
    assert script.gaps("k0") == ended


def test_a_stall_that_is_over_is_let_go() -> None:
    """A connection that stalled is closed when another has taken over, and nothing judges it later."""
    script = Script("cadence")
    for second in range(1, 600):
        script.run(1_000 * second)
        live = script.connections[-1:]
        for name in live if second % 20 else ():
            script.snapshot("k0", script.now, f"at {second}", connection=name)
            script.snapshot("k1", script.now, f"at {second}", connection=name)
        script.live.forget(ns(script.now - 60_000))
    before = len(script.lines)
    script.stop()
    assert len(script.lines) - before <= 6  # no gap of long ago is written again


def test_a_snapshot_does_not_make_up_for_what_a_silence_hid() -> None:
    script = Script("hash")
    script.run(20_000)  # mute, and REST says nothing
    script.snapshot("k0", 20_000, "whole")
    script.run(21_000)
    script.stop()
    assert script.gaps("k0") == [(0, 20_000)]


@pytest.mark.parametrize(("answer", "gaps"), [("first", []), ("other", [(0, 7_000)])])
def test_a_requested_snapshot_shows_what_a_silent_key_missed(
    answer: str, gaps: list[tuple[int, int | None]]
) -> None:
    """It comes on the connection, in order: what led to another state should have come before it."""
    script = Script("hash", resyncs=True)
    script.run(7_000, chatter="k1")
    assert script.did(fx.RequestResync) >= 1
    script.snapshot("k0", 7_000, answer)
    script.run(9_000, chatter="k1")
    assert script.gaps("k0") == gaps
    assert script.gaps("k1") == []


def test_trades_that_are_missing_by_their_numbers_are_a_gap_of_their_own() -> None:
    """The book goes on: only what lies between two trades is missing."""
    script = Script("hash")
    script.delta("k0", 1_000, "s1")
    script.now = 3_000
    script.apply(Update("k0", "trade", ns(3_000), "failed", base=ns(500), detail="trades 4 to 5 are missing"))
    script.delta("k0", 4_000, "s2", base=0)
    script.run(5_000, chatter="k1")
    assert script.gaps("k0") == [(500, 3_000)]
    [line, _end] = script.lines
    assert (line.reason, line.detail) == ("sequence", "trades 4 to 5 are missing")


def test_a_row_between_what_failed_and_what_matches_again_is_not_known() -> None:
    """The later match proves what is held from then on; what was missing before it changed the book."""
    script = Script("hash")
    script.delta("k0", 1_000, "s1")
    script.delta("k0", 2_000, "s2", integrity="failed")
    script.delta("k0", 4_000, "s4", base=0)
    script.run(9_000, chatter="k0")
    shown = {at: script.live.row("k0", ns(at)) for at in (500, 1_500, 3_000, 4_500)}
    assert {at: None if row is None else row.value for at, row in shown.items()} == {
        500: "first", 1_500: None, 3_000: None, 4_500: "s4",
    }  # fmt: skip


def test_a_key_that_goes_on_is_not_requested_because_of_a_silent_connection() -> None:
    """To request it is to subscribe it anew, and what is sent between the two texts would be missing."""
    script = Script("sequence", renew_s=10.0)
    for at in range(1_000, 18_000, 1_000):
        script.run(at)
        for key in ("k0", "k1") if at < 3_000 or len(script.connections) > 1 else ():
            script.snapshot(key, at, f"s{at}", connection=script.connections[-1])  # the older one is silent
    assert {each.connection for each in script.requested} == {"c1"}


def test_a_snapshot_is_no_answer_where_the_first_one_was_damaged() -> None:
    """The venue sends one after a trade too; nothing led to it that did not come."""
    script = Script("hash", snapshots=False)
    script.now = 50
    script.live.failed("c1", None, Outage("checksum", "venue", "cut"), script.mono)
    for key in ("k0", "k1"):
        script.delta(key, 100, "second")
        script.loaded(key, 100, "second", integrity="ok", base=100)
        script.delta(key, 200, "third")
        script.snapshot(key, 500, "after a trade")
        script.delta(key, 600, "last")
    script.stop()
    assert script.gaps("k0") == script.gaps("k1") == []
