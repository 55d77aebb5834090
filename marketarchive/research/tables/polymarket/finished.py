"""Finishing of rows of Polymarket's feeds by SQL: each trade once, quotes in order."""

from __future__ import annotations

_ALIKE = "transaction_hash, token, wallet, side, price, size, event_time"


def trades(made: str) -> str:
    """Return a query of trades as they were first reported.

    Each poll and each of two overlapping connections reports the same trade again. Two fills that look alike
    differ in `number`: the place among their equals in one answer or frame. made: name of the table of rows.
    """
    return f"""
    SELECT * FROM (
        SELECT * REPLACE (
            (row_number() OVER (PARTITION BY run, seq, {_ALIKE} ORDER BY index, position))::INTEGER AS number)
        FROM {made})
    QUALIFY transaction_hash IS NULL OR row_number() OVER (
        PARTITION BY {_ALIKE}, number ORDER BY received_at, run, seq, index, position) = 1"""


def quotes(made: str) -> str:
    """Return a query of quotes sorted by source and token, so that reading one of them skips the others.

    made: name of the table of rows.
    """
    return f"SELECT * FROM {made} ORDER BY source, token, received_at, run, seq, index, position"
