"""Each rule switched off: a scenario notices, or one of a few worlds of random faults."""

from __future__ import annotations

import pytest

from tests.collecting.completeness.mutants import mutant
from tests.collecting.completeness.scenarios import SCENARIOS

RULES = {
    "weak proof ages": (
        "completeness",
        "if self._limits.counts_order and now - track.strong > self._limits.weak_max:",
        "if False:",
    ),
    "a closed track is judged": ("witness", "            track.refute_weak(PASSED_OVER)\n", "            pass\n"),
    "a newer one takes over where it is proven": ("witness", "return old.until >= new.since", "return True"),
    "what is passed over is missing": (
        "track",
        "                    self.add_gap(self.since if before is None else before, update.at, PASSED_OVER)\n",
        "                    pass\n",
    ),
    "a statement has a deadline": ("completeness", "pending.deadline <= self._mono", "False"),
    "the connection's own word brings back": (
        "track",
        'if update.integrity == "ok" or self.history.has(update.at, update.state):',
        "if True:",
    ),
    "dated ahead is no base": ("track", "            return Need.NEW_BASE\n        if update.is_known and", "            return Need.RESYNC\n        if update.is_known and"),
    "a base dated ahead holds nothing": ("track", "and self._is_base_ahead and", "and False and"),
    "stop settles what is pending": ("coverage", "                if track.pending:\n", "                if False:\n"),
    "stop settles what is old": ("coverage", "now - track.strong > self._limits.weak_max", "False"),
    "sockets are drained first": ("completeness", "if mono - self._mono > PAUSE_S * SECOND:", "if False:"),
    "requests are limited": ("completeness", "every = RESYNC_EVERY_S * SECOND", "every = 0"),
    "a sequence is of all its keys": ("completeness", "self._break_sequence(connection, update, numbers, now)", "pass"),
    "a damaged message reaches to its receipt": ("track", "            self._floor = now\n", "            pass\n"),
    "silent keys are requested": ("completeness", "        self._request_silent(silent)\n", ""),
    "a silent connection is given up": ("completeness", "self._mono - connection.opened_at > self._limits.first_data", "False"),
    "newer ones of the pool are awaited": ("completeness", "            if not any(t.state", "            if False and not any(t.state"),
    "a gap is not written while a live track may close it": ("coverage", "        self._waits = self._waits or live\n        return live", "        return False"),
    "cadence": ("track", "            self.add_gap(self.at, update.at, CADENCE_BROKEN)\n", "            pass\n"),
    "a hash that does not match takes out": ("track", "        self.go_out(failure(update, self._limits), now)\n", ""),
    "patience": ("coverage", "if not self.is_live or now - start > self._limits.patience:", "if not self.is_live:"),
    "between two reports": ("witness", "track.add_gap(before, after, PASSED_OVER)", "pass"),
    "a first snapshot is compared": ("completeness", "            self._compare_others(track, update, now)\n", ""),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_switched_off_is_noticed(rule: str) -> None:
    with mutant(*RULES[rule]) as module:
        assert noticed_by(module), rule


def noticed_by(module: object) -> str | None:
    for name, scenario in SCENARIOS.items():
        try:
            scenario(module)
        except AssertionError:
            return name
    return None
