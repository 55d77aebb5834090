"""Rounds for the report's chart of one round: prices thinned to every n-th second, states at their worst."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from marketarchive.research.engine import run
from marketarchive.research.labels.label import Label
from marketarchive.research.products.updown.canonical.dataset import path_of
from marketarchive.research.products.updown.report.outcomes import shown_verdict
from marketarchive.research.products.updown.validation import inputs
from marketarchive.research.report.scope import ReportScope
from marketarchive.times import SECOND

if TYPE_CHECKING:
    import duckdb

POINTS = 200_000
"""Approximate number of points of all rounds together: a few MB."""
_MOST, _LEAST = 300, 60  # points of one round
_STEPS = (1, 2, 3, 5, 6, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800)
_SHARE = 10_000  # parts of a dollar in which a price per share is written
_DIGITS = 7  # digits of a reference price

STATES = "oqcn"
"""Letters for the state of a stream in a second, best first: observed, quiet (proven unchanged), carried,
none."""

_PRICE_STATE = "CASE WHEN cl_mid IS NULL THEN 3 WHEN cl_ffill = 1 THEN 2 ELSE 0 END"
_BOOK_STATE = "CASE WHEN pm_ffill IS NULL THEN 3 WHEN pm_ffill = 1 THEN 2 WHEN pm_quiet = 1 THEN 1 ELSE 0 END"


def rounds(
    connection: duckdb.DuckDBPyConnection,
    scope: ReportScope,
    labels: Sequence[Label],
    names: Mapping[str, tuple[str, str]],
) -> list[dict[str, Any]]:
    """Return the labelled rounds with a price or a book in the dataset, as the report's script reads them.

    names: token -> (slug, outcome). Raises duckdb.Error.
    """
    path = scope.root / path_of("observation")
    if not labels or not path.exists():
        return []
    inputs.register(connection, scope.root, labels, names, path)
    steps = {each.market_id: thinning_step(_duration(each), len(labels)) for each in labels}
    connection.execute("CREATE OR REPLACE TEMP TABLE steps (market_id VARCHAR, step INTEGER)")
    connection.executemany("INSERT INTO steps VALUES (?, ?)", [list(each) for each in steps.items()])
    series: dict[str, list[tuple[Any, ...]]] = {}
    for market, *values in run(
        connection,
        f"""SELECT dataset.market_id, last(cl_mid ORDER BY t),
                   last(CASE WHEN cl_twap_ffill = 0 THEN cl_twap END ORDER BY t),
                   last(pm_up_mid ORDER BY t), max({_PRICE_STATE}), max({_BOOK_STATE}),
                   count(*) FILTER ({_PRICE_STATE} = 0) + count(*) FILTER ({_BOOK_STATE} <= 1)
            FROM dataset JOIN steps ON steps.market_id = dataset.market_id
            GROUP BY dataset.market_id, (t + step - 1) // step
            ORDER BY dataset.market_id, (t + step - 1) // step""",
    ):
        series.setdefault(market, []).append(tuple(values))
    gaps: dict[int, list[list[Any]]] = {}
    for number, stream, reason, start, end in run(
        connection,
        """SELECT DISTINCT market_no, stream, reason, from_us // 1000, to_us // 1000
           FROM market_gaps ORDER BY ALL""",
    ):
        gaps.setdefault(number, []).append([stream, reason, start, end])
    return [
        _round(each, steps[each.market_id], points, gaps.get(number, []), scope.until)
        for number, each in enumerate(labels)
        if (points := series.get(each.market_id)) and any(_has_any(point) for point in points)
    ]


def observed(
    connection: duckdb.DuckDBPyConnection,
    scope: ReportScope,
    labels: Sequence[Label],
    names: Mapping[str, tuple[str, str]],
) -> dict[str, int]:
    """Return the number of seconds of the labelled rounds, and of those with both books (pm) or a price (cl).

    names: token -> (slug, outcome). Only observed books and prices count. Raises duckdb.Error.
    """
    inputs.register_rows(connection, labels, names, scope.root / path_of("observation"))
    [[seconds, pm, cl]] = run(
        connection,
        """SELECT (SELECT coalesce(sum(duration), 0)::BIGINT FROM rounds), count(*) FILTER (pm_ffill = 0),
                  count(*) FILTER (cl_ffill = 0) FROM dataset WHERE t < duration""",
    )
    return {"seconds": seconds, "pm": pm, "cl": cl}


def _has_any(point: tuple[Any, ...]) -> bool:
    return any(value is not None for value in point[:3])


def _round(
    label: Label,
    step: int,
    points: Sequence[tuple[Any, ...]],
    gaps: Sequence[Sequence[Any]],
    until_ns: int,
) -> dict[str, Any]:
    prices, means, ups, seen, books, observed = zip(*points, strict=True)
    strike = None if label.strike is None else float(label.strike)
    base = strike if strike is not None else next((each for each in prices if each is not None), 0.0)
    digits = _DIGITS - 1 - math.floor(math.log10(base)) if base > 0 else 0
    scale = 10 ** max(0, digits)
    return {
        "id": label.market_id,
        "asset": label.asset,
        "duration": label.duration,
        "from": label.start_ns // SECOND,
        "until": label.end_ns // SECOND,
        "step": step,
        "strike": strike,
        "settlement": None if label.settlement is None else float(label.settlement),
        "computed": label.computed_outcome,
        "official": label.resolved_outcome,
        "verdict": shown_verdict(label, until_ns),
        "observed_share": sum(observed) / (2 * (_duration(label) + 1)),  # of seconds of price and books
        "reason": label.reason,
        "rule": label.rule,
        "base": base,
        "scale": scale,
        "price": _whole(prices, base, scale),
        "mean": _whole(means, base, scale) if any(each is not None for each in means) else None,
        "up": _whole(ups, 0.0, _SHARE),
        "seen": "".join(STATES[state] for state in seen),
        "books": "".join(STATES[state] for state in books),
        "gaps": list(gaps),
    }


def _whole(values: Iterable[float | None], base: float, scale: int) -> list[int | None]:
    """Return each value as the integer (value - base) * scale, to keep the page small; None stays None."""
    return [None if each is None else round((each - base) * scale) for each in values]


def _duration(label: Label) -> int:
    return (label.end_ns - label.start_ns) // SECOND


def thinning_step(duration: int, rounds: int) -> int:
    """Return the seconds between points of a round of `duration` seconds, on a page of `rounds` rounds."""
    most = min(_MOST, max(_LEAST, POINTS // rounds))
    return next((step for step in _STEPS if duration <= step * most), _STEPS[-1])
