"""Table rows from answers of Binance's perpetuals.

Shapes: live answers of 2026-09-15. Prices and quantities are texts, times numbers (ms); older documents show
times as texts, so both are accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from operator import attrgetter

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.venues.binance import endpoints, files
from marketarchive.venues.binance.queries import STEPS
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perp_rows import (
    BadRowError,
    Contracts,
    MarketStatus,
    candles,
    columns_page,
    decode,
    listed,
    maybe_moment,
    moment,
    number,
    page,
    param,
    read_by,
)
from marketarchive.venues.table_rows import (
    CandleSource,
    ColumnarRows,
    FundingsRow,
    InstrumentsRow,
    OpenInterestRow,
)

CONTRACTS = Contracts("binance")
NEVER_MS = 4_133_404_800_000
"""Delivery date (ms) of a contract without an end: 2100-12-25."""
RULE = "as listed, base units"
"""Rule by which open interest is derived from the venue's figure. The venue does not say whether it counts
one side or both. It is taken for one, because its size agrees with two venues that count one side, and
with half of that of a venue that counts both."""
STATUSES: dict[str, MarketStatus] = {
    "PENDING_TRADING": "unopened", "TRADING": "active", "PRE_SETTLE": "closed", "SETTLING": "closed",
    "PRE_DELIVERING": "closed", "DELIVERING": "closed", "DELIVERED": "closed", "CLOSE": "closed",
}  # fmt: skip
_RAW = list[msgspec.Raw]


class SentFunding(msgspec.Struct, rename="camel"):
    symbol: str
    funding_time: int | str
    funding_rate: str
    mark_price: str = ""  # empty on old rows
    rate_type: str = "Regular"


class SentCandle(msgspec.Struct, array_like=True):
    opened: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    closed: int
    quote_volume: str


_CANDLE = attrgetter("open", "high", "low", "close", "volume", "quote_volume")


class SentOpenInterest(msgspec.Struct, rename="camel"):
    symbol: str
    sum_open_interest: str
    sum_open_interest_value: str
    timestamp: int | str


class SentOpenInterestNow(msgspec.Struct, rename="camel"):
    symbol: str
    open_interest: str
    time: int | str


class SentPremium(msgspec.Struct, rename="camel"):
    symbol: str
    mark_price: str
    index_price: str
    last_funding_rate: str
    next_funding_time: int
    time: int


class SentInstrument(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    contract_type: str
    quote_asset: str
    onboard_date: int
    delivery_date: int


class SentInstruments(msgspec.Struct, rename="camel"):
    symbols: _RAW


class SentInterval(msgspec.Struct, rename="camel"):
    symbol: str
    funding_interval_hours: int


def parse(received: Received) -> Parsed:
    """Parse an answer into `Parsed`, with its table rows in `statements`. Raises ParseError."""
    if received.canonical_url.startswith(endpoints.ARCHIVE):
        return files.parse(received)
    return read_by(_READERS, received)


def _fundings(received: Received) -> Parsed:
    def rows(sent: SentFunding) -> Iterator[FundingsRow]:
        if sent.rate_type != "Regular":
            # "Special": dividends of perpetuals on shares, listed beside the regular rate (2026-07-28)
            return
        contract = CONTRACTS.of(sent.symbol)
        yield FundingsRow(
            market=sent.symbol,
            asset=contract.asset,
            event_time=moment(sent.funding_time),
            kind="settled",
            rate=number(sent.funding_rate),
            mark_price=contract.price(sent.mark_price) if sent.mark_price else None,
        )

    return page("fundings", decode(received, _RAW), SentFunding, lambda sent: sent.funding_time, rows)


def _candles(source: CandleSource) -> Callable[[Received], Parsed]:
    def read(received: Received) -> Parsed:
        symbol = param(received, "pair" if source == "index" else "symbol")
        step_s = STEPS.get(param(received, "interval"))
        if step_s is None:
            raise ParseError("candles", "an interval of no known length", ("interval",))
        contract = CONTRACTS.of(symbol)

        def rows(sent: Sequence[SentCandle], opened: Sequence[int]) -> Iterator[ColumnarRows]:
            *prices, volumes, in_quote = zip(*map(_CANDLE, sent), strict=True)
            traded = (volumes, in_quote) if source == "trade" else None
            yield candles(contract, symbol, source, step_s, opened, prices, traded, received)

        return columns_page("candles", decode(received, _RAW), SentCandle, lambda sent: sent.opened, rows)

    return read


def _open_interest_history(received: Received) -> Parsed:
    def rows(sent: SentOpenInterest) -> Iterator[OpenInterestRow]:
        contract = CONTRACTS.of(sent.symbol)
        yield OpenInterestRow(
            market=sent.symbol,
            asset=contract.asset,
            event_time=moment(sent.timestamp),
            amount=contract.amount(sent.sum_open_interest),
            amount_quote=number(sent.sum_open_interest_value),
            rule=RULE,
        )

    return page("open_interest", decode(received, _RAW), SentOpenInterest, lambda sent: sent.timestamp, rows)


def _open_interest(received: Received) -> Parsed:
    def rows(sent: SentOpenInterestNow) -> Iterator[OpenInterestRow]:
        contract = CONTRACTS.of(sent.symbol)
        yield OpenInterestRow(
            market=sent.symbol,
            asset=contract.asset,
            event_time=moment(sent.time),
            amount=contract.amount(sent.open_interest),
            rule=RULE,
        )

    return page(
        "open_interest", [decode(received, msgspec.Raw)], SentOpenInterestNow, lambda sent: sent.time, rows
    )


def _premium(received: Received) -> Parsed:
    """Parse present prices and funding of one contract or all.

    `lastFundingRate` is the rate expected at the next settlement.
    """

    def rows(sent: SentPremium) -> Iterator[FundingsRow]:
        if sent.next_funding_time == 0:
            return  # the contract is being settled: rate and time are zero
        contract = CONTRACTS.of(sent.symbol)
        yield FundingsRow(
            market=sent.symbol,
            asset=contract.asset,
            event_time=moment(sent.time),
            kind="predicted",
            rate=number(sent.last_funding_rate),
            next_at=moment(sent.next_funding_time),
            mark_price=contract.price(sent.mark_price),
            index_price=contract.price(sent.index_price),
        )

    document = decode(received, msgspec.Raw)
    sent = decode(received, _RAW) if bytes(document).lstrip()[:1] == b"[" else [document]
    return page("fundings", sent, SentPremium, lambda sent: sent.time, rows)


def _instruments(received: Received) -> Parsed:
    def rows(sent: SentInstrument) -> Iterator[InstrumentsRow]:
        if sent.contract_type != "PERPETUAL" or sent.quote_asset != "USDT":
            return  # dated futures, perpetuals on shares, contracts settled in coins
        contract = CONTRACTS.of(sent.symbol)
        if sent.onboard_date >= sent.delivery_date:
            raise BadRowError(f"{sent.symbol} is delivered before it is listed")
        yield InstrumentsRow(
            market=sent.symbol,
            asset=contract.asset,
            event_time=received.received_at,
            status=sent.status,
            quote=sent.quote_asset,
            multiplier=contract.multiplier,
            contract_size=Decimal(1),
            listed_at=moment(sent.onboard_date),
            delisted_at=None if sent.delivery_date == NEVER_MS else maybe_moment(sent.delivery_date),
        )

    sent = decode(received, SentInstruments).symbols
    return listed(received, page("instruments", sent, SentInstrument, lambda _: None, rows), STATUSES)


def _intervals(received: Received) -> Parsed:
    def rows(sent: SentInterval) -> Iterator[InstrumentsRow]:
        contract = CONTRACTS.of(sent.symbol)
        if contract.asset is None:
            return  # contracts settled in coins are in the same list
        yield InstrumentsRow(
            market=sent.symbol,
            asset=contract.asset,
            event_time=received.received_at,
            status="",
            funding_interval_s=sent.funding_interval_hours * 3600,
        )

    found = page("instruments", decode(received, _RAW), SentInterval, lambda _: None, rows)
    return listed(received, found, STATUSES)


_READERS = {
    endpoint.url: read
    for endpoint, read in (
        (endpoints.INSTRUMENTS, _instruments),
        (endpoints.FUNDING_INFO, _intervals),
        (endpoints.FUNDING_RATES, _fundings),
        (endpoints.CANDLES, _candles("trade")),
        (endpoints.MARK_CANDLES, _candles("mark")),
        (endpoints.INDEX_CANDLES, _candles("index")),
        (endpoints.OPEN_INTEREST_HISTORY, _open_interest_history),
        (endpoints.OPEN_INTEREST, _open_interest),
        (endpoints.PREMIUM, _premium),
    )
}
