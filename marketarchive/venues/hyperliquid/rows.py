"""Table rows from answers of Hyperliquid's perpetuals.

Shapes: recordings of the official SDK (2023-07) and live answers of 2026-09. Prices and quantities are texts,
times numbers (ms). Amounts are in units of the coin, and one unit of `kPEPE` is a thousand PEPE. Present
values carry no time, so their `event_time` is the receipt of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import SECOND, from_iso, from_ms
from marketarchive.venues.hyperliquid.queries import HOUR_S, STEPS
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perp_rows import (
    BadRowError,
    Contracts,
    MarketStatus,
    candles,
    columns_page,
    decode,
    listed,
    number,
    numbers,
    page,
)
from marketarchive.venues.table_rows import ColumnarRows, FundingsRow, InstrumentsRow, OpenInterestRow

CONTRACTS = Contracts("hyperliquid")
HOURLY_SINCE = from_iso("2023-06-08T00:01:00Z")
"""Time (ns) from which funding is hourly; until 2023-06-08T00:00:00.254Z it was settled every 8 hours."""
RULE = "as listed, base units of one side"
STATUSES: dict[str, MarketStatus] = {"listed": "active", "isDelisted": "closed"}
_RAW = list[msgspec.Raw]


class SentRequest(msgspec.Struct):
    class Candles(msgspec.Struct):
        coin: str
        interval: str

    type: Literal["meta", "metaAndAssetCtxs", "fundingHistory", "candleSnapshot"]
    req: Candles | None = None


class SentFunding(msgspec.Struct, rename="camel"):
    coin: str
    funding_rate: str
    time: int


class SentCandle(msgspec.Struct):
    opened: int = msgspec.field(name="t")
    coin: str = msgspec.field(name="s")
    open: str = msgspec.field(name="o")
    high: str = msgspec.field(name="h")
    low: str = msgspec.field(name="l")
    close: str = msgspec.field(name="c")
    volume: str = msgspec.field(name="v")


_CANDLE = attrgetter("open", "high", "low", "close", "volume")


class SentCoin(msgspec.Struct, rename="camel"):
    name: str
    is_delisted: bool = False


class SentContext(msgspec.Struct, rename="camel"):
    funding: str
    open_interest: str
    oracle_px: str
    mark_px: str


class SentMeta(msgspec.Struct):
    universe: _RAW


class SentPresent(msgspec.Struct, array_like=True):
    meta: SentMeta
    contexts: _RAW


class SentAsset(msgspec.Struct, array_like=True):
    """A contract of the venue's list (`universe`), with its present values from the list beside it."""

    coin: SentCoin
    context: SentContext


def parse(received: Received) -> Parsed:
    """Parse an answer into `Parsed`, with its table rows in `statements`. Raises ParseError."""
    try:
        requested = msgspec.json.decode(received.body or b"", type=SentRequest)
    except NOT_JSON as error:
        raise ParseError("request", f"nothing reads the answer to {received.body!r}", ("body",)) from error
    if requested.type == "meta":
        return _instruments(received)
    if requested.type == "metaAndAssetCtxs":
        return _present(received)
    if requested.type == "fundingHistory":
        return _fundings(received)
    if requested.req is None or requested.req.interval not in STEPS:
        raise ParseError("candles", "an interval of no known length", ("interval",))
    return _candles(received, STEPS[requested.req.interval])


def _fundings(received: Received) -> Parsed:
    def rows(sent: Sequence[SentFunding], at: Sequence[int]) -> Iterator[ColumnarRows]:
        settled = list(map(from_ms, at))
        columns: dict[str, Sequence[Any]] = {
            "market": [each.coin for each in sent],
            "asset": [CONTRACTS.of(each.coin).asset for each in sent],
            "event_time": settled,
            "rate": numbers([each.funding_rate for each in sent]),
            "interval_s": [HOUR_S if each >= HOURLY_SINCE else 8 * HOUR_S for each in settled],
        }
        yield ColumnarRows(FundingsRow, columns, {"kind": "settled"})

    return columns_page("fundings", decode(received, _RAW), SentFunding, lambda sent: sent.time, rows)


def _candles(received: Received, step_s: int) -> Parsed:
    def rows(sent: Sequence[SentCandle], opened: Sequence[int]) -> Iterator[ColumnarRows]:
        for coin, of_coin in groupby(zip(sent, opened, strict=True), lambda each: each[0].coin):
            found, at = zip(*of_coin, strict=True)
            *prices, volumes = zip(*map(_CANDLE, found), strict=True)
            yield candles(CONTRACTS.of(coin), coin, "trade", step_s, at, prices, (volumes, None), received)

    return columns_page("candles", decode(received, _RAW), SentCandle, lambda sent: sent.opened, rows)


def _instruments(received: Received) -> Parsed:
    def rows(sent: SentCoin) -> Iterator[InstrumentsRow]:
        if not sent.name:
            raise BadRowError("a coin without a name")
        contract = CONTRACTS.of(sent.name)
        yield InstrumentsRow(
            market=sent.name,
            asset=contract.asset,
            event_time=received.received_at,
            status="isDelisted" if sent.is_delisted else "listed",
            quote="USDC",
            multiplier=contract.multiplier,
            contract_size=Decimal(1),
            funding_interval_s=HOUR_S,
        )

    sent = decode(received, SentMeta).universe
    return listed(received, page("instruments", sent, SentCoin, lambda _: None, rows), STATUSES)


def _present(received: Received) -> Parsed:
    """Parse the present values of all contracts, which the venue sends without names.

    They are in the order of its list of contracts, `universe`. Raises ParseError.
    """

    def rows(sent: SentAsset) -> Iterator[FundingsRow | OpenInterestRow]:
        if sent.coin.is_delisted:
            return  # not traded any more: zeros, beside prices that no longer change
        market = sent.coin.name
        contract = CONTRACTS.of(market)
        expected = number(sent.context.funding)
        mark, oracle = contract.price(sent.context.mark_px), contract.price(sent.context.oracle_px)
        interest = contract.amount(sent.context.open_interest)
        yield FundingsRow(
            market=market,
            asset=contract.asset,
            event_time=received.received_at,
            kind="predicted",
            rate=expected,
            interval_s=HOUR_S,
            next_at=(received.received_at // hour + 1) * hour,
            mark_price=mark,
            index_price=oracle,
        )
        yield OpenInterestRow(
            market=market,
            asset=contract.asset,
            event_time=received.received_at,
            amount=interest,
            rule=RULE,
        )

    hour = HOUR_S * SECOND
    sent = decode(received, SentPresent)
    coins, contexts = sent.meta.universe, sent.contexts
    if len(coins) != len(contexts):
        raise ParseError("fundings", f"{len(contexts)} contexts of {len(coins)} coins", ("contexts",))
    both = [
        msgspec.Raw(b"[" + bytes(coin) + b"," + bytes(context) + b"]")
        for coin, context in zip(coins, contexts, strict=True)
    ]
    return page("fundings", both, SentAsset, lambda _: None, rows)
