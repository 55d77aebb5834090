"""What a key's coverage says of its gaps beyond what `Completeness` asks of it."""

from __future__ import annotations

from collections.abc import Sequence

from marketarchive.collecting.streams.axis import Outage, StreamLimits
from marketarchive.collecting.streams.coverage import Coverage, CoverageChange
from marketarchive.collecting.streams.track import Track, Watermark
from marketarchive.times import SECOND
from marketarchive.venues.channel import Channel, Update
from tests.collecting.completeness.venue_model import ENDPOINT

LIMITS = StreamLimits.of(Channel(ENDPOINT, "none", "key", 1))
DIED = Outage("disconnect", "venue", "1006")
REFUSED = Outage("blocked", "venue", "403")


class Key:
    """The coverage of one key, settled at given seconds; gaps by their newest lines."""

    def __init__(self) -> None:
        self.coverage = Coverage(LIMITS, "k", SECOND)
        self.gaps: dict[str, tuple[int, int | None, str]] = {}

    def track(self, from_s: int, to_s: int) -> Track:
        track = Track(LIMITS, "k", "c", 0, Watermark())
        self.coverage.tracks.append(track)
        for at in (from_s, to_s):
            track.apply(Update("k", "snapshot", at * SECOND), at * SECOND, 0, None)
        return track

    def settle(self, now_s: int) -> None:
        self._write(self.coverage.settle(now_s * SECOND, None))

    def _write(self, changes: Sequence[CoverageChange]) -> None:
        for each in changes:
            each.record.id = each.record.id or f"g{len(self.gaps) + 1}"
            to = None if each.to_ns is None else each.to_ns // SECOND
            self.gaps[each.record.id] = (each.from_ns // SECOND, to, each.record.outage.reason)


def lost_at_ten() -> Key:
    key = Key()
    key.track(1, 10).close(DIED)
    key.settle(11)
    assert key.gaps == {"g1": (10, None, "disconnect")}
    return key


def test_an_open_gap_whose_reason_turns_out_another_is_two() -> None:
    key = lost_at_ten()
    key.coverage.replace_outage(15 * SECOND, REFUSED)
    for now in (15, 16, 30):
        key.settle(now)
        assert key.gaps["g1"] == (10, 15, "disconnect")
    assert key.gaps["g2"] == (15, None, "blocked")
    key.track(40, 41)
    key.settle(42)
    assert key.gaps == {"g1": (10, 15, "disconnect"), "g2": (15, 40, "blocked")}


def test_the_same_reason_again_and_a_gap_that_has_an_end_are_not_replaced() -> None:
    key = lost_at_ten()
    key.coverage.replace_outage(15 * SECOND, Outage("disconnect", "ours", "again"))
    key.track(20, 21)
    key.settle(22)
    key.coverage.replace_outage(23 * SECOND, REFUSED)
    key.settle(24)
    assert key.gaps == {"g1": (10, 20, "disconnect")}


def test_what_proves_the_whole_of_it_later_makes_both_void() -> None:
    key = lost_at_ten()
    key.coverage.replace_outage(15 * SECOND, REFUSED)
    key.settle(20)
    key.track(9, 21)
    key.settle(22)
    assert key.gaps == {"g1": (10, 10, "disconnect"), "g2": (15, 15, "blocked")}


def test_a_replaced_reason_outlives_forgetting_while_its_gap_is_open() -> None:
    key = lost_at_ten()
    key.coverage.replace_outage(15 * SECOND, REFUSED)
    key.settle(20)
    for track in key.coverage.tracks:
        track.is_judged = True
    key.coverage.forget(100 * SECOND)
    key.settle(101)
    assert key.gaps == {"g1": (10, 15, "disconnect"), "g2": (15, None, "blocked")}


def test_a_gap_learnt_late_is_kept_as_long_as_any_other() -> None:
    key = Key()
    track = key.track(1, 399)
    key.coverage.forget(280 * SECOND)
    track.add_gap(100 * SECOND, 398 * SECOND, DIED)
    for now in range(400, 518):
        track.apply(Update("k", "snapshot", now * SECOND), now * SECOND, 0, None)
        key.settle(now)
        assert key.gaps == {"g1": (100, 398, "disconnect")}
        track.is_judged = True
        key.coverage.forget((now - 120) * SECOND)
    assert len(track.inner_gaps) == 1
    key.coverage.forget(399 * SECOND)
    key.settle(520)
    assert track.inner_gaps == []
    assert list(key.coverage.gap_ids) == []
    assert key.gaps == {"g1": (100, 398, "disconnect")}
