"""Estimates of boundary prices that nobody stated, from prices around them; never proof of an outcome."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from marketarchive.research.products.updown.labels.boundary_prices import near
from marketarchive.research.products.updown.labels.labels import ESTIMATED, Estimate, Tick

NEAR_S = 5
"""Greatest distance from the boundary, s, of a price of the same instrument that stands in for it."""
ENOUGH = 0.9
"""Least share of a mean's seconds that need a spot price."""
SHIFT_S = 3
"""Seconds by which a mean may end before its stamp: one study found so, others not; part of the error."""

_TWAP = re.compile(r"(chainlink:[a-z0-9]+-usd)-twap-(\d+)s")


def estimates(root: Path, missing: Collection[tuple[str, int]]) -> dict[tuple[str, int], Estimate]:
    """Return estimates of those of `missing` (instrument, ns) for which there are prices.

    Raises duckdb.Error.
    """
    made: dict[tuple[str, int], Estimate] = {}
    windows: dict[int, list[tuple[str, int, str]]] = {}
    for instrument, at in missing:
        if named := _TWAP.fullmatch(instrument):
            windows.setdefault(int(named[2]), []).append((instrument, at, named[1]))
    for window_s, each in windows.items():
        spot = near(root, {(of, at) for _, at, of in each}, window_s - 1, 0)
        for instrument, at, of in each:
            if (mean := mean_of(spot.get((of, at), ()), window_s, of)) is not None:
                made[instrument, at] = mean
    around = near(root, set(missing) - set(made), NEAR_S, NEAR_S)
    for (instrument, at), reported in around.items():
        if (nearest := nearest_of(reported, at)) is not None:
            made[instrument, at] = nearest
    return made


def mean_of(reported: Sequence[tuple[int, Tick]], window_s: int, of: str) -> Estimate | None:
    """Return the estimate of a mean from its spot prices; None if too few seconds have one.

    reported: (second in ns, tick) by second; window_s: seconds of the mean; of: the spot instrument. The
    error grows with the number of seconds without a price.
    """
    by_second: dict[int, Tick] = {}
    for at, tick in reported:
        by_second.setdefault(at, tick)
    values = [tick.value_e18 for tick in by_second.values()]
    if len(values) < ENOUGH * window_s:
        return None
    unsure = window_s - len(values) + SHIFT_S
    return Estimate(
        sum(values) // len(values),
        (max(values) - min(values)) * unsure // window_s,
        max(tick.received_at_ns for tick in by_second.values()),
        f"{ESTIMATED}mean of {len(values)} of {window_s} ticks of {of}",
    )


def nearest_of(reported: Sequence[tuple[int, Tick]], at: int) -> Estimate | None:
    """Return the last price before the boundary, else the first after it; None for fewer than two prices.

    reported: (second in ns, tick) by second; at: the boundary, ns. The error is the range of the prices.
    """
    if len(reported) < 2:
        return None
    values = [tick.value_e18 for _, tick in reported]
    before = [each for each in reported if each[0] < at]
    second, tick = before[-1] if before else reported[0]
    distance = abs(at - second) / 1_000_000_000
    return Estimate(
        tick.value_e18,
        max(values) - min(values),
        tick.received_at_ns,
        f"{ESTIMATED}tick {distance:g} s {'before' if before else 'after'} the boundary",
    )
