"""Settlement of a 15-minute round: two means of an index, their rounding, and the outcome.

YES if the simple average of the 60 one-second values of the index before the close is at least that of the 60
before the open (rules_primary of live objects, 2026-08-17 and 2026-09-10), each rounded to the decimals that
`custom_strike.round_digits` says: "rounded to the nearest 2 decimal places". `floor_strike` and
`expiration_value` are these two means, as published. Which way a mean is rounded that lies exactly half way,
no source says: `roundings` gives both.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.times import from_datetime
from marketarchive.venues.exact import e18
from marketarchive.venues.kalshi import wire
from marketarchive.venues.kalshi.tickers import series_of
from marketarchive.venues.symbols import symbols

MEAN_S = 60
"""Values that a mean is of."""
E18_DECIMALS = 18

Outcome = Literal["yes", "no"]


class RoundTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """The terms of a round as one answer states them, in the venue's words; None where it does not."""

    ticker: str
    status: str
    end: int  # ns
    start: int | None = None
    round_digits: int | None = None
    strike_type: str | None = None
    strike: str | None = None  # floor_strike, with all its digits
    settlement: str | None = None  # expiration_value
    result: str | None = None
    payout: str | None = None  # dollars of a contract of YES
    rule: str | None = None  # as of `Market.rule`


def terms_of(row: wire.SentMarket, rule: str | None) -> RoundTerms:
    """Return the settlement terms that a market's row states. Raises ParseError."""
    end = wire.time(row.close_time, "close_time", "Market")
    if end is None:
        raise ParseError("Market", f"{row.ticker}: close_time={row.close_time!r}", ("close_time",))
    start = wire.time(row.open_time, "open_time", "Market")
    paid = wire.dollars(row.settlement_value_dollars, row.settlement_value)
    return RoundTerms(
        ticker=row.ticker,
        status=row.status,
        end=from_datetime(end),
        start=None if start is None else from_datetime(start),
        round_digits=digits_of(row.custom_strike),
        strike_type=row.strike_type or None,
        strike=None if row.floor_strike is None else str(row.floor_strike),
        settlement=None if row.expiration_value in (None, "") else str(row.expiration_value),
        result=row.result or None,
        payout=None if paid is None else wire.plain(paid),
        rule=rule,
    )


def digits_of(custom_strike: Any) -> int | None:
    """Return the decimals that means are rounded to; None where they are not stated, or not as a number."""
    stated = custom_strike.get("round_digits") if isinstance(custom_strike, dict) else None
    text = str(stated) if isinstance(stated, str | int) and not isinstance(stated, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and int(text) <= E18_DECIMALS else None


def index_of(asset: str) -> str | None:
    """Return the index that the rounds of an asset settle on: `BRTI`."""
    row = symbols("kalshi").get(asset)
    return row["index"] if row is not None and row["index"] else None


def index_named(rule: str) -> str | None:
    """Return the index that a rule of `Market.rule` names; None where it is of another kind."""
    words = rule.split(" ")
    is_mean = len(words) == 5 and words[:2] == ["cf", "benchmarks"] and words[3:] == ["mean", f"{MEAN_S}s"]
    return words[2].upper() if is_mean else None


def rule_of_index(index: str) -> str:
    """Return the rule of `Market.rule` that names an index."""
    return f"cf benchmarks {index.lower()} mean {MEAN_S}s"


def series_asset(ticker: str) -> str | None:
    """Return the asset of the series that a round is of."""
    series = series_of(ticker)
    return next((asset for asset, row in symbols("kalshi").items() if row["series"] == series), None)


def roundings(values: Sequence[Decimal], digits: int) -> tuple[Decimal, ...]:
    """Return the mean of values rounded to so many decimals, half up; half down after it where that differs.

    It is rounded once, from the exact sum. Raises ValueError for a value of more than 18 decimals.
    """
    total = sum(map(e18, values))
    step = len(values) * 10 ** (E18_DECIMALS - digits)
    whole, rest = divmod(total, step)
    up = whole + (2 * rest >= step)
    down = whole + (2 * rest > step)
    return tuple(Decimal(each).scaleb(-digits) for each in dict.fromkeys((up, down)))


def winner(strike_e18: int, settlement_e18: int) -> Outcome:
    """Return the outcome; a tie is YES."""
    return "yes" if settlement_e18 >= strike_e18 else "no"
