"""Table rows from answers of dYdX's perpetuals.

Shapes: answers of 2025-12 and 2026-09, and the server's source (comlink, 2026-03). Numbers are texts, times
ISO 8601, amounts in base units. There are no candles of a mark price or an index: the oracle's price serves
as both, and its past is known only from the price in each hourly settlement. A candle also states the mid
price and the open interest at its opening. Present values carry no time, so their `event_time` is the receipt
of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import ROUND_DOWN, Decimal
from functools import lru_cache
from itertools import groupby
from operator import attrgetter

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.times import SECOND, from_iso, from_ms, to_ms
from marketarchive.venues.dydx import endpoints
from marketarchive.venues.dydx.queries import STEPS
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perp_rows import (
    BadRowError,
    Contracts,
    MarketStatus,
    Reader,
    candles,
    columns_page,
    decode,
    listed,
    number,
    numbers,
    page,
    param,
)
from marketarchive.venues.table_rows import (
    ColumnarRows,
    FundingsRow,
    InstrumentsRow,
    OpenInterestRow,
    TableRow,
    interleaved,
)

CONTRACTS = Contracts("dydx")
HOUR_S = 3600
RULE_NOW = "openInterest, base units of one side"
RULE = "startingOpenInterest of the candle, base units of one side"
DECIMALS = Decimal("1E-18")
"""Smallest step of amounts in tables. Expected rates are means with 20 decimals, of which the last two are
cut off."""
STATUSES: dict[str, MarketStatus] = {
    "INITIALIZING": "unopened", "ACTIVE": "active", "PAUSED": "active", "CANCEL_ONLY": "active",
    "POST_ONLY": "active", "FINAL_SETTLEMENT": "closed",
}  # fmt: skip
_RAW = list[msgspec.Raw]


class SentFundings(msgspec.Struct, rename="camel"):
    historical_funding: _RAW


class SentFunding(msgspec.Struct, rename="camel"):
    ticker: str
    rate: str
    price: str
    effective_at: str


class SentCandles(msgspec.Struct):
    candles: _RAW


class SentCandle(msgspec.Struct, rename="camel"):
    started_at: str
    ticker: str
    low: str
    high: str
    open: str
    close: str
    base_token_volume: str
    usd_volume: str
    starting_open_interest: str | None = None
    orderbook_mid_price_open: str | None = None  # absent from candles before 2024-06-27
    orderbook_mid_price_close: str | None = None


_FUNDING = attrgetter("effective_at", "rate", "price")
_CANDLE = attrgetter(
    "open", "high", "low", "close", "base_token_volume", "usd_volume", "orderbook_mid_price_open",
    "orderbook_mid_price_close", "starting_open_interest",
)  # fmt: skip


class SentMarkets(msgspec.Struct):
    markets: dict[str, msgspec.Raw]


class SentMarket(msgspec.Struct, rename="camel"):
    ticker: str
    status: str
    open_interest: str
    next_funding_rate: str
    oracle_price: str | None = None


def parse(received: Received) -> Parsed:
    """Parse an answer into `Parsed`, with its table rows in `statements`. Raises ParseError."""
    for url, read in _READERS.items():
        if received.canonical_url.startswith(url):
            return read(received)
    raise ParseError("message", f"nothing reads {received.canonical_url}")


def _fundings(received: Received) -> Parsed:
    def rows(sent: Sequence[SentFunding], at: Sequence[int]) -> Iterator[ColumnarRows]:
        del at  # which has no microseconds
        for ticker, of_ticker in groupby(sent, attrgetter("ticker")):
            times, rates, prices = zip(*map(_FUNDING, of_ticker), strict=True)
            contract = CONTRACTS.of(ticker)
            columns = {
                "event_time": list(map(_moment, times)),
                "rate": numbers(rates),
                "index_price": contract.prices(prices),
            }
            shared = {"market": ticker, "asset": contract.asset, "kind": "settled", "interval_s": HOUR_S}
            yield ColumnarRows(FundingsRow, columns, shared)

    sent = decode(received, SentFundings).historical_funding
    return columns_page("fundings", sent, SentFunding, lambda row: _ms(row.effective_at), rows)


def _candles(received: Received) -> Parsed:
    step_s = STEPS.get(param(received, "resolution"))
    if step_s is None:
        raise ParseError("candles", "a resolution of no known length", ("resolution",))
    return _candles_of(received, step_s)


def _candles_of(received: Received, step_s: int) -> Parsed:
    def rows(sent: Sequence[SentCandle], opened: Sequence[int]) -> Iterator[ColumnarRows]:
        each_opened = zip(sent, opened, strict=True)
        for (ticker, has_middle, has_interest), alike in groupby(each_opened, lambda each: _kind(each[0])):
            found, at = zip(*alike, strict=True)
            contract = CONTRACTS.of(ticker)
            *prices, volumes, in_quote, first, last, interest = zip(*map(_CANDLE, found), strict=True)
            traded = candles(contract, ticker, "trade", step_s, at, prices, (volumes, in_quote), received)
            middle = (first, None, None, last)
            if has_middle and len(found) > 1:
                mark = candles(contract, ticker, "mark", step_s, at, middle, None, received)
                yield interleaved(traded, mark)
            else:  # one that cannot be read does not cost the other
                yield traded
                if has_middle:
                    yield candles(contract, ticker, "mark", step_s, at, middle, None, received)
            if has_interest:
                columns = {"event_time": list(map(from_ms, at)), "amount": contract.amounts(interest)}
                shared = {"market": ticker, "asset": contract.asset, "rule": RULE}
                yield ColumnarRows(OpenInterestRow, columns, shared)

    sent = decode(received, SentCandles).candles
    return columns_page("candles", sent, SentCandle, lambda row: _ms(row.started_at), rows)


def _kind(sent: SentCandle) -> tuple[str, bool, bool]:
    """Return the contract of a candle, and whether it states the middle of the book and open interest."""
    has_middle = sent.orderbook_mid_price_open is not None and sent.orderbook_mid_price_close is not None
    return sent.ticker, has_middle, sent.starting_open_interest is not None


def _markets(received: Received) -> Parsed:
    def rows(sent: SentMarket) -> Iterator[TableRow]:
        contract = CONTRACTS.of(sent.ticker)
        market, asset, seen = sent.ticker, contract.asset, received.received_at
        yield InstrumentsRow(
            market=market,
            asset=asset,
            event_time=seen,
            status=sent.status,
            quote="USD",
            multiplier=contract.multiplier,
            contract_size=Decimal(1),
            funding_interval_s=HOUR_S,
        )
        if STATUSES.get(sent.status) != "active":
            return  # not traded any more: zeros, beside a price that no longer changes
        expected = number(sent.next_funding_rate)
        hour = HOUR_S * SECOND
        yield FundingsRow(
            market=market,
            asset=asset,
            event_time=seen,
            kind="predicted",
            rate=expected.quantize(DECIMALS, ROUND_DOWN),
            interval_s=HOUR_S,
            next_at=(seen // hour + 1) * hour,
            index_price=None if sent.oracle_price is None else contract.price(sent.oracle_price),
        )
        interest = contract.amount(sent.open_interest)
        yield OpenInterestRow(market=market, asset=asset, event_time=seen, amount=interest, rule=RULE_NOW)

    sent = decode(received, SentMarkets).markets.values()
    return listed(received, page("instruments", sent, SentMarket, lambda _: None, rows), STATUSES)


@lru_cache(maxsize=2**15)  # all contracts have rows of the same times
def _moment(text: str) -> int:
    """Return ns since the Unix epoch from an ISO 8601 text. Raises BadRowError."""
    try:
        return from_iso(text)
    except ValueError as error:
        raise BadRowError(f"{text!r} is not a time") from error


def _ms(text: str) -> int:
    return to_ms(_moment(text))


_READERS: dict[str, Reader] = {
    endpoint.url.partition("{")[0]: read
    for endpoint, read in (
        (endpoints.MARKETS, _markets),
        (endpoints.FUNDING_RATES, _fundings),
        (endpoints.CANDLES, _candles),
    )
}
