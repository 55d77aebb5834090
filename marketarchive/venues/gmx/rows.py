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
    is_over,
    is_within,
    listed,
    moment,
    number,
    page,
    param,
    read_by,
    rounded,
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
DIGITS = 60
"""Most digits of a whole number that is taken without a closer look."""
FIXED = Decimal("1E-30")
EIGHT_H = 28_800
DAY_S = 86_400
YEAR_S = 31_557_600
"""Seconds in the year of the rates in markets/info: 8,766 hours (another collector compared a real answer
of 2026-02-19 with the chain)."""
RULE = "the larger side, the pool holds the difference"
NEAR = Decimal("1.5")
"""Greatest ratio of the newest candle to the ticker; with a wrong unit the ratio is greater."""
ALIKE = Decimal(4)
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


_LONG = attrgetter("funding_rate_long", "borrowing_rate_long", "net_rate_long")
_SHORT = attrgetter("funding_rate_short", "borrowing_rate_short", "net_rate_short")


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
        _, newest = max(closes, key=itemgetter(0))
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


def frame_of(sent: Sequence[SentRates]) -> Frame | None:
    """Return what the sign of funding rates means; None when the rates do not show it.

    If positive funding is a cost, net = funding + borrowing, otherwise net = funding - borrowing. None also
    when nothing is borrowed, so that both hold, or when neither holds for all rows.
    """
    is_cost = is_receipt = True
    for rates_of in (_LONG, _SHORT):
        for side in map(rates_of, sent):
            funding, borrowing, net = map(_integer, side)
            cut = max(1, (abs(funding) + abs(borrowing)) // 1_000_000)  # rounding of the venue
            is_cost &= abs(net - funding - borrowing) <= cut and borrowing >= 0
            is_receipt &= abs(net - funding + borrowing) <= cut and borrowing >= 0
    if is_cost == is_receipt:
        return None
    return "cost" if is_cost else "receipt"


def _rate_rows(
    sent: Sequence[SentRates], frame: Frame | None, market: str, at: Sequence[int], unit_s: int, shown_s: int
) -> Iterator[ColumnarRows]:
    """Yield rows with the funding of both sides and, for a known asset, rows with their borrowing.

    frame: meaning of the sign, None = raise BadRowError; at: ns since the Unix epoch; unit_s: seconds that
    the sent rates are per; shown_s: seconds that the funding rate in the row is per.
    """
    if frame is None:
        raise BadRowError(f"{market}: net, funding and borrowing do not show who pays")
    contract = CONTRACTS.of(market)
    sign = 1 if frame == "cost" else -1
    share = times(FIXED, Decimal(shown_s // unit_s))
    columns: dict[str, Sequence[Any]] = {
        "event_time": at,
        "rate": [rounded(times(_integer(each.funding_rate_long) * sign, share)) for each in sent],
        "rate_short": [rounded(times(_integer(each.funding_rate_short) * -sign, share)) for each in sent],
    }
    shared = {"market": market, "asset": contract.asset, "kind": "continuous", "interval_s": shown_s}
    yield ColumnarRows(FundingsRow, columns, shared)
    if contract.asset is not None:

        def borrowed(rates: Iterable[Whole]) -> list[Decimal]:
            return [rounded(times(_integer(rate), FIXED) * DAY_S * 10_000 / unit_s) for rate in rates]

        columns = {
            "event_time": at,
            "bps_per_day": borrowed(each.borrowing_rate_long for each in sent),
            "bps_per_day_short": borrowed(each.borrowing_rate_short for each in sent),
        }
        yield ColumnarRows(BorrowRatesRow, columns, {"symbol": market, "asset": contract.asset})


def _readable(sent: Iterable[msgspec.Raw], wire: type[SentRates]) -> list[SentRates]:
    found = []
    for raw in sent:
        try:
            found.append(msgspec.json.decode(raw, type=wire))
        except NOT_JSON:
            continue  # becomes an error where its table row is made
    return found


def _rates(received: Received) -> Parsed:
    """Parse past rates: fractions per second, newest first."""
    market = param(received, "address")
    snapshots = [
        raw
        for each in decode(received, list[SentHistory])
        if each.market_address.lower() == market.lower()
        for raw in each.rates_snapshots
    ]
    frame = frame_of(_readable(snapshots, SentSnapshot))

    def rows(sent: Sequence[SentSnapshot], at: Sequence[int]) -> Iterator[ColumnarRows]:
        yield from _rate_rows(sent, frame, market, list(map(from_ms, at)), 1, EIGHT_H)

    return columns_page("fundings", snapshots, SentSnapshot, lambda sent: sent.timestamp, rows)


def _rates_now(received: Received) -> Parsed:
    """Parse present rates, fractions per year; they are positive where longs pay and shorts receive."""
    markets = decode(received, SentMarkets).markets
    frame = frame_of(_readable(markets, SentRatesNow))

    def rows(sent: SentRatesNow) -> Iterator[TableRow]:
        at = [received.received_at]
        yield from single_rows(_rate_rows([sent], frame, sent.market_token, at, YEAR_S, YEAR_S))

    return page("fundings", markets, SentRatesNow, lambda _: None, rows)


# ---- open interest -----------------------------------------------------------------------------------------


def _interest_row(
    market: str, at: int, tokens: tuple[Whole, Whole], usd: tuple[Whole, Whole], price: Whole
) -> Iterator[OpenInterestRow]:
    decimals = DECIMALS.get(market)
    if decimals is None:
        return  # the decimals of its token are unknown
    if not any(_integer(each) for each in (*tokens, *usd)):
        raise BadRowError(f"{market}: zeros of a pool that is in use are missing data")
    now = dollars(_integer(price), decimals)
    amounts = [times(_integer(each), Decimal(1).scaleb(-decimals)) for each in tokens]
    worth = [times(_integer(each), FIXED) for each in usd]
    for amount, value in zip(amounts, worth, strict=True):
        if (amount or value) and not is_within(times(amount, now), value, ALIKE):
            raise BadRowError(f"{market}: {amount} at {now} are not {value} dollars")
    larger = 0 if amounts[0] >= amounts[1] else 1
    yield OpenInterestRow(
        market=market,
        asset=CONTRACTS.of(market).asset,
        event_time=at,
        amount=amounts[larger],
        amount_quote=rounded(worth[larger]),
        amount_long=amounts[0],
        amount_short=amounts[1],
        rule=RULE,
    )


def _interest(received: Received) -> Parsed:
    def rows(sent: SentInterest) -> Iterator[OpenInterestRow]:
        return _interest_row(
            sent.market_address,
            moment(sent.snapshot_timestamp),
            (sent.long_open_interest_in_tokens, sent.short_open_interest_in_tokens),
            (sent.long_open_interest_usd, sent.short_open_interest_usd),
            sent.index_token_min_price,
        )

    snapshots = decode(received, SentGraph).data.funding_balance_oi_snapshots
    return page("open_interest", snapshots, SentInterest, lambda sent: sent.snapshot_timestamp, rows)


def _interest_now(received: Received) -> Parsed:
    def rows(sent: SentInterestNow) -> Iterator[OpenInterestRow]:
        return _interest_row(
            sent.market_token_address,
            received.received_at,
            (sent.long_interest_in_tokens, sent.short_interest_in_tokens),
            (sent.long_interest_usd, sent.short_interest_usd),
            sent.min_price,
        )

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
            "open": [rounded(number(str(each.open))) for each in sent],
            "high": [rounded(number(str(each.high))) for each in sent],
            "low": [rounded(number(str(each.low))) for each in sent],
            "close": [rounded(number(str(each.close))) for each in sent],
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


def _integer(sent: Whole) -> int:
    digits = str(sent).removeprefix("-")
    if len(digits) <= DIGITS and digits.isascii() and digits.isdecimal():
        return int(sent)
    found = number(str(sent))
    whole = int(found)
    if found != whole:
        raise BadRowError(f"{sent!r} is not an integer")
    return whole


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
