"""Table rows from answers of Velocity.

Shapes: recorded answers of 2026-09-13; for candles, of which no recording was available, its client
(velocity-common, 2026-08-17). Their prices are compared with the markets of the same run, trades with the
oracle, volumes with each other, and rows that disagree are rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perp_rows import (
    BadRowError,
    Contracts,
    MarketStatus,
    PerpRows,
    decode,
    is_over,
    is_within,
    listed,
    moment,
    number,
    page,
    rounded,
    times,
)
from marketarchive.venues.table_rows import (
    CandlesRow,
    ColumnarRows,
    FundingsRow,
    InstrumentsRow,
    OpenInterestRow,
    TableRow,
    UnreadableRow,
    single_rows,
)
from marketarchive.venues.velocity import endpoints
from marketarchive.venues.velocity.fundings import HOUR_S, SentFunding, SentRecords, funding_rows
from marketarchive.venues.velocity.queries import STEPS

CONTRACTS = Contracts("velocity")
RULE = "the larger side, the pool holds the difference"
FEW = Decimal(20)
"""Greatest ratio of two prices of a contract during its life; a wrong unit gives a ratio of 10**6."""
NEAR = Decimal(2)
"""Greatest ratio of a trade's price to the oracle's price at the time."""
STATUSES: dict[str, MarketStatus] = {
    "initialized": "unopened", "active": "active", "fundingPaused": "active", "ammPaused": "active",
    "fillPaused": "active", "withdrawPaused": "active", "reduceOnly": "active", "settlement": "closed",
    "delisted": "closed",
}  # fmt: skip


class Fees(msgspec.Struct):
    """Trading fees as fractions, of the lowest tier; a negative fee is paid to the maker."""

    maker: Decimal
    taker: Decimal


class SentSides(msgspec.Struct):
    long: str
    short: str


class SentKind(msgspec.Struct, rename="camel"):
    market_type: str


class SentMarket(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    quote_asset: str
    oracle_price: str
    mark_price: str
    open_interest: SentSides
    funding_rate: SentSides
    fees: Fees | None = None


class SentMarkets(msgspec.Struct):
    markets: list[msgspec.Raw]


class SentCandle(msgspec.Struct, rename="camel"):
    ts: int
    fill_open: Decimal
    fill_high: Decimal
    fill_low: Decimal
    fill_close: Decimal
    oracle_open: Decimal
    oracle_high: Decimal
    oracle_low: Decimal
    oracle_close: Decimal
    quote_volume: Decimal
    base_volume: Decimal


def parse(received: Received) -> Parsed:
    """Parse an answer into `Parsed`, with its table rows in `statements`. Raises ParseError."""
    if received.canonical_url == endpoints.MARKETS.url:
        return _markets(received)
    match received.canonical_url.removeprefix(endpoints.BASE).strip("/").split("/"):
        case ["market", _, "fundingRates"]:
            return fundings(received, CONTRACTS)
        case ["market", _, "fundingRates", _, _, _]:
            return funding_day(received, CONTRACTS)
        case ["market", symbol, "candles", resolution]:
            return _candles(received, symbol, resolution)
    raise ParseError("message", f"nothing reads {received.canonical_url}")


class VelocityRows(PerpRows):
    """Maker of table rows from all answers of Velocity.

    Candles become rows only if the markets of the same run confirm their unit.
    """

    def __init__(self) -> None:
        super().__init__(parse)
        self._prices: dict[str, Decimal] = {}

    def rows(self, received: Received) -> Iterator[TableRow | ColumnarRows]:
        made = list(single_rows(super().rows(received)))
        for row in made:
            if isinstance(row, FundingsRow) and row.kind == "predicted" and row.index_price is not None:
                self._prices[row.market] = Decimal(row.index_price)
        yield from self._proven(made)

    def _proven(self, made: list[TableRow]) -> Iterable[TableRow]:
        newest = max(
            (row for row in made if isinstance(row, CandlesRow) and row.source == "index"),
            key=lambda row: row.event_time or 0,
            default=None,
        )
        if newest is None:
            return made
        price = self._prices.get(newest.market)
        if price is not None and is_within(Decimal(newest.close), price, FEW):
            return made
        reported = "no market says more" if price is None else f"the market says {price}"
        error = ParseError("candles", f"{len(made)} candles end at {newest.close}, {reported}", ("close",))
        return [UnreadableRow("candles", error, reason="unit_not_shown")] * len(made)


def fundings(received: Received, contracts: Contracts) -> Parsed:
    """Return the settlements of an answer.

    Its cursor is ignored: as many rows were requested as are needed.
    """
    sent = decode(received, SentRecords)
    return page(
        "fundings", sent.records, SentFunding, lambda row: row.ts, lambda row: funding_rows(row, contracts)
    )


def funding_day(received: Received, contracts: Contracts) -> Parsed:
    """Return the settlements on one page of a day, with the cursor of the next page."""
    found = fundings(received, contracts)
    next_page = decode(received, SentRecords).meta.next_page
    found.next_cursor = None if next_page in (None, "") else str(next_page)
    return found


def _markets(received: Received) -> Parsed:
    """Parse the present state of perpetuals.

    `fundingRate` of a side is its expected cash flow, in percent per hour.
    """

    def rows(sent: SentMarket) -> Iterator[TableRow]:
        contract = CONTRACTS.of(sent.symbol)
        asset, at = contract.asset, received.received_at
        yield InstrumentsRow(
            market=sent.symbol,
            asset=asset,
            event_time=at,
            status=sent.status,
            quote=sent.quote_asset,
            multiplier=contract.multiplier,
            contract_size=Decimal(1),
            funding_interval_s=HOUR_S,
            taker_bps=None if sent.fees is None else sent.fees.taker * 10_000,
            maker_bps=None if sent.fees is None else sent.fees.maker * 10_000,
        )
        yield FundingsRow(
            market=sent.symbol,
            asset=asset,
            event_time=at,
            kind="predicted",
            rate=-number(sent.funding_rate.long) / 100,
            rate_short=number(sent.funding_rate.short) / 100,
            interval_s=HOUR_S,
            mark_price=number(sent.mark_price),
            index_price=number(sent.oracle_price),
        )
        long, short = abs(number(sent.open_interest.long)), abs(number(sent.open_interest.short))
        yield OpenInterestRow(
            market=sent.symbol,
            asset=asset,
            event_time=at,
            amount=max(long, short),
            amount_long=long,
            amount_short=short,
            rule=RULE,
        )

    sent = [
        raw
        for raw in decode(received, SentMarkets).markets
        if msgspec.json.decode(raw, type=SentKind).market_type == "perp"
    ]
    return listed(received, page("instruments", sent, SentMarket, lambda _: None, rows), STATUSES)


def _candles(received: Received, symbol: str, resolution: str) -> Parsed:
    step_s = STEPS.get(resolution)
    if step_s is None:
        raise ParseError("candles", "a resolution of no known length", ("resolution",))
    asset = CONTRACTS.of(symbol).asset

    def rows(sent: SentCandle) -> Iterator[CandlesRow]:
        opened = moment(sent.ts)
        if not is_within(sent.fill_close, sent.oracle_close, NEAR):
            raise BadRowError(f"fills at {sent.fill_close}, the oracle at {sent.oracle_close}")
        volume, worth = sent.base_volume, sent.quote_volume
        if (volume or worth) and not is_within(times(volume, sent.oracle_close), worth, NEAR):
            raise BadRowError(f"{volume} at {sent.oracle_close} are not {worth}")
        is_closed = is_over(opened, step_s, received)
        oracle = (sent.oracle_open, sent.oracle_high, sent.oracle_low, sent.oracle_close)
        fills = (sent.fill_open, sent.fill_high, sent.fill_low, sent.fill_close)
        for source, prices in (("index", oracle), ("trade", fills)):
            first, high, low, last = map(rounded, prices)
            yield CandlesRow(
                market=symbol,
                asset=asset,
                event_time=opened,
                source="index" if source == "index" else "trade",
                interval_s=step_s,
                open=first,
                high=high,
                low=low,
                close=last,
                volume=rounded(volume) if source == "trade" else None,
                volume_quote=rounded(worth) if source == "trade" else None,
                is_closed=is_closed,
            )

    return page("candles", decode(received, SentRecords).records, SentCandle, lambda sent: sent.ts, rows)
