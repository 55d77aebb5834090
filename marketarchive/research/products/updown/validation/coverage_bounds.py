"""Check that each round has a row per second in the dataset, and that shares of observed seconds add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketarchive.research.checks.check import OFFENDERS, CheckResult, dicts, share
from marketarchive.research.engine import run
from marketarchive.research.views import literal
from marketarchive.times import DAY

if TYPE_CHECKING:
    import duckdb

RULE = (
    "Each round has exactly one row for each second t = 0..duration. The shares of its duration (without "
    "the settlement row t = duration) in which Chainlink's price (cl), the books (pm) and both were "
    "observed satisfy max(0, cl + pm - 1) <= both <= min(cl, pm). Observed: the value arrived in that "
    "second, or (books) it is proven that nothing changed (quiet), and no recorded gap concerns it."
)
NOT_TRUE = (
    "cl <= both does not hold in general: seconds with both are a subset of those with Chainlink, so both "
    "<= cl. both <= max(cl, pm) holds too, and is weaker than the bound that is checked."
)

_EMPTY = """
    CREATE OR REPLACE TEMP TABLE counted (market_id VARCHAR, duration BIGINT, n BIGINT, distinct_n BIGINT,
        is_whole BOOLEAN, cl BIGINT, pm BIGINT, both_n BIGINT, quiet BIGINT)"""
_COUNTED = """
    INSERT INTO counted
    SELECT any_value(mine.market_id), any_value(mine.duration), count(dataset.t), count(DISTINCT dataset.t),
           coalesce(min(dataset.t) = 0 AND max(dataset.t) = any_value(mine.duration), false),
           count(*) FILTER (within AND cl_ffill = 0),
           count(*) FILTER (within AND pm_ffill = 0),
           count(*) FILTER (within AND cl_ffill = 0 AND pm_ffill = 0),
           count(*) FILTER (within AND pm_ffill = 0 AND pm_quiet = 1)
    FROM (FROM rounds WHERE start_s // 86400 = {day}) AS mine
    LEFT JOIN (
        SELECT *, t < duration AS within FROM dataset WHERE time >= {first} AND time < {last}
    ) AS dataset ON dataset.market_no = mine.market_no
    GROUP BY mine.market_no"""
_HAS_ROWS = "n = duration + 1 AND distinct_n = n AND is_whole"
_IS_BOUND = "both_n BETWEEN greatest(0, cl + pm - duration) AND least(cl, pm)"


def check(connection: duckdb.DuckDBPyConnection) -> CheckResult:
    """Check that `dataset` has a row per second of each of `rounds`, and that observed shares add up.

    Both are relations of the connection. Rounds are checked day by day, by UTC day of their start, to bound
    memory. Raises duckdb.Error.
    """
    run(connection, _EMPTY)
    for (day,) in run(connection, "SELECT DISTINCT start_s // 86400 AS day FROM rounds ORDER BY day"):
        first, last = (literal(at * DAY) for at in (day - 1, day + 2))  # with room for rows out of place
        run(connection, _COUNTED.format(day=day, first=first, last=last))
    [all_of] = dicts(connection, _sums("true"))
    [seen] = dicts(connection, _sums("cl + pm > 0"))
    offenders = dicts(
        connection,
        f"""SELECT market_id, n AS "rows", duration + 1 AS rows_due, cl, pm, both_n AS "both"
            FROM counted WHERE NOT ({_HAS_ROWS}) OR NOT ({_IS_BOUND})
            ORDER BY abs(n - duration - 1) DESC, market_id LIMIT {OFFENDERS}""",
    )
    shares = [f"{name} {share(all_of[name], all_of['seconds'])}" for name in ("cl", "pm", "quiet", "both")]
    return CheckResult(
        "coverage",
        "Coverage adds up",
        RULE,
        "nothing to check" if not all_of["rounds"] else "fail" if offenders else "pass",
        f"{', '.join(shares)} of the {all_of['seconds']:,} seconds of {all_of['rounds']:,} rounds",
        {
            "rounds without their rows": all_of["without_rows"],
            "rounds beyond a bound": all_of["beyond"],
            "rounds with both < cl": all_of["below"],
        },
        [NOT_TRUE],
        offenders,
        [
            {"of": name, **{key: found[key] for key in ("rounds", "seconds", "cl", "pm", "quiet", "both")}}
            for name, found in (("all rounds", all_of), ("rounds with an observation", seen))
        ],
    )


def _sums(where: str) -> str:
    sums = ", ".join(
        f'coalesce(sum({column}), 0)::BIGINT AS "{name}"'
        for name, column in (
            ("seconds", "duration"),
            ("cl", "cl"),
            ("pm", "pm"),
            ("quiet", "quiet"),
            ("both", "both_n"),
        )
    )
    return f"""SELECT count(*) AS rounds, {sums}, count(*) FILTER (NOT ({_HAS_ROWS})) AS without_rows,
                      count(*) FILTER (NOT ({_IS_BOUND})) AS beyond, count(*) FILTER (both_n < cl) AS below
               FROM counted WHERE {where}"""
