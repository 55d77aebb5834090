"""Table rows from answers of Bybit's perpetuals.

Shapes: the official documents of 2026-07-24 and recordings. Everything in `result` is text, except a few
whole numbers; lists are newest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.times import from_ms
from marketarchive.venues.bybit import endpoints
from marketarchive.venues.bybit.queries import STEPS
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perp_rows import (
    Contract,
    Contracts,
    MarketStatus,
    Reader,
    candles,
    columns_page,
    decode,
    divided,
    listed,
    maybe,
    maybe_moment,
    moment,
    number,
    page,
    param,
    read_by,
    times,
)
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import (
    BorrowRatesRow,
    CandleSource,
    ColumnarRows,
    FundingsRow,
    InstrumentsRow,
    OpenInterestRow,
)

T = TypeVar("T")

CONTRACTS = Contracts("bybit")
ONE_SIDE, BOTH_SIDES = "one side as listed", "half of both sides"
"""Names of the two rules by which open interest is derived. `openInterest` is the sum of both sides (docs,
since 2023-11-14); `singleOpenInterest`, one side, exists beside it since 2026-06-11."""
REGULAR = "No VIP"
STATUSES: dict[str, MarketStatus] = {
    "PreLaunch": "unopened", "Trading": "active", "Delivering": "closed", "Closed": "closed",
}  # fmt: skip


class Sent(msgspec.Struct, Generic[T]):
    """The fields that are common to the answers that this project reads."""

    result: T
    time: int | None = None  # ms


class SentList(msgspec.Struct, rename="camel"):
    rows: list[msgspec.Raw] = msgspec.field(name="list")
    symbol: str | None = None
    next_page_cursor: str = ""


class SentFunding(msgspec.Struct, rename="camel"):
    symbol: str
    funding_rate: str
    funding_rate_timestamp: str


class SentCandle(msgspec.Struct, array_like=True):
    opened: str
    open: str
    high: str
    low: str
    close: str
    volume: str = ""
    turnover: str = ""


_CANDLE = attrgetter("open", "high", "low", "close", "volume", "turnover")


class SentOpenInterest(msgspec.Struct, rename="camel"):
    open_interest: str
    timestamp: str
    single_open_interest: str = ""


class SentTicker(msgspec.Struct, rename="camel"):
    symbol: str
    mark_price: str
    index_price: str
    open_interest: str
    funding_rate: str
    next_funding_time: str
    open_interest_value: str = ""
    single_open_interest: str = ""
    single_open_interest_value: str = ""
    funding_interval_hour: str = ""


class SentInstrument(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    contract_type: str
    quote_coin: str
    launch_time: str
    delivery_time: str
    funding_interval: int  # minutes


class SentLoan(msgspec.Struct, rename="camel"):
    currency: str
    hourly_borrow_rate: str


class SentLevel(msgspec.Struct, rename="camel"):
    vip_level: str
    rows: list[msgspec.Raw] = msgspec.field(name="list")


class SentLevels(msgspec.Struct, rename="camel"):
    vip_coin_list: list[SentLevel]


def parse(received: Received) -> Parsed:
    """Parse an answer into `Parsed`, with its table rows in `statements`. Raises ParseError."""
    return read_by(_READERS, received)


def one_side(contract: Contract, both: str, single: str) -> tuple[Decimal, str]:
    """Return open interest in base units, counted on one side, and the name of the rule that derived it.

    both: `openInterest`; single: `singleOpenInterest`, preferred when stated.
    """
    if single:
        return contract.amount(single), ONE_SIDE
    return divided(contract.amount(both), 2), BOTH_SIDES


def _fundings(received: Received) -> Parsed:
    def rows(sent: SentFunding) -> Iterator[FundingsRow]:
        yield FundingsRow(
            market=sent.symbol,
            asset=CONTRACTS.of(sent.symbol).asset,
            event_time=moment(sent.funding_rate_timestamp),
            kind="settled",
            rate=number(sent.funding_rate),
        )

    sent = decode(received, Sent[SentList]).result.rows
    return page("fundings", sent, SentFunding, lambda each: each.funding_rate_timestamp, rows)


def _candles(source: CandleSource) -> Callable[[Received], Parsed]:
    def read(received: Received) -> Parsed:
        result = decode(received, Sent[SentList]).result
        symbol = result.symbol or param(received, "symbol")
        step_s = STEPS.get(param(received, "interval"))
        if step_s is None:
            raise ParseError("candles", "an interval of no known length", ("interval",))
        contract = CONTRACTS.of(symbol)

        def rows(sent: Sequence[SentCandle], opened: Sequence[int]) -> Iterator[ColumnarRows]:
            *prices, volumes, in_quote = zip(*map(_CANDLE, sent), strict=True)
            traded = (volumes, in_quote) if source == "trade" else None
            yield candles(contract, symbol, source, step_s, opened, prices, traded, received)

        return columns_page("candles", result.rows, SentCandle, lambda each: each.opened, rows)

    return read


def _open_interest(received: Received) -> Parsed:
    """Parse a page of past open interest.

    Its oldest row was once seen with a time in seconds instead of ms (2026-09-15).
    """
    result = decode(received, Sent[SentList]).result
    symbol = result.symbol or param(received, "symbol")
    contract = CONTRACTS.of(symbol)

    def rows(sent: Sequence[SentOpenInterest], at: Sequence[int]) -> Iterator[ColumnarRows]:
        derived = [one_side(contract, each.open_interest, each.single_open_interest) for each in sent]
        columns: dict[str, Sequence[Any]] = {
            "event_time": list(map(from_ms, at)),
            "amount": [amount for amount, _ in derived],
            "rule": [rule for _, rule in derived],
        }
        yield ColumnarRows(OpenInterestRow, columns, {"market": symbol, "asset": contract.asset})

    return columns_page("open_interest", result.rows, SentOpenInterest, lambda each: each.timestamp, rows)


def _tickers(received: Received) -> Parsed:
    answer = decode(received, Sent[SentList])
    at = _at(answer.time, received)

    def rows(sent: SentTicker) -> Iterator[FundingsRow | OpenInterestRow]:
        contract = CONTRACTS.of(sent.symbol)
        hours = sent.funding_interval_hour
        yield FundingsRow(
            market=sent.symbol,
            asset=contract.asset,
            event_time=at,
            kind="predicted",
            rate=number(sent.funding_rate),
            interval_s=int(number(hours) * 3600) if hours else None,
            next_at=maybe_moment(sent.next_funding_time),
            mark_price=contract.price(sent.mark_price),
            index_price=contract.price(sent.index_price),
        )
        amount, rule = one_side(contract, sent.open_interest, sent.single_open_interest)
        yield OpenInterestRow(
            market=sent.symbol,
            asset=contract.asset,
            event_time=at,
            amount=amount,
            amount_quote=maybe(sent.single_open_interest_value),
            rule=rule,
        )

    return page("fundings", answer.result.rows, SentTicker, lambda _: None, rows)


def _instruments(received: Received) -> Parsed:
    def rows(sent: SentInstrument) -> Iterator[InstrumentsRow]:
        if sent.contract_type != "LinearPerpetual" or sent.quote_coin != "USDT":
            return  # dated futures, perpetuals settled in USDC
        contract = CONTRACTS.of(sent.symbol)
        yield InstrumentsRow(
            market=sent.symbol,
            asset=contract.asset,
            event_time=received.received_at,
            status=sent.status,
            quote=sent.quote_coin,
            multiplier=contract.multiplier,
            contract_size=Decimal(1),
            listed_at=maybe_moment(sent.launch_time),
            delisted_at=maybe_moment(sent.delivery_time),
            funding_interval_s=sent.funding_interval * 60,
        )

    result = decode(received, Sent[SentList]).result
    parsed = listed(
        received, page("instruments", result.rows, SentInstrument, lambda _: None, rows), STATUSES
    )
    parsed.next_cursor = result.next_page_cursor or None
    return parsed


def _borrow_rates(received: Received) -> Parsed:
    """Parse interest rates of loans; `hourlyBorrowRate` is a fraction per hour."""
    answer = decode(received, Sent[SentLevels])
    at = _at(answer.time, received)

    def rows(sent: SentLoan) -> Iterator[BorrowRatesRow]:
        if sent.currency in symbols("bybit") and sent.hourly_borrow_rate:
            yield BorrowRatesRow(
                asset=sent.currency,
                symbol=sent.currency,
                event_time=at,
                bps_per_day=times(number(sent.hourly_borrow_rate), 24 * 10_000),
            )

    sent = [raw for level in answer.result.vip_coin_list if level.vip_level == REGULAR for raw in level.rows]
    return page("borrow_rates", sent, SentLoan, lambda _: None, rows)


def _at(time_ms: int | None, received: Received) -> int:
    """Return the venue's time of an answer (ns since the Unix epoch), or its receipt when it states none."""
    return received.received_at if time_ms is None else from_ms(time_ms)


_READERS: dict[str, Reader] = {
    endpoints.INSTRUMENTS.url: _instruments,
    endpoints.FUNDING_RATES.url: _fundings,
    endpoints.CANDLES.url: _candles("trade"),
    endpoints.MARK_CANDLES.url: _candles("mark"),
    endpoints.INDEX_CANDLES.url: _candles("index"),
    endpoints.OPEN_INTEREST.url: _open_interest,
    endpoints.TICKERS.url: _tickers,
    endpoints.BORROW_RATES.url: _borrow_rates,
}
