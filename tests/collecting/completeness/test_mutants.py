"""Each rule switched off: a scenario notices, or one of a few worlds of random faults."""

from __future__ import annotations

import pytest

from tests.collecting.completeness.mutants import mutant
from tests.collecting.completeness.scenarios import SCENARIOS

RULES: dict[str, tuple[str, str, str]] = {
    "weak proof ages": (
        "completeness",
        "if self._limits.counts_order and now - track.strong > self._limits.weak_max:",
        "if False:",
    ),
    "a closed track is judged": (
        "witness",
        "            track.refute_weak(SKIPPED_STATE)\n",
        "            pass\n",
    ),
    "a newer one takes over where it is proven": ("witness", "return old.until >= new.since", "return True"),
    "what is passed over is missing": (
        "track",
        "self.add_gap(self.since if before is None else before, update.at, SKIPPED_STATE)",
        "pass",
    ),
    "a statement has a deadline": ("completeness", "pending.deadline <= self._mono", "False"),
    "the connection's own word brings back": (
        "track",
        'if update.integrity == "ok" or self.history.has(update.at, update.state):',
        "if True:",
    ),
    "dated ahead is not believed": (
        "track",
        "max(update.at, update.base, update.observed), now):\n            self.begin_outage",
        "0, now):\n            self.begin_outage",
    ),
    "a base dated ahead is dropped": ("completeness", "if need is FollowUp.NEW_BASE:", "if False:"),
    "without a book it is out": ("completeness", "track.begin_outage(NO_BOOK, now)", "pass"),
    "a book may be on its way": (
        "completeness",
        "if connection.awaits_snapshot(track.key, now - self._limits.in_flight):",
        "if False:",
    ),
    "a book is on its way for a while": (
        "connection_set",
        "any(at >= since for at in self.requested.get(key, ()))",
        "True",
    ),
    "what is lost later proves nothing before it": (
        "track",
        "if min(gap.from_ns, end) > start:\n                found.append((start, min(gap.from_ns, end)))",
        "if gap.from_ns > start:\n                found.append((start, gap.from_ns))",
    ),
    "a gap ends where the proof has passed it": (
        "track",
        "(end == start and self.state is TrackState.LIVE):\n            found.append((start, end))",
        "self.state is TrackState.LIVE:\n            found.append((start, max(start, end)))",
    ),
    "a gap that the proof has not reached is looked at again": (
        "coverage",
        "track.is_changed = track.has_gap_ahead",
        "track.is_changed = False",
    ),
    "what is learnt late is a gap from its begin": (
        "coverage",
        "if track.learnt_from is not None and track.since:",
        "if False:",
    ),
    "what is published again proves nothing": (
        "track",
        "        if observed <= before:\n            return False\n",
        "",
    ),
    "an observation dated ahead is not believed": ("track", "update.base, update.observed)", "update.base)"),
    "what it brought is known": (
        "track",
        "min(base, self.at) if self.at >= self._held_at else base",
        "base",
    ),
    "what was skipped is not awaited": (
        "completeness",
        "            connection.expect_none(keys)\n",
        "            pass\n",
    ),
    "a gap has a length": ("track", "max(last, first + SHORTEST)", "last"),
    "dates may go back": ("track", "first, last = sorted((from_ns, to_ns))", "first, last = from_ns, to_ns"),
    "what failed is missing also at the time held": (
        "track",
        "if start >= self._strong:",
        "if start > self._strong:",
    ),
    "a base dated ahead holds nothing": ("track", "and self._is_base_ahead and", "and False and"),
    "stop settles what is pending": (
        "coverage",
        "                if track.pending:",
        "                if False:",
    ),
    "stop settles what is old": ("coverage", "now - track.strong > self._limits.weak_max", "False"),
    "close settles what is pending": (
        "track",
        "if self.state is TrackState.OUT or self.pending:",
        "if False:",
    ),
    "sockets are drained first": ("completeness", "if mono - self._mono > PAUSE_S * SECOND:", "if False:"),
    "requests are limited": ("completeness", "every: int = RESYNC_EVERY_S * SECOND", "every: int = 0"),
    "a sequence is of all its keys": (
        "completeness",
        "self._break_sequence(connection, update, numbers, now)",
        "pass",
    ),
    "an answer proves its sequence": (
        "completeness",
        "max(until, requested - self._limits.axis_error)",
        "until",
    ),
    "a snapshot after a break proves from its receipt": (
        "track",
        "max(update.at, now) if self._limits.is_numbered else update.at",
        "update.at",
    ),
    "a damaged message reaches to its receipt": (
        "track",
        "            self._floor = now\n",
        "            pass\n",
    ),
    "silent keys are requested": ("completeness", "        self._request_silent(silent, now)\n", ""),
    "a silent connection is given up": (
        "connection_set",
        "mono - connection.opened_at > self._limits.first_data",
        "False",
    ),
    "an old connection waits for all its keys": (
        "connection_set",
        "        return all(\n",
        "        return any(\n",
    ),
    "a gap that a live track may close is not written": (
        "coverage",
        "        return live\n",
        "        return False\n",
    ),
    "observations come at a cadence": ("track", "self.add_gap(self.at, update.at, CADENCE_BROKEN)", "pass"),
    "a failed hash takes out": (
        "track",
        "        self.begin_outage(failure(update, self._limits), now)\n",
        "",
    ),
    "coverage is extended or it is a gap": (
        "coverage",
        "if not self.is_live or now - start > self._limits.patience:",
        "if not self.is_live:",
    ),
    "a state between two reports is missing": (
        "witness",
        "track.add_gap(before, after, SKIPPED_STATE)",
        "pass",
    ),
    "first snapshots are compared": (
        "completeness",
        "            self._compare_others(track, update, now)\n",
        "",
    ),
    "a first snapshot that fails is made up for": (
        "track",
        "        if self.state is TrackState.CLOSED:\n            return\n",
        "        if self.state not in (TrackState.LIVE, TrackState.OUT):\n            return\n",
    ),
    "a first snapshot that was skipped is made up for": (
        "track",
        "self.state in (TrackState.SUBSCRIBED, TrackState.LIVE)",
        "self.state is TrackState.LIVE",
    ),
    "what was skipped since a request is not in its answer": (
        "witness",
        "return proves_until + self._limits.statement_lag >= track.skipped_at",
        "return True",
    ),
    "a first snapshot proves from its base": (
        "track",
        "self._begin(update.base or update.at, now)",
        "self._begin(update.at, now)",
    ),
    "a first book of REST does not judge": (
        "completeness",
        "                other.refute_weak(NO_PROOF)\n",
        "",
    ),
    "only checked messages prove": ("track", 'return update.integrity == "ok" or (', "return True or ("),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_switched_off_is_noticed(rule: str) -> None:
    with mutant(*RULES[rule]) as module:
        assert noticed_by(module), rule


def noticed_by(module: object) -> str | None:
    for name, scenario in reversed(SCENARIOS.items()):  # those by hand first: they are the fastest
        try:
            scenario(module)
        except AssertionError:
            return name
    return None
