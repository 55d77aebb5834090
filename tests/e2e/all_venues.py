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
from tests.e2e.stream_truth import LOOKED_INTO_S, Comparison

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
    ordered: list[dict[str, Any]] = []
    for place, route in enumerate((*(each.socket for each in EXCHANGES), KALSHI)):
        at, number = every_s / 2 + 3 * place, place
        while at < seconds - every_s / 2:
            kind = dict(KINDS[number % len(KINDS)])
            lasts, also = kind.pop("for", None), kind.pop("with", None)
            fault = {"route": route, "count": 1, **kind, "from_s": at}
            if fault["count"] is None:
                del fault["count"]
            if lasts is not None:
                fault["to_s"] = at + lasts
            ordered.append(fault)
            if also is not None:
                ordered.append({"route": route, "count": 1, **also, "from_s": at})
            at, number = at + every_s, number + 1
    return ordered


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
    is not known by then. Nor is a book that nothing could show to be missing.
    """
    excused = defaultdict[str, list[tuple[int, int]]](list)  # by market: from, to
    for gap in found.gaps:
        for token in gap.tokens:
            excused[token].append((gap.first - SECOND, gap.last + SECOND))  # as messages are
    for one in found.hidden_ones:
        excused[one.market].append((one.at, one.at + int(LOOKED_INTO_S * SECOND)))
    return [
        row
        for row in rows
        if not any(first <= from_iso(row["timestamp"]) <= last for first, last in excused[row["market_id"]])
    ]
