"""Settled funding as the data server of Drift and Velocity lists it.

Shape: a recorded answer of 2026-09-13. `fundingRateLong` and `fundingRateShort` are quote per base unit for
the hour, not fractions: they are divided by the oracle's average price. Positive: longs pay; the two differ
where the pool caps what it pays.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from marketarchive.venues.perp_rows import BadRowError, Contracts, divided, moment, number, rounded, times
from marketarchive.venues.table_rows import FundingsRow

HOUR_S = 3600
SLACK = Decimal("5E-5")
"""By how much a rate may differ from a 24th of the premium: a floor of 1.25E-5 an hour and a dead zone of
5E-4 / 24 lie between (documents of 2026-07-09)."""


class SentFunding(msgspec.Struct, rename="camel"):
    ts: int | str
    symbol: str
    funding_rate_long: str
    funding_rate_short: str
    oracle_price_twap: str
    mark_price_twap: str


class Meta(msgspec.Struct, rename="camel"):
    next_page: int | str | None = None


class SentRecords(msgspec.Struct):
    records: list[msgspec.Raw]
    meta: Meta = msgspec.field(default_factory=Meta)


def funding_rows(sent: SentFunding, contracts: Contracts) -> Iterator[FundingsRow]:
    """Yield the row of a settlement. Raises BadRowError where a rate does not follow from the premium."""
    oracle, mark = number(sent.oracle_price_twap), number(sent.mark_price_twap)
    if oracle <= 0:
        raise BadRowError(f"a price of {oracle}")
    contract = contracts.of(sent.symbol)
    long, short = (
        _proven(divided(number(rate), oracle), divided(mark - oracle, oracle) / 24)
        for rate in (sent.funding_rate_long, sent.funding_rate_short)
    )
    yield FundingsRow(
        market=sent.symbol,
        asset=contract.asset,
        event_time=moment(sent.ts),
        kind="settled",
        rate=rounded(long),
        rate_short=rounded(short),
        interval_s=HOUR_S,
        mark_price=mark,
        index_price=oracle,
    )


def _proven(rate: Decimal, premium: Decimal) -> Decimal:
    """Return a rate that is near a 24th of the premium, or capped: shows its sign and its unit."""
    is_capped = abs(rate) <= abs(premium) and times(rate, premium) >= 0
    if not is_capped and abs(rate - premium) > SLACK:
        raise BadRowError(f"a rate of {rate:.3g} an hour at a premium of {premium:.3g}: another unit or sign")
    return rate
