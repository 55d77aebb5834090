"""Check that the books of Up and Down leave no sure profit when traded against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketarchive.research.checks.check import OFFENDERS, CheckResult, State, dicts, share
from marketarchive.research.engine import run

if TYPE_CHECKING:
    import duckdb

LOW, HIGH = "0.95", "1.05"
"""Bounds of the sums of best prices, dollars; as SQL decimals, since prices have at most 9 decimals."""

RULE = (
    f"In every row before the end that has both outcomes, carried forward or not, sum_bids <= {HIGH} and "
    f"sum_asks >= {LOW}. One share of each outcome pays exactly $1 together, so sums beyond these bounds are "
    "a riskless profit, which a market does not leave standing: the books are wrong, or not of the same "
    "moment. In a second that a recorded gap touches, this is a warning, since the loss is known. Sums on "
    f"the other side (sum_bids below {LOW}, sum_asks above {HIGH}) are a wide spread, as in thin books near "
    "the close: a warning. With --strict each of these fails."
)
_BIDS, _ASKS = "sum_bids::DECIMAL(18,9)", "sum_asks::DECIMAL(18,9)"
_ROWS = "dataset WHERE t < duration AND (sum_bids IS NOT NULL OR sum_asks IS NOT NULL)"
_PROFIT = f"coalesce({_BIDS} > {HIGH}, false) OR coalesce({_ASKS} < {LOW}, false)"
_SOME = f"coalesce({_BIDS} > 1, false) OR coalesce({_ASKS} < 1, false)"
_WIDE = f"coalesce({_BIDS} < {LOW}, false) OR coalesce({_ASKS} > {HIGH}, false)"


def check(connection: duckdb.DuckDBPyConnection, *, strict: bool = False) -> CheckResult:
    """Check that Up's and Down's prices sum to a dollar in each row of `dataset`, within LOW to HIGH.

    strict: a sum outside fails the check, even where it is otherwise only a warning. Raises duckdb.Error.
    """
    [[rows, profit, known, some, wide, carried, low_bids, high_bids, low_asks, high_asks]] = run(
        connection,
        f"""SELECT count(*), count(*) FILTER ({_PROFIT}), count(*) FILTER (gap AND ({_PROFIT})),
                   count(*) FILTER ({_SOME}), count(*) FILTER ({_WIDE}), count(*) FILTER (pm_ffill = 1),
                   min({_BIDS})::DOUBLE, max({_BIDS})::DOUBLE, min({_ASKS})::DOUBLE, max({_ASKS})::DOUBLE
            FROM {_ROWS}""",
    )
    offenders = dicts(
        connection,
        f"""SELECT market_id, t, pm_up_bid, pm_up_ask, pm_down_bid, pm_down_ask, sum_bids, sum_asks,
                   pm_ffill, gap, pm_source
            FROM {_ROWS} AND (({_PROFIT}) OR ({_WIDE}))
            ORDER BY ({_PROFIT}) AND NOT coalesce(gap, false) DESC, ({_PROFIT}) DESC,
                     greatest(abs(coalesce(sum_bids, 1) - 1), abs(coalesce(sum_asks, 1) - 1)) DESC,
                     market_id, t LIMIT {OFFENDERS}""",
    )
    state: State = "nothing to check"
    if rows:
        is_beyond = bool(profit or wide)
        state = "fail" if profit > known or (strict and is_beyond) else "warn" if is_beyond else "pass"
    return CheckResult(
        "sums",
        "No arbitrage between Up and Down",
        RULE,
        state,
        f"{profit:,} of {rows:,} rows leave a profit of over 5 cents; {share(wide, rows)} have a wide spread",
        {
            "rows": rows,
            "rows with a carried side": carried,
            "profit of more than 5 cents": profit,
            "of these in a recorded gap": known,
            "any profit": some,
            "wide spread": wide,
            "lowest sum_bids": low_bids,
            "highest sum_bids": high_bids,
            "lowest sum_asks": low_asks,
            "highest sum_asks": high_asks,
        },
        [],
        offenders,
    )
