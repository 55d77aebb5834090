"""Settlement of a 15-minute round: two means of an index, their rounding, and the outcome.

YES if the simple average of the index's 60 one-second values before the close is at least that of the 60
values before the open (rules_primary of live objects, 2026-08-17 and 2026-09-10). Each average is rounded to
the decimals in `custom_strike.round_digits`: "rounded to the nearest 2 decimal places". `floor_strike` and
`expiration_value` are the two published averages. No source says which way an average exactly half way is
rounded, so `roundings` returns both.
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
"""Values, one a second, in the mean at a boundary of the round."""
E18_DECIMALS = 18

Outcome = Literal["yes", "no"]


class RoundTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """The settlement terms of a round as one answer states them, in the venue's words; None: not stated."""

    ticker: str
    status: str
    end: int  # close of the round, wall clock, ns
    start: int | None = None
    round_digits: int | None = None
    strike_type: str | None = None
    strike: str | None = None  # `floor_strike` with all its digits
    settlement: str | None = None  # `expiration_value`
    result: str | None = None
    payout: str | None = None  # dollars paid for a contract of YES
    rule: str | None = None  # settlement source in the form of `Market.rule`


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
    """Return the decimals that means are rounded to; None when not stated as a number.

    custom_strike: the field of that name in a market's row.
    """
    stated = custom_strike.get("round_digits") if isinstance(custom_strike, dict) else None
    text = str(stated) if isinstance(stated, str | int) and not isinstance(stated, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and int(text) <= E18_DECIMALS else None


def index_of(asset: str) -> str | None:
    """Return the name of the index that an asset's rounds settle on, such as `BRTI`; None when unknown."""
    row = symbols("kalshi").get(asset)
    return row["index"] if row is not None and row["index"] else None


def index_named(rule: str) -> str | None:
    """Return the index that a settlement source names; None for a source of another kind.

    rule: in the form of `Market.rule`.
    """
    words = rule.split(" ")
    is_mean = len(words) == 5 and words[:2] == ["cf", "benchmarks"] and words[3:] == ["mean", f"{MEAN_S}s"]
    return words[2].upper() if is_mean else None


def rule_of_index(index: str) -> str:
    """Return the settlement source, in the form of `Market.rule`, that names an index."""
    return f"cf benchmarks {index.lower()} mean {MEAN_S}s"


def series_asset(ticker: str) -> str | None:
    """Return the asset of the series of rounds that a market belongs to; None for other markets."""
    series = series_of(ticker)
    return next((asset for asset, row in symbols("kalshi").items() if row["series"] == series), None)


def roundings(values: Sequence[Decimal], digits: int) -> tuple[Decimal, ...]:
    """Return the mean of `values` rounded to `digits` decimals, half up, and half down if that differs.

    The exact mean is rounded once. Raises ValueError for a value with more than 18 decimals.
    """
    total = sum(map(e18, values))
    step = len(values) * 10 ** (E18_DECIMALS - digits)
    whole, rest = divmod(total, step)
    up = whole + (2 * rest >= step)
    down = whole + (2 * rest > step)
    return tuple(Decimal(each).scaleb(-digits) for each in dict.fromkeys((up, down)))


def winner(strike_e18: int, settlement_e18: int) -> Outcome:
    """Return the outcome of a round from its two means; equal means give YES.

    strike_e18, settlement_e18: means before the open and before the close, in units of 1e-18 dollars.
    """
    return "yes" if settlement_e18 >= strike_e18 else "no"
