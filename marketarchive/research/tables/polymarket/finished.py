"""SQL that completes the rows of Polymarket's feeds: each trade once, quotes sorted."""

from __future__ import annotations

_ALIKE = "transaction_hash, token, wallet, side, price, size, event_time"


def trades(made: str) -> str:
    """Return the SQL of trades, each once, as it was first reported.

    made: relation of the rows. Each poll, and each of two overlapping connections, reports a trade again.
    Fills that look alike differ in `number`, their place among equal ones in one answer or frame.
    """
    return f"""
    SELECT * FROM (
        SELECT * REPLACE (
            (row_number() OVER (PARTITION BY run, seq, {_ALIKE} ORDER BY index, position))::INTEGER AS number)
        FROM {made})
    QUALIFY transaction_hash IS NULL OR row_number() OVER (
        PARTITION BY {_ALIKE}, number ORDER BY received_at, run, seq, index, position) = 1"""


def quotes(made: str) -> str:
    """Return the SQL of quotes sorted by source and token, so that reading one token skips the others.

    made: relation of the rows.
    """
    return f"SELECT * FROM {made} ORDER BY source, token, received_at, run, seq, index, position"
