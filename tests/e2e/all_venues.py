"""Faults of the sockets of all venues at once, and what was archived against all that they sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marketarchive.times import SECOND, from_iso
from tests.e2e import kalshi_truth, stream_truth
from tests.e2e.exchange_truth import EXCHANGES
from tests.e2e.stream_conformance import compare_prices
from tests.e2e.stream_truth import LOOKED_INTO_S, Comparison, Spell, moments, orders_of

KALSHI = f"{kalshi_truth.HOST}*"
"""Route of its socket."""
KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "ws_close"},
    {"kind": "ws_drop", "count": 3, "every": 7, "event": "book"},
    {"kind": "ws_close", "code": 1006, "reason": ""},
    {"kind": "ws_truncate", "count": 2, "every": 11, "event": "book"},
    {"kind": "ws_stall", "seconds": 40},
    {"kind": "ws_mute", "count": None, "for": 40, "index": 0},
    {"kind": "ws_reorder", "count": 2, "every": 9, "event": "book"},
    {"kind": "ws_half_open"},
    {"kind": "ws_duplicate", "count": 5, "every": 3},
    {"kind": "status", "status": 503, "count": None, "for": 25, "with": {"kind": "ws_close"}},
)
"""What goes wrong on each socket, one after the other: "for" seconds, and "with" something that matters."""


def schedule(seconds: float, every_s: float) -> list[dict[str, Any]]:
    """Return the faults of each socket but Polymarket's, so many simulated seconds apart."""
    return [
        each
        for place, route in enumerate((*(each.socket for each in EXCHANGES), KALSHI))
        for number, at in enumerate(moments(every_s / 2 + 3 * place, seconds, every_s), place)
        for each in orders_of(KINDS[number % len(KINDS)], route, at)
    ]


def hold_against_truth(out: Path, truth: Path, seconds: float, faults: Sequence[int] = ()) -> None:
    """Assert that what is missing lies in a gap, each gap has a cause, and each observed row is true.

    faults: when (ns) something was done beside the simulator's faults.
    """
    found = {each.venue: each.compare(out, truth, faults) for each in EXCHANGES}
    found["polymarket"] = stream_truth.compare(out, truth, faults)
    found["rtds"] = compare_prices(out, truth, faults)
    found["kalshi"] = kalshi_truth.compare(out, truth, faults)
    for name, one in found.items():
        missing, gaps = len(one.missing), len(one.gaps)
        print(f"{name}: {one.frames} frames, {missing} missing, {one.hidden} hidden, {gaps} gaps")
    for name, one in found.items():
        assert one.frames > seconds, name
        assert one.missing or name == "rtds", name
        assert not one.unexplained[:3], name
        assert not one.groundless[:3], name
    for each in EXCHANGES:
        assert not _wrong(each.wrong_rows(out), found[each.venue])[:3], each.venue
    assert not _wrong(kalshi_truth.wrong_rows(out), found["kalshi"])[:3], "kalshi"


def _wrong(rows: Sequence[dict[str, Any]], found: Comparison) -> list[dict[str, Any]]:
    """Return those in no gap: a row is what is known five seconds after its tick, and that one market is mute
    is not known by then. Nor is it when what they lack lies in no gap, since nothing could show it.
    """
    gaps = defaultdict[str, list[Spell]](list)
    for gap in found.gaps:
        if gap.reason == "crash":
            continue  # a dead run makes no rows, and those of the next one are to be true
        for token in gap.tokens:
            gaps[token].append(gap)

    def is_in_gap(market: str, at: int) -> bool:
        return any(gap.first <= at <= gap.last for gap in gaps[market])

    lacked = defaultdict[str, list[int]](list)  # market -> times of missing messages in no gap
    for one in found.missing:
        if not is_in_gap(one.market, one.at):
            lacked[one.market].append(one.at)

    def is_excused(market: str, at: int) -> bool:
        lasts = int(LOOKED_INTO_S * SECOND)
        return is_in_gap(market, at) or any(lost <= at <= lost + lasts for lost in lacked[market])

    return [row for row in rows if not is_excused(row["market_id"], from_iso(row["timestamp"]))]
