"""Table rows that archived messages are made into, one class for each table; docs/TABLES.md has the columns.

Times are integer ns since the Unix epoch. Amounts are exact: text, `Decimal` or integer, never a float. None
becomes null. `index` is the place of the event in its message, `position` that of the row in its list, both
counted from 1; with `position` 0 the rows of a message are numbered as they come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import chain
from typing import Any, Literal, TypeAlias

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Verdict

Amount: TypeAlias = str | Decimal | int
Levels: TypeAlias = Sequence[tuple[Amount, Amount]]
"""Levels of one side as (price, size), best price first."""


class _Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Columns that any row may have. A row has at least one of `market`, `asset`, `token`, `symbol`."""

    asset: str | None = None
    event_time: int | None = None
    verified: Verdict | None = None
    index: int = 1
    position: int = 0


class _MarketRow(_Row, frozen=True, kw_only=True, gc=False):
    market: str | None = None
    slug: str | None = None
    outcome: str | None = None
    token: str | None = None


class BooksRow(_MarketRow, frozen=True, kw_only=True, gc=False):
    """A snapshot of a book; best prices, depths and counts are computed from its levels."""

    bids: Levels
    asks: Levels
    route: str | None = None
    hash: str | None = None
    recipe: str | None = None
    tick_size: Amount | None = None
    last_trade_price: Amount | None = None
    age_ms: int | None = None  # greatest age that the state may have had at receipt, ms; None: unknown


class BookChangesRow(_MarketRow, frozen=True, kw_only=True, gc=False):
    """The new size of one level of a book; 0: the level is gone."""

    side: str
    price: Amount
    size: Amount
    hash: str | None = None
    best_bid: Amount | None = None
    best_ask: Amount | None = None
    is_stale: bool | None = None


class TradesRow(_MarketRow, frozen=True, kw_only=True, gc=False):
    """A trade."""

    price: Amount
    size: Amount
    side: str | None = None
    source: str | None = None
    trade_id: str | None = None
    transaction_hash: str | None = None
    number: int | None = None
    wallet: str | None = None
    fee_rate_bps: Amount | None = None


class QuotesRow(_MarketRow, frozen=True, kw_only=True, gc=False):
    """The best prices of a book, when they changed or a ticker stated them."""

    best_bid: Amount | None = None
    best_ask: Amount | None = None
    source: str | None = None


class ReferencePricesRow(_Row, frozen=True, kw_only=True, gc=False):
    """A price of an oracle or index at one moment."""

    value: Amount | None = None
    bid: Amount | None = None
    ask: Amount | None = None
    topic: str | None = None
    symbol: str | None = None
    published_at: int | None = None
    instrument: str | None = None
    window_s: int | None = None
    is_backfill: bool | None = None


FundingKind: TypeAlias = Literal["settled", "predicted", "continuous"]
"""settled: charged at `event_time`; predicted: expected for a coming settlement; continuous: in force from
`event_time` on."""
CandleSource: TypeAlias = Literal["trade", "mark", "index"]


class _PerpRow(_Row, frozen=True, kw_only=True, gc=False):
    """Columns that every row of a perpetual has.

    Amounts are in base units, prices in quote currency per base unit.
    """

    market: str  # name of the contract at the venue
    verified: Verdict | None = "not_available"


class FundingsRow(_PerpRow, frozen=True, kw_only=True, gc=False):
    """A funding rate as a decimal fraction of the notional; positive: longs pay.

    `rate` is for `interval_s` seconds as stated by the venue, without conversion (None: it states no
    interval). When longs and shorts have different rates, `rate` is what longs pay and `rate_short` what
    shorts receive.
    """

    kind: FundingKind
    rate: Amount
    rate_short: Amount | None = None
    interval_s: int | None = None
    next_at: int | None = None  # next settlement, ns
    mark_price: Amount | None = None
    index_price: Amount | None = None


class CandlesRow(_PerpRow, frozen=True, kw_only=True, gc=False):
    """A candle of trades, of the mark price or of the index; `event_time` is its opening.

    Volumes are None for candles not of trades. `high` and `low` are None when only the first and last price
    are known.
    """

    source: CandleSource
    interval_s: int
    open: Amount
    high: Amount | None
    low: Amount | None
    close: Amount
    volume: Amount | None = None
    volume_quote: Amount | None = None
    is_closed: bool = True


class OpenInterestRow(_PerpRow, frozen=True, kw_only=True, gc=False):
    """Open interest in base units; a long and its short count once.

    `rule` says how it was derived from the venue's figure.
    """

    amount: Amount
    amount_quote: Amount | None = None
    amount_long: Amount | None = None
    amount_short: Amount | None = None
    contracts: Amount | None = None
    rule: str


class InstrumentsRow(_PerpRow, frozen=True, kw_only=True, gc=False):
    """The terms of a contract as its venue states them; None: the venue does not state it."""

    status: str  # venue's word for it
    quote: str | None = None
    multiplier: Amount | None = None  # base units in one unit of the symbol
    contract_size: Amount | None = None  # base units in one contract
    listed_at: int | None = None  # ns since the Unix epoch
    delisted_at: int | None = None  # ns since the Unix epoch
    funding_interval_s: int | None = None
    taker_bps: Amount | None = None
    maker_bps: Amount | None = None


class BorrowRatesRow(_Row, frozen=True, kw_only=True, gc=False):
    """The cost of borrowing an asset, in basis points per day."""

    symbol: str  # name of the coin at the venue
    verified: Verdict | None = "not_available"
    bps_per_day: Amount  # what longs pay, when the sides of a contract differ
    bps_per_day_short: Amount | None = None


class PriceHistoryRow(_MarketRow, frozen=True, kw_only=True, gc=False):
    """A past price that the venue stated afterwards; it was not received at that time.

    `event_time` is the time of a point, or the end of the period that the prices are of.
    """

    source: str
    verified: Verdict | None = "not_available"
    interval_s: int | None = None  # length of the period; None: a point
    price: Amount | None = None  # period: price of its last trade; point: midpoint
    price_low: Amount | None = None
    price_high: Amount | None = None
    bid: Amount | None = None  # bid and ask at the end of the period
    ask: Amount | None = None
    volume: Amount | None = None  # contracts traded in the period
    open_interest: Amount | None = None


class UnreadableRow(msgspec.Struct, frozen=True):
    """A row of a table that cannot be read; the other rows of its message are kept."""

    table: str
    error: ParseError
    position: int = 0
    reason: str = ""  # under which it is counted where the error names no field


PerpRow: TypeAlias = FundingsRow | CandlesRow | OpenInterestRow | InstrumentsRow | BorrowRatesRow
TableRow: TypeAlias = (
    BooksRow
    | BookChangesRow
    | TradesRow
    | QuotesRow
    | ReferencePricesRow
    | PriceHistoryRow
    | PerpRow
    | UnreadableRow
)


@dataclass(frozen=True)
class ColumnarRows:
    """Rows of one table by columns, for pages with many rows: no object is made for each of them."""

    kind: type[PerpRow]  # class of the rows
    columns: Mapping[str, Sequence[Any]]  # field -> its values, one a row; at least one field
    shared: Mapping[str, Any]  # field -> the value that all rows have

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def column(self, name: str) -> Sequence[Any]:
        """Return the values of a field, one a row."""
        found = self.columns.get(name)
        return [self.shared_value(name)] * len(self) if found is None else found

    def shared_value(self, name: str) -> Any:
        """Return the value that all rows have of a field without a column."""
        return self.shared.get(name, _defaults(self.kind).get(name))

    def rows(self) -> Iterator[PerpRow]:
        """Yield the rows, an object each."""
        for values in zip(*self.columns.values(), strict=True):
            yield self.kind(**self.shared, **dict(zip(self.columns, values, strict=True)))


def interleaved(one: ColumnarRows, other: ColumnarRows) -> ColumnarRows:
    """Return as many rows of each as one: the first of both, the second of both, and so on."""
    names = {*one.columns, *one.shared, *other.columns, *other.shared}
    pairs = {name: zip(one.column(name), other.column(name), strict=True) for name in names}
    return ColumnarRows(one.kind, {name: list(chain.from_iterable(each)) for name, each in pairs.items()}, {})


def single_rows(made: Iterable[TableRow | ColumnarRows]) -> Iterator[TableRow]:
    """Yield rows one by one, also those that stand in columns."""
    for each in made:
        if isinstance(each, ColumnarRows):
            yield from each.rows()
        else:
            yield each


@cache
def _defaults(kind: type[PerpRow]) -> Mapping[str, Any]:
    """Return field -> default value of a class of rows."""
    return {field.name: field.default for field in msgspec.structs.fields(kind) if not field.required}


TABLE_OF: dict[type[_Row], str] = {
    BooksRow: "books",
    BookChangesRow: "book_changes",
    TradesRow: "trades",
    QuotesRow: "quotes",
    ReferencePricesRow: "reference_prices",
    PriceHistoryRow: "price_history",
    FundingsRow: "fundings",
    CandlesRow: "candles",
    OpenInterestRow: "open_interest",
    InstrumentsRow: "instruments",
    BorrowRatesRow: "borrow_rates",
}
