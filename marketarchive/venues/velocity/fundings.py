"""Parser of settled funding as the data server of Drift and Velocity lists it.

Shape: a recorded answer of 2026-09-13. `fundingRateLong` and `fundingRateShort` are amounts in quote currency
per base unit and hour. To become fractions they are divided by the oracle's average price. Positive: longs
pay; the two differ when the pool caps what it pays.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from marketarchive.venues.perp_rows import BadRowError, Contracts, divided, moment, number, rounded, times
from marketarchive.venues.table_rows import FundingsRow

HOUR_S = 3600
SLACK = Decimal("5E-5")
"""Greatest difference of an hourly rate from a 24th of the premium: it allows for a floor of 1.25E-5 an
hour and a dead zone of 5E-4 / 24 (documents of 2026-07-09)."""


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
    """Yield the row of one settlement. Raises BadRowError for a rate that does not follow from the premium.

    contracts: the venue's contracts by symbol.
    """
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
    """Return an hourly rate whose sign and unit agree with the premium: near a 24th of it, or capped.

    premium: a 24th of the premium, as a fraction. Raises BadRowError for any other rate.
    """
    is_capped = abs(rate) <= abs(premium) and times(rate, premium) >= 0
    if not is_capped and abs(rate - premium) > SLACK:
        raise BadRowError(f"a rate of {rate:.3g} an hour at a premium of {premium:.3g}: another unit or sign")
    return rate
