"""Series for charts of the unified data: funding and basis by venue in basis points, thinned."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.research.engine import run, stored
from marketarchive.research.products.perps.over_time import DAY_S
from marketarchive.times import SECOND, from_iso, iso

if TYPE_CHECKING:
    import duckdb

POINTS = 90
"""Most points of a line in a chart: there may be eight lines for each of eleven assets."""
_STEPS = (1800, 3600, 4 * 3600, 8 * 3600, *(days * DAY_S for days in (1, 2, 4, 7, 14, 30, 90, 365)))
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

Rows = list[dict[str, Any]]


def step_of(first_s: int, last_s: int, period_s: int) -> int:
    """Return the seconds that a point of a line averages, so that a line has at most POINTS points.

    first_s, last_s: Unix seconds of the data; period_s: that of a row.
    """
    fitting = (step for step in _STEPS if step >= period_s and last_s - first_s <= step * POINTS)
    return next(fitting, _STEPS[-1])


def view_unified(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Create the view `unified` of the unified data in a Parquet file."""
    run(connection, f"CREATE OR REPLACE TEMP VIEW unified AS SELECT * FROM {stored(path)}")


def lines(connection: duckdb.DuckDBPyConnection, assets: Collection[str], step_s: int) -> Rows:
    """Return the mean funding and basis of each venue and asset in basis points, a row per `step_s` seconds.

    Rows run from the first to the last with data; a value is None where nothing is known. The basis is
    (mark - index) / index; None where the index itself stands for the mark price. Needs the view `unified`.
    """
    found = run(
        connection,
        f"""SELECT asset, venue, (epoch_us(timestamp) - 1) // {step_s * 10**6} * {step_s} AS at,
                   avg(funding_rate) * 10000,
                   avg((mark_c - index_c) / index_c) FILTER (WHERE mark_source NOT LIKE 'index%') * 10000
            FROM unified WHERE asset IS NOT NULL GROUP BY ALL ORDER BY ALL""",
    )
    made: Rows = []
    for (asset, venue), each in groupby(found, key=lambda row: (row[0], row[1])):
        known = {at: (funding, basis) for _, _, at, funding, basis in each}
        if asset in assets:
            for at in range(min(known), max(known) + 1, step_s):
                funding, basis = known.get(at, (None, None))
                made.append(
                    {
                        "asset": asset,
                        "venue": venue,
                        "x": at * 1000,
                        "from": iso(at * SECOND)[:16].replace("T", " "),
                        "funding": _short(funding),
                        "basis": _short(basis),
                    }
                )
    return made


def distributions(connection: duckdb.DuckDBPyConnection, assets: Collection[str]) -> Rows:
    """Return a row per asset and venue with quantiles of its funding in basis points. Needs `unified`."""
    found = run(
        connection,
        f"""SELECT asset, venue, count(funding_rate), quantile_cont(funding_rate * 10000, {list(QUANTILES)})
            FROM unified WHERE funding_rate IS NOT NULL AND asset IS NOT NULL GROUP BY ALL ORDER BY ALL""",
    )
    return [
        {"asset": asset, "venue": venue, "rates": count}
        | dict(zip(("p5", "p25", "median", "p75", "p95"), map(_short, values), strict=True))
        for asset, venue, count, values in found
        if asset in assets
    ]


def alike_spans(by_day: Sequence[Mapping[str, Any]]) -> Rows:
    """Return a row per venue and span of consecutive days of the same state: complete, some rows, or none.

    by_day: as `records_by_day` returns it, with the rows present and expected. `x` and `x2` are the span's
    ends, Unix ms.
    """
    made: Rows = []
    for row in by_day:
        at = from_iso(row["day"]) // 10**6
        state = _state(row["records"], row["expected"])
        last = made[-1] if made else None
        if last is not None and (last["venue"], last["state"], last["x2"]) == (row["venue"], state, at):
            last["x2"] = at + DAY_S * 1000
            last["rows"] += row["records"]
            last["expected"] += row["expected"]
            last["to"] = row["day"]
        else:
            x2 = at + DAY_S * 1000
            made.append(
                {"venue": row["venue"], "state": state, "x": at, "x2": x2, "from": row["day"]}
                | {"to": row["day"], "rows": row["records"], "expected": row["expected"]}
            )
    return made


def spreads(by_day: Sequence[Mapping[str, Any]], assets: Collection[str], step_s: int) -> Rows:
    """Return the differences between venues in basis points, a row per asset and step, as means of its days.

    by_day: as `spread_by_day` returns it; step_s: at least a day is used.
    """
    step_ms = max(step_s, DAY_S) * 1000
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in by_day:
        if row["asset"] in assets:
            at = from_iso(row["day"]) // 10**6 // step_ms * step_ms
            groups.setdefault((row["asset"], at), []).append(row)
    return [
        {"asset": asset, "x": at, "x2": at + step_ms, "from": iso(at * 10**6)[:10]}
        | {name: _mean([row[f"{name}_bps"] for row in rows]) for name in ("funding", "mark")}
        for (asset, at), rows in sorted(groups.items())
    ]


def _state(records: int, expected: int) -> str:
    if records >= expected:
        return "complete"
    return "some rows" if records else "none"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return _short(sum(known) / len(known)) if known else None


def _short(value: float | None) -> float | None:
    """Return the value rounded to 5 digits, enough for a chart; None stays None."""
    return None if value is None else float(f"{value:.5g}")
