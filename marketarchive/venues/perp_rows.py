"""Parts that the parse functions of perpetuals share: rows of lists, a bad one costing itself alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Market, is_bounded
from marketarchive.times import DAY, SECOND, from_iso, from_ms, utc
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perps import FEED, PERP_TABLES
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import (
    TABLE_OF,
    CandleSource,
    CandlesRow,
    FundingsRow,
    InstrumentsRow,
    OpenInterestRow,
    TableRow,
    UnreadableRow,
)
from marketarchive.venues.venue import Feed, RowMaker

T = TypeVar("T")
MarketStatus: TypeAlias = Literal["unopened", "active", "closed"]
Reader: TypeAlias = Callable[[Received], Parsed]
"""Returns what an answer says. Raises ParseError."""

_EARLIEST_MS = 10**12
"""Milliseconds of 2001: what is less is in seconds."""
LATE = 60 * SECOND
"""By how much a venue may stamp what happened at the end of a contract after it."""
_EXACT = Context(prec=60)
_LAST = Decimal("1E-18")
"""The last decimal of the amounts in tables."""


class BadRowError(ValueError):
    """Raised by what reads a row, where it makes no sense."""


@dataclass(frozen=True)
class Contract:
    """The facts of a contract that are known before any request."""

    asset: str | None
    multiplier: Decimal  # base units that a unit of the symbol stands for

    def price(self, text: str) -> Decimal:
        """Return a price per base unit. Raises BadRowError."""
        found = number(text)
        return found if self.multiplier == 1 else divided(found, self.multiplier)

    def amount(self, text: str) -> Decimal:
        """Return base units. Raises BadRowError."""
        found = number(text)
        return found if self.multiplier == 1 else times(found, self.multiplier)


class Contracts:
    """The contracts of a venue by the names in one column of its `symbols.csv`."""

    def __init__(self, venue: str, column: str = "symbol") -> None:
        self._known = {
            row[column]: Contract(asset, Decimal(row["multiplier"])) for asset, row in symbols(venue).items()
        }

    def of(self, symbol: str) -> Contract:
        """Return the contract; one that is not in the file is taken as it stands."""
        return self._known.get(symbol) or Contract(None, Decimal(1))


@dataclass
class Page:
    """Collects what an answer says."""

    table: str
    rows: list[TableRow] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    errors: list[ParseError] = field(default_factory=list)

    def parsed(self) -> Parsed:
        """Return the page as `Parsed`: `keys` are the times of all rows (ms), `statements` its rows."""
        return Parsed(statements=self.rows, keys=self.keys, errors=self.errors)


def page(
    table: str,
    sent: Iterable[msgspec.Raw],
    wire: type[T],
    time_of: Callable[[T], int | str | None],
    make: Callable[[T], Iterable[TableRow]],
) -> Parsed:
    """Return the rows that `make` makes of each row that was sent.

    time_of: of a row in the venue's own writing (ms, or s); None where rows have none.
    """
    found = Page(table)
    for position, raw in enumerate(sent, 1):
        try:
            row = msgspec.json.decode(raw, type=wire)
            at = time_of(row)
            if at is not None:
                found.keys.append(str(milliseconds(at)))
            found.rows += make(row)
        except (msgspec.DecodeError, UnicodeDecodeError, BadRowError) as error:
            found.errors.append(ParseError(table, f"row {position}: {error}"))
    return found.parsed()


def lines_page(
    table: str,
    lines: Iterable[Mapping[str, str]],
    time_of: Callable[[Mapping[str, str]], int | str],
    make: Callable[[Mapping[str, str]], Iterable[TableRow]],
) -> Parsed:
    """Return the rows that `make` makes of each line of a file. time_of: ms or s, of each line."""
    found = Page(table)
    for position, line in enumerate(lines, 1):
        try:
            found.keys.append(str(milliseconds(time_of(line))))
            found.rows += make(line)
        except KeyError as error:
            found.errors.append(ParseError(table, f"line {position}: it has no {error}"))
        except ValueError as error:  # BadRowError too
            found.errors.append(ParseError(table, f"line {position}: {error}"))
    return found.parsed()


def read_by(readers: Mapping[str, Reader], received: Received) -> Parsed:
    """Call the reader of an answer's URL and return its result.

    Raises ParseError, also where there is none.
    """
    read = readers.get(received.canonical_url)
    if read is None:
        raise ParseError("message", f"nothing reads {received.canonical_url}")
    return read(received)


def decode(received: Received, wire: type[T]) -> T:
    """Return an answer's document. Raises ParseError."""
    try:
        return msgspec.json.decode(received.payload, type=wire)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(wire.__name__, str(error), ("payload",)) from error


def milliseconds(at: int | str) -> int:
    """Return ms since the Unix epoch, of a time of 10 digits (s) or 13. Raises BadRowError."""
    try:
        found = int(at)
    except ValueError as error:
        raise BadRowError(f"{at!r} is not a time") from error
    if found <= 0:
        raise BadRowError(f"{at!r} is not a time")
    return found * 1000 if found < _EARLIEST_MS else found


def moment(at: int | str) -> int:
    """Return ns since the Unix epoch. Raises BadRowError."""
    return from_ms(milliseconds(at))


def maybe_moment(at: int | str | None) -> int | None:
    """Convert a venue's time (ms) to ns; None for the values that venues write where there is no time."""
    return None if at in (None, "", "0", 0) else moment(at)


def number(text: str) -> Decimal:
    """Return a finite number, exact. Raises BadRowError."""
    try:
        found = Decimal(text)
    except (InvalidOperation, TypeError, ValueError) as error:
        raise BadRowError(f"{text!r} is not a number") from error
    if not found.is_finite() or not is_bounded(found):
        raise BadRowError(f"{text!r} is not a number that can be written out")
    return found


def maybe(text: str | None) -> Decimal | None:
    """Return a number, None of an empty text. Raises BadRowError."""
    return number(text) if text else None


def times(left: Decimal | int, right: Decimal | int) -> Decimal:
    """Return a product with all its digits."""
    return _EXACT.multiply(left, right)


def divided(left: Decimal, right: Decimal | int) -> Decimal:
    """Return a quotient; exact where the divisor is a power of two and ten."""
    return _EXACT.divide(left, right)


def rounded(exact: Decimal) -> Decimal:
    """Return a number to the last decimal that tables have, half to even."""
    return exact.quantize(_LAST, context=_EXACT)


def is_within(one: Decimal, other: Decimal, factor: Decimal) -> bool:
    """Return whether two positive numbers are alike, up to a factor."""
    return one > 0 and other > 0 and one <= times(other, factor) and other <= times(one, factor)


def is_over(opened_ns: int, step_s: int, received: Received) -> bool:
    """Return whether a candle had ended when the answer came."""
    return opened_ns + step_s * SECOND <= received.received_at


def candle(
    contract: Contract,
    market: str,
    source: CandleSource,
    step_s: int,
    opened: int | str,
    prices: Sequence[str | None],
    traded: tuple[str, str | None] | None,
    received: Received,
    *,
    is_closed: bool | None = None,
) -> CandlesRow:
    """Return a candle of a contract.

    opened: in the venue's writing; prices: open, high, low, close, those between None where nobody knows
    them; traded: volume in units of the symbol and in quote currency; is_closed: None where the venue does
    not say it: by the time of the answer. Raises BadRowError.
    """
    at = moment(opened)
    first, high, low, last = (None if each is None else contract.price(each) for each in prices)
    if first is None or last is None:
        raise BadRowError("a candle without a price at its beginning or end")
    return CandlesRow(
        market=market,
        asset=contract.asset,
        event_time=at,
        source=source,
        interval_s=step_s,
        open=first,
        high=high,
        low=low,
        close=last,
        volume=None if traded is None else contract.amount(traded[0]),
        volume_quote=None if traded is None or traded[1] is None else number(traded[1]),
        is_closed=is_over(at, step_s, received) if is_closed is None else is_closed,
    )


def listed(received: Received, parsed: Parsed, status_of: Mapping[str, MarketStatus]) -> Parsed:
    """Add the items of the market master for instruments with an asset. status_of: venue's word -> ours."""
    parsed.items += [
        _market(
            received,
            row,
            start_at=None if row.listed_at is None else utc(row.listed_at),
            end_at=None if row.delisted_at is None else utc(row.delisted_at),
            status=status_of.get(row.status),
            contract_size=row.contract_size,
            funding_interval_s=row.funding_interval_s,
        )
        for row in parsed.statements
        if isinstance(row, InstrumentsRow) and row.asset is not None
    ]
    return parsed


def with_intervals(received: Received, parsed: Parsed) -> Parsed:
    """Add the items of the market master for expected rates that state their interval."""
    parsed.items += [
        _market(received, row, funding_interval_s=row.interval_s)
        for row in parsed.statements
        if isinstance(row, FundingsRow) and row.asset is not None and row.interval_s
    ]
    return parsed


def _market(received: Received, row: InstrumentsRow | FundingsRow, **stated: Any) -> Market:
    return Market(
        **received.origin(),
        platform=received.venue,
        market_id=row.market,
        title=f"{row.market} perpetual",
        category="perpetual",
        asset=row.asset,
        **stated,
    )


class Ends:
    """When contracts of a venue ended: by its `symbols.csv`, and by what it lists meanwhile."""

    def __init__(self, venue: str) -> None:
        self._ends = {  # market -> ns
            row["symbol"]: from_iso(row["listed_to"]) + DAY
            for row in symbols(venue).values()
            if row.get("listed_to")
        }

    def note(self, row: TableRow) -> None:
        """Take note of what an instrument says of its end."""
        if not isinstance(row, InstrumentsRow) or not row.status:
            return
        if row.delisted_at is not None:
            self._ends[row.market] = row.delisted_at
        elif row.listed_at is not None:
            self._ends.pop(row.market, None)  # listed again

    def is_over(self, row: TableRow) -> bool:
        """Return whether a row is of a time after the end of its contract.

        What was settled or counted at the end may be stamped up to a minute later; a candle that opens
        there is after it.
        """
        if isinstance(row, CandlesRow):
            end = self._ends.get(row.market)
            return end is not None and row.event_time is not None and row.event_time >= end
        if isinstance(row, FundingsRow | OpenInterestRow):
            end = self._ends.get(row.market)
            return end is not None and row.event_time is not None and row.event_time > end + LATE
        return False


class PerpRows(RowMaker):
    """Makes the rows of answers that a parse function has as `statements`, up to the end of each contract."""

    def __init__(self, parse: Reader) -> None:
        self._parse = parse
        self._ends: Ends | None = None

    def rows(self, received: Received) -> Iterator[TableRow]:
        """Yield the rows of an answer. Raises ParseError."""
        parsed = self._parse(received)
        if self._ends is None:
            self._ends = Ends(received.venue)
        for row in parsed.statements:
            self._ends.note(row)
            if self._ends.is_over(row):
                table = TABLE_OF[type(row)]
                error = ParseError(table, f"{row.market} had ended")
                yield UnreadableRow(table, error, reason="after_end")
            else:
                yield row
        for error in parsed.errors:
            yield UnreadableRow(error.item, error)


def perp_feeds(rows: Callable[[], RowMaker], *more: str) -> dict[str, Feed]:
    """Return the feeds of a venue of perpetuals. more: tables beside those that all have."""
    return {
        FEED: Feed(tables=(*PERP_TABLES, *more), rows=rows, rows_version=2, is_polled=True, has_markets=True),
        "probe": Feed(is_polled=True, has_markets=True),
    }


def param(received: Received, name: str) -> str:
    """Return a parameter of the request. Raises ParseError where there is none."""
    found: Any = received.params.get(name)
    if found is None:
        raise ParseError("request", f"{received.canonical_url} was requested without {name}", (name,))
    return str(found)
