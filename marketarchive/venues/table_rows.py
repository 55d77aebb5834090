"""The rows that archived messages become, one class a table; docs/TABLES.md says what the columns mean.

Times are integer ns since the Unix epoch. Amounts are exact: text, `Decimal` or integer, never a float. None
is null. `index` is the place of the event in its message, `position` that of the row in its list, both from
1; where `position` is 0 the rows of a message are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeAlias

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Verdict

Amount: TypeAlias = str | Decimal | int
Levels: TypeAlias = Sequence[tuple[Amount, Amount]]
"""(price, size), best first."""


class _Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every row may say; one of `market`, `asset`, `token`, `symbol` has to be given."""

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


class UnreadableRow(msgspec.Struct, frozen=True):
    """A row of a table that cannot be read; it spoils no other."""

    table: str
    error: ParseError
    position: int = 0
    reason: str = ""  # under which it is counted where the error names no field


TableRow: TypeAlias = BooksRow | BookChangesRow | TradesRow | QuotesRow | ReferencePricesRow | UnreadableRow

TABLE_OF: dict[type[_Row], str] = {
    BooksRow: "books",
    BookChangesRow: "book_changes",
    TradesRow: "trades",
    QuotesRow: "quotes",
    ReferencePricesRow: "reference_prices",
}
