"""Table rows from answers of GMX.

Shapes: GMX's front end and SDK (gmx-interface, 2026-08-20); markets and tickers: recorded answers of
2026-07-06. No recordings of the other answers exist, so each is checked by an identity, and rejected when
that fails: the net rate is the sum of funding and borrowing, which also shows who pays; open interest in
tokens must agree with that in dollars, the newest candle with the ticker.

Integers are fixed point: factors and dollars in units of 1e-30, amounts in units of 10**-decimals of the
token, prices in units of 10**(decimals - 30), so that amount times price gives dollars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from operator import attrgetter, itemgetter
from typing import Any, Literal, TypeAlias

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import from_iso, from_ms
from marketarchive.venues.gmx import endpoints
from marketarchive.venues.gmx.queries import STEPS
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perp_rows import (
    BadRowError,
    Contracts,
    MarketStatus,
    PerpRows,
    Reader,
    columns_page,
    decode,
    decode_all,
    divided,
    integers,
    is_over,
    is_within,
    listed,
    number,
    page,
    param,
    read_by,
    rounded_numbers,
    scaled,
    times,
)
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import (
    BorrowRatesRow,
    CandlesRow,
    ColumnarRows,
    FundingsRow,
    InstrumentsRow,
    OpenInterestRow,
    TableRow,
    UnreadableRow,
    single_rows,
)

CONTRACTS = Contracts("gmx")
DECIMALS = {row["symbol"]: int(row["decimals"]) for row in symbols("gmx").values()}
"""Pool -> decimals of its index token."""
TOKENS = {row["token"]: (asset, row["symbol"], int(row["decimals"])) for asset, row in symbols("gmx").items()}
"""Symbol of an index token -> (asset, pool, decimals of the token)."""
FIXED = Decimal("1E-30")
EIGHT_H = 28_800
DAY_S = 86_400
YEAR_S = 31_557_600
"""Seconds in the year of the rates in markets/info: 8,766 hours (another collector compared a real answer
of 2026-02-19 with the chain)."""
RULE = "the larger side, the pool holds the difference"
NEAR = Decimal("1.5")
"""Greatest ratio of the newest candle to the ticker; with a wrong unit the ratio is greater."""
ALIKE = 4
"""Greatest ratio of open interest in dollars, which is at entry prices, to open interest in tokens at the
present price."""
NO_INDEX = "0x0000000000000000000000000000000000000000"
"""Index token of pools that serve only swaps."""
STATUSES: dict[str, MarketStatus] = {"listed": "active", "not listed": "closed"}
Whole: TypeAlias = int | str
Frame = Literal["cost", "receipt"]
"""Meaning of a side's positive funding rate: "cost" = the side pays it, "receipt" = it receives it."""
_RAW = list[msgspec.Raw]


class SentMarket(msgspec.Struct, rename="camel"):
    name: str
    market_token: str
    index_token: str
    is_listed: bool
    listing_date: str | None = None


class SentMarkets(msgspec.Struct):
    markets: _RAW


class SentRates(msgspec.Struct, rename="camel"):
    """Funding, borrowing and net rates of both sides as the API sends them, fixed point in units of 1e-30."""

    funding_rate_long: Whole
    funding_rate_short: Whole
    borrowing_rate_long: Whole
    borrowing_rate_short: Whole
    net_rate_long: Whole
    net_rate_short: Whole


class SentRatesNow(SentRates, rename="camel"):
    market_token: str


class SentSnapshot(SentRates, rename="camel"):
    timestamp: int | str


class SentHistory(msgspec.Struct, rename="camel"):
    market_address: str
    rates_snapshots: _RAW


class SentTicker(msgspec.Struct, rename="camel"):
    token_symbol: str
    min_price: Whole
    max_price: Whole


class SentCandle(msgspec.Struct, array_like=True):
    opened: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


_PRICES = ("open", "high", "low", "close")


class SentCandles(msgspec.Struct):
    candles: _RAW


class SentInterest(msgspec.Struct, rename="camel"):
    market_address: str
    snapshot_timestamp: int
    long_open_interest_usd: Whole
    short_open_interest_usd: Whole
    long_open_interest_in_tokens: Whole
    short_open_interest_in_tokens: Whole
    index_token_min_price: Whole


_INTEREST = attrgetter(
    "long_open_interest_in_tokens", "short_open_interest_in_tokens",
    "long_open_interest_usd", "short_open_interest_usd", "index_token_min_price",
)  # fmt: skip


class SentSnapshots(msgspec.Struct, rename="camel"):
    funding_balance_oi_snapshots: _RAW


class SentGraph(msgspec.Struct):
    data: SentSnapshots


class SentInterestNow(msgspec.Struct, rename="camel"):
    market_token_address: str
    min_price: Whole
    long_interest_usd: Whole
    short_interest_usd: Whole
    long_interest_in_tokens: Whole
    short_interest_in_tokens: Whole


_INTEREST_NOW = attrgetter(
    "long_interest_in_tokens", "short_interest_in_tokens",
    "long_interest_usd", "short_interest_usd", "min_price",
)  # fmt: skip


def parse(received: Received) -> Parsed:
    """Parse an answer into `Parsed`, with its table rows in `statements`. Raises ParseError."""
    return read_by(_READERS, received)


class GmxRows(PerpRows):
    """Maker of table rows from all answers of GMX.

    Candles become rows only if the tickers of the same run confirm their unit.
    """

    def __init__(self) -> None:
        super().__init__(parse)
        self._prices: dict[str, Decimal] = {}

    def rows(self, received: Received) -> Iterator[TableRow | ColumnarRows]:
        if received.canonical_url == endpoints.TICKERS.url:
            self._prices = prices(received)
        elif received.canonical_url == endpoints.CANDLES.url:
            yield from self._proven(param(received, "tokenSymbol"), list(super().rows(received)))
        else:
            yield from super().rows(received)

    def _proven(self, token: str, made: list[TableRow | ColumnarRows]) -> Iterable[TableRow | ColumnarRows]:
        closes = [
            close
            for each in made
            if isinstance(each, ColumnarRows)
            for close in zip(each.column("event_time"), each.column("close"), strict=True)
        ]
        if not closes:
            return made
        newest = number(max(closes, key=itemgetter(0))[1])
        price = self._prices.get(token)
        if price is not None and is_within(newest, price, NEAR):
            return made
        reported = "no ticker" if price is None else f"the ticker says {price}"
        count = len(list(single_rows(made)))
        error = ParseError("candles", f"{count} candles end at {newest}, {reported}", ("close",))
        return [UnreadableRow("candles", error, reason="unit_not_shown")] * count


def prices(received: Received) -> dict[str, Decimal]:
    """Return token -> price in dollars from an answer with tickers. Raises ParseError."""
    found: dict[str, Decimal] = {}
    for raw in decode(received, _RAW):
        try:
            sent = msgspec.json.decode(raw, type=SentTicker)
            if sent.token_symbol in TOKENS:
                middle = (number(str(sent.min_price)) + number(str(sent.max_price))) / 2
                found[sent.token_symbol] = dollars(middle, TOKENS[sent.token_symbol][2])
        except (*NOT_JSON, BadRowError) as error:
            raise ParseError("tickers", str(error)) from error
    return found


def dollars(price: Decimal | int, decimals: int) -> Decimal:
    """Return a token's price in dollars from the venue's fixed point, in units of 10**(decimals - 30)."""
    return times(price, Decimal(1).scaleb(decimals - 30))


# ---- rates -------------------------------------------------------------------------------------------------


def _rates_of(sent: Sequence[SentRates]) -> dict[str, list[int]]:
    """Return field -> the rates that rows state in it. Raises BadRowError."""
    return {name: integers(map(attrgetter(name), sent)) for name in SentRates.__struct_fields__}


def frames_of(sent: Sequence[msgspec.Raw], wire: type[SentRates]) -> set[Frame]:
    """Return what the sign of funding rates may mean, by all rows that can be read.

    If positive funding is a cost, net = funding + borrowing, otherwise net = funding - borrowing. Both hold
    when nothing is borrowed.
    """
    try:
        rates = _rates_of(decode_all(sent, wire))
    except (*NOT_JSON, BadRowError):
        if len(sent) == 1:
            return {"cost", "receipt"}  # becomes an error where its table row is made
        return set.intersection(*(frames_of([each], wire) for each in sent))
    is_cost = is_receipt = True
    for side in ("long", "short"):
        named = (rates[f"{name}_rate_{side}"] for name in ("funding", "borrowing", "net"))
        for funding, borrowing, net in zip(*named, strict=True):
            cut = max(1, (abs(funding) + abs(borrowing)) // 1_000_000)  # rounding of the venue
            is_cost &= abs(net - funding - borrowing) <= cut and borrowing >= 0
            is_receipt &= abs(net - funding + borrowing) <= cut and borrowing >= 0
    found: dict[Frame, bool] = {"cost": is_cost, "receipt": is_receipt}
    return {frame for frame, holds in found.items() if holds}


def _rate_rows(
    sent: Sequence[SentRates], frames: set[Frame], market: str, at: Sequence[int], unit_s: int, shown_s: int
) -> Iterator[ColumnarRows]:
    """Yield rows with the funding of both sides and, for a known asset, rows with their borrowing.

    frames: what the sign may mean, unless it is one raise BadRowError; at: ns since the Unix epoch; unit_s:
    seconds that the sent rates are per; shown_s: seconds that the funding rate in the row is per.
    """
    if len(frames) != 1:
        raise BadRowError(f"{market}: net, funding and borrowing do not show who pays")
    rates = _rates_of(sent)
    contract = CONTRACTS.of(market)
    paid = times(FIXED, shown_s // unit_s if "cost" in frames else -shown_s // unit_s)
    columns: dict[str, Sequence[Any]] = {
        "event_time": at,
        "rate": scaled(rates["funding_rate_long"], paid),
        "rate_short": scaled(rates["funding_rate_short"], -paid),
    }
    shared = {"market": market, "asset": contract.asset, "kind": "continuous", "interval_s": shown_s}
    yield ColumnarRows(FundingsRow, columns, shared)
    if contract.asset is not None:
        bps_per_day = divided(times(FIXED, DAY_S * 10_000), unit_s)
        columns = {
            "event_time": at,
            "bps_per_day": scaled(rates["borrowing_rate_long"], bps_per_day),
            "bps_per_day_short": scaled(rates["borrowing_rate_short"], bps_per_day),
        }
        yield ColumnarRows(BorrowRatesRow, columns, {"symbol": market, "asset": contract.asset})


def _rates(received: Received) -> Parsed:
    """Parse past rates: fractions per second, newest first."""
    market = param(received, "address")
    snapshots = [
        raw
        for each in decode(received, list[SentHistory])
        if each.market_address.lower() == market.lower()
        for raw in each.rates_snapshots
    ]
    frames = frames_of(snapshots, SentSnapshot)

    def rows(sent: Sequence[SentSnapshot], at: Sequence[int]) -> Iterator[ColumnarRows]:
        yield from _rate_rows(sent, frames, market, list(map(from_ms, at)), 1, EIGHT_H)

    return columns_page("fundings", snapshots, SentSnapshot, lambda sent: sent.timestamp, rows)


def _rates_now(received: Received) -> Parsed:
    """Parse present rates, fractions per year; they are positive where longs pay and shorts receive."""
    markets = decode(received, SentMarkets).markets
    frames = frames_of(markets, SentRatesNow)

    def rows(sent: SentRatesNow) -> Iterator[TableRow]:
        at = [received.received_at]
        yield from single_rows(_rate_rows([sent], frames, sent.market_token, at, YEAR_S, YEAR_S))

    return page("fundings", markets, SentRatesNow, lambda _: None, rows)


# ---- open interest -----------------------------------------------------------------------------------------


def _interest_rows(
    markets: Sequence[str], at: Sequence[int], sent: Iterable[Sequence[Whole]]
) -> Iterator[ColumnarRows]:
    """Yield rows with the open interest of both sides, of pools whose token has known decimals.

    at: ns since the Unix epoch; sent: per row, longs and shorts in tokens, both in dollars, the token's
    price. Raises BadRowError.
    """
    found = []
    stated = map(integers, zip(*sent, strict=True))
    for market, event_time, *sides, price in zip(markets, at, *stated, strict=True):
        decimals = DECIMALS.get(market)
        if decimals is None:
            continue
        if not any(sides):
            raise BadRowError(f"{market}: zeros of a pool that is in use are missing data")
        tokens, usd = sides[:2], sides[2:]
        unit = Decimal(1).scaleb(-decimals)
        amounts = [times(each, unit) for each in tokens]
        for each, amount, value in zip(tokens, amounts, usd, strict=True):
            worth = each * price
            if (each or value) and not 0 < max(worth, value) <= ALIKE * min(worth, value):
                now = dollars(price, decimals)
                raise BadRowError(f"{market}: {amount} at {now} are not {times(value, FIXED)} dollars")
        larger = 0 if tokens[0] >= tokens[1] else 1
        found.append((market, CONTRACTS.of(market).asset, event_time, amounts[larger], usd[larger], *amounts))
    if found:
        names = ("market", "asset", "event_time", "amount", "amount_quote", "amount_long", "amount_short")
        columns: dict[str, Sequence[Any]] = dict(zip(names, zip(*found, strict=True), strict=True))
        columns["amount_quote"] = scaled(columns["amount_quote"], FIXED)
        yield ColumnarRows(OpenInterestRow, columns, {"rule": RULE})


def _interest(received: Received) -> Parsed:
    def rows(sent: Sequence[SentInterest], at: Sequence[int]) -> Iterator[ColumnarRows]:
        return _interest_rows(
            [each.market_address for each in sent], list(map(from_ms, at)), map(_INTEREST, sent)
        )

    snapshots = decode(received, SentGraph).data.funding_balance_oi_snapshots
    return columns_page("open_interest", snapshots, SentInterest, lambda sent: sent.snapshot_timestamp, rows)


def _interest_now(received: Received) -> Parsed:
    def rows(sent: SentInterestNow) -> Iterator[TableRow]:
        stated = _interest_rows([sent.market_token_address], [received.received_at], [_INTEREST_NOW(sent)])
        return single_rows(stated)

    return page("open_interest", decode(received, _RAW), SentInterestNow, lambda _: None, rows)


# ---- prices and pools --------------------------------------------------------------------------------------


def _candles(received: Received) -> Parsed:
    """Parse candles of the oracle's price in dollars, newest first; the newest candle is still open."""
    asset, market, _ = TOKENS.get(param(received, "tokenSymbol"), (None, param(received, "tokenSymbol"), 0))
    step_s = STEPS.get(param(received, "period"))
    if step_s is None:
        raise ParseError("candles", "a period of no known length", ("period",))

    def rows(sent: Sequence[SentCandle], at: Sequence[int]) -> Iterator[ColumnarRows]:
        opened = list(map(from_ms, at))
        columns: dict[str, Sequence[Any]] = {
            "event_time": opened,
            **{name: rounded_numbers(list(map(str, map(attrgetter(name), sent)))) for name in _PRICES},
            "is_closed": [is_over(each, step_s, received) for each in opened],
        }
        shared = {"market": market, "asset": asset, "source": "index", "interval_s": step_s}
        yield ColumnarRows(CandlesRow, columns, shared)

    sent = decode(received, SentCandles).candles
    return columns_page("candles", sent, SentCandle, lambda each: each.opened, rows)


def _tickers(received: Received) -> Parsed:
    """Check the tickers of an answer, which are made into no rows.

    `keys` of the result are the symbols of their tokens. Raises ParseError.
    """
    return Parsed(keys=sorted(prices(received)))


def _instruments(received: Received) -> Parsed:
    def rows(sent: SentMarket) -> Iterator[InstrumentsRow]:
        if sent.index_token == NO_INDEX:
            return
        try:
            listed_at = None if sent.listing_date is None else from_iso(sent.listing_date)
        except ValueError as error:
            raise BadRowError(f"{sent.listing_date!r} is not a time") from error
        contract = CONTRACTS.of(sent.market_token)
        yield InstrumentsRow(
            market=sent.market_token,
            asset=contract.asset,
            event_time=received.received_at,
            status="listed" if sent.is_listed else "not listed",
            quote="USD",
            multiplier=contract.multiplier,
            contract_size=Decimal(1),
            listed_at=listed_at,
        )

    sent = decode(received, SentMarkets).markets
    return listed(received, page("instruments", sent, SentMarket, lambda _: None, rows), STATUSES)


_READERS: dict[str, Reader] = {
    endpoint.url: read
    for endpoint, read in (
        (endpoints.MARKETS, _instruments),
        (endpoints.TICKERS, _tickers),
        (endpoints.CANDLES, _candles),
        (endpoints.MARKETS_NOW, _rates_now),
        (endpoints.RATES, _rates),
        (endpoints.INTEREST, _interest),
        (endpoints.INTEREST_NOW, _interest_now),
    )
}
