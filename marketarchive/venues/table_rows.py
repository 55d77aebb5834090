"""The rows that archived messages become, one class a table; docs/TABLES.md says what the columns mean.

Times are integer ns since the Unix epoch. Amounts are exact: text, `Decimal` or integer, never a float. None
is null. `index` is the place of the event in its message, `position` that of the row in its list, both from
1; where `position` is 0 the rows of a message are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Verdict

Amount: TypeAlias = str | Decimal | int
Levels: TypeAlias = Sequence[tuple[Amount, Amount]]
"""(price, size), best first."""


class _Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Columns that every row may have; one of `market`, `asset`, `token`, `symbol` has to be given."""

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
    """A whole book; best prices, depths and counts follow from its levels."""

    bids: Levels
    asks: Levels
    route: str | None = None
    hash: str | None = None
    recipe: str | None = None
    tick_size: Amount | None = None
    last_trade_price: Amount | None = None
    age_ms: int | None = None  # that the state may have had at receipt, at most


class BookChangesRow(_MarketRow, frozen=True, kw_only=True, gc=False):
    """One level set anew."""

    side: str
    price: Amount
    size: Amount
    hash: str | None = None
    best_bid: Amount | None = None
    best_ask: Amount | None = None
    is_stale: bool | None = None


class TradesRow(_MarketRow, frozen=True, kw_only=True, gc=False):
    """One trade."""

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
    """Best prices of a book, where they changed or were stated."""

    best_bid: Amount | None = None
    best_ask: Amount | None = None
    source: str | None = None


class ReferencePricesRow(_Row, frozen=True, kw_only=True, gc=False):
    """One price of an oracle or index."""

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
"""Charged at its moment; expected for a coming one; or a rate in force from its moment on."""
CandleSource: TypeAlias = Literal["trade", "mark", "index"]


class _PerpRow(_Row, frozen=True, kw_only=True, gc=False):
    """Columns that every row of a perpetual has. Amounts are in base units, prices in quote per base unit."""

    market: str  # as the venue calls the contract
    verified: Verdict | None = "not_available"


class FundingsRow(_PerpRow, frozen=True, kw_only=True, gc=False):
    """A funding rate as a decimal fraction of the notional; positive: longs pay.

    `rate` is of `interval_s` seconds (None: the venue does not say), not converted. Where the sides differ
    it is what longs pay; `rate_short` is what shorts receive.
    """

    kind: FundingKind
    rate: Amount
    rate_short: Amount | None = None
    interval_s: int | None = None
    next_at: int | None = None  # ns, the next settlement
    mark_price: Amount | None = None
    index_price: Amount | None = None


class CandlesRow(_PerpRow, frozen=True, kw_only=True, gc=False):
    """A candle; `event_time` is when it opens. Only of trades it has a volume.

    `high` and `low` are None where a price is known at its beginning and end only.
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
    """Open interest, each long counted once with its short; `rule` says how it follows from the answer."""

    amount: Amount
    amount_quote: Amount | None = None
    amount_long: Amount | None = None
    amount_short: Amount | None = None
    contracts: Amount | None = None
    rule: str


class InstrumentsRow(_PerpRow, frozen=True, kw_only=True, gc=False):
    """The terms of a contract as a venue states them; None where it does not."""

    status: str  # in the venue's words
    quote: str | None = None
    multiplier: Amount | None = None  # base units that a unit of the symbol stands for
    contract_size: Amount | None = None  # base units a contract
    listed_at: int | None = None  # ns
    delisted_at: int | None = None  # ns
    funding_interval_s: int | None = None
    taker_bps: Amount | None = None
    maker_bps: Amount | None = None


class BorrowRatesRow(_Row, frozen=True, kw_only=True, gc=False):
    """The cost of borrowing the asset, basis points a day."""

    symbol: str  # the coin, as the venue calls it
    verified: Verdict | None = "not_available"
    bps_per_day: Amount  # where the sides of a contract differ: what longs pay
    bps_per_day_short: Amount | None = None


class PriceHistoryRow(_MarketRow, frozen=True, kw_only=True, gc=False):
    """A past price as the venue states it afterwards; it was not observed here at that time.

    `event_time` is the time of a point, or the end of the period that prices are of.
    """

    source: str
    verified: Verdict | None = "not_available"
    interval_s: int | None = None  # of a period; None of a point
    price: Amount | None = None  # of the last trade of the period; of a point the midpoint
    price_low: Amount | None = None
    price_high: Amount | None = None
    bid: Amount | None = None  # at its end, as the ask
    ask: Amount | None = None
    volume: Amount | None = None  # of the period, in contracts
    open_interest: Amount | None = None


class UnreadableRow(msgspec.Struct, frozen=True):
    """A row of a table that cannot be read; it spoils no other."""

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
