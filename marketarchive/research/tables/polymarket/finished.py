"""Finishing of rows of Polymarket's feeds by SQL: each trade once, quotes in order."""

from __future__ import annotations

_ALIKE = "transaction_hash, token, wallet, side, price, size, event_time"


def trades(made: str) -> str:
    """Return a query of trades as they were first told.

    The same trade is told again by each poll and by each of two overlapping connections. What tells two
    fills apart that look alike is `number`: the place among its equals in one answer or frame.
    """
    return f"""
    SELECT * FROM (
        SELECT * REPLACE (
            (row_number() OVER (PARTITION BY run, seq, {_ALIKE} ORDER BY index, position))::INTEGER AS number)
        FROM {made})
    QUALIFY transaction_hash IS NULL OR row_number() OVER (
        PARTITION BY {_ALIKE}, number ORDER BY received_at, run, seq, index, position) = 1"""


def quotes(made: str) -> str:
    """Return a query of quotes by source and token: who wants one of them reads little else."""
    return f"SELECT * FROM {made} ORDER BY source, token, received_at, run, seq, index, position"
