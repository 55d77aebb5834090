"""Helpers of the parse functions of perpetuals, which turn answers into table rows and errors of bad rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Market, is_bounded
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import DAY, MILLISECOND, SECOND, from_iso, from_ms, utc
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perps import FEED, PERP_TABLES
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import (
    TABLE_OF,
    Amount,
    CandleSource,
    CandlesRow,
    ColumnarRows,
    FundingsRow,
    InstrumentsRow,
    OpenInterestRow,
    TableRow,
    UnreadableRow,
    single_rows,
)
from marketarchive.venues.venue import Feed, RowMaker

T = TypeVar("T")
MarketStatus: TypeAlias = Literal["unopened", "active", "closed"]
Reader: TypeAlias = Callable[[Received], Parsed]
"""Parses one answer. Raises ParseError."""

_EARLIEST_MS = 10**12
"""Smallest time that is read as milliseconds (that of 2001); smaller numbers are seconds."""
LATE = 60 * SECOND
"""Longest time (ns) after a contract's end with which its last settlement or open interest may be dated."""
_PLAIN = re.compile(r"(?:-?[0-9]{1,20}(?:\.[0-9]{1,18})?\n)*+")
"""Numbers that every table can hold, each followed by the end of a line."""
_WHOLE = re.compile(r"(?:-?[0-9]{1,60}\n)*+")
"""Whole numbers that are taken without a closer look, likewise."""
_EXACT = Context(prec=60)
_LAST = Decimal("1E-18")
"""The smallest step of amounts in tables."""


class BadRowError(ValueError):
    """Raised when the values of a row make no sense."""


@dataclass(frozen=True)
class Contract:
    """The facts of a contract that are known before any request."""

    asset: str | None
    multiplier: Decimal  # base units (coins) in one unit of the symbol; 1000 for `kPEPE`

    def price(self, text: str) -> Decimal:
        """Return a price per base unit from the venue's price per unit of the symbol. Raises BadRowError."""
        found = number(text)
        return found if self.multiplier == 1 else divided(found, self.multiplier)

    def prices(self, texts: Sequence[str]) -> Sequence[Amount]:
        """Return prices per base unit, exact, from the venue's. Raises BadRowError."""
        return numbers(texts) if self.multiplier == 1 else list(map(self.price, texts))

    def amount(self, text: str) -> Decimal:
        """Return base units from a number of units of the symbol. Raises BadRowError."""
        found = number(text)
        return found if self.multiplier == 1 else times(found, self.multiplier)

    def amounts(self, texts: Sequence[str]) -> Sequence[Amount]:
        """Return base units, exact, from numbers of units of the symbol. Raises BadRowError."""
        return numbers(texts) if self.multiplier == 1 else list(map(self.amount, texts))


class Contracts:
    """The contracts of a venue, found by the name in one column of its `symbols.csv`."""

    def __init__(self, venue: str, column: str = "symbol") -> None:
        self._known = {
            row[column]: Contract(asset, Decimal(row["multiplier"])) for asset, row in symbols(venue).items()
        }

    def of(self, symbol: str) -> Contract:
        """Return the contract of a symbol.

        A symbol that the file does not list has no asset and the multiplier 1.
        """
        return self._known.get(symbol) or Contract(None, Decimal(1))


@dataclass
class Page:
    """Accumulator of the rows and errors of one answer."""

    table: str
    rows: list[TableRow | ColumnarRows] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    errors: list[ParseError] = field(default_factory=list)

    def parsed(self) -> Parsed:
        """Return the page as `Parsed`.

        It has the times of all rows (ms, as text) in `keys` and rows in `statements`.
        """
        return Parsed(statements=self.rows, keys=self.keys, errors=self.errors)


def page(
    table: str,
    sent: Iterable[msgspec.Raw],
    wire: type[T],
    time_of: Callable[[T], int | str | None],
    make: Callable[[T], Iterable[TableRow | ColumnarRows]],
) -> Parsed:
    """Parse the rows of one answer into table rows; a bad row becomes an error and costs no other.

    table: name for errors; sent: rows as JSON; wire: model that they are decoded as; time_of: returns a row's
    time as the venue writes it (ms or s), None when rows have no time; make: returns the table rows of a row.
    """
    found = Page(table)
    for position, raw in enumerate(sent, 1):
        try:
            row = msgspec.json.decode(raw, type=wire)
            at = time_of(row)
            if at is not None:
                found.keys.append(str(milliseconds(at)))
            found.rows += make(row)
        except (*NOT_JSON, BadRowError) as error:
            found.errors.append(ParseError(table, f"row {position}: {error}"))
    return found.parsed()


def columns_page(
    table: str,
    sent: Sequence[msgspec.Raw],
    wire: type[T],
    time_of: Callable[[T], int | str],
    make: Callable[[Sequence[T], Sequence[int]], Iterable[ColumnarRows]],
) -> Parsed:
    """Parse the rows of one answer as `page` does, by columns.

    make: returns the table rows of several rows and their times, ms; it is called with all of the answer, and
    with each row alone if that fails.
    """
    try:
        rows = decode_all(sent, wire)
        at = [milliseconds(time_of(row)) for row in rows]
        return Parsed(statements=list(make(rows, at)) if rows else [], keys=list(map(str, at)))
    except (*NOT_JSON, BadRowError):
        return page(table, sent, wire, time_of, lambda row: make([row], [milliseconds(time_of(row))]))


def lines_page(
    table: str,
    lines: Iterable[Mapping[str, str]],
    time_of: Callable[[Mapping[str, str]], int | str],
    make: Callable[[Mapping[str, str]], Iterable[TableRow]],
) -> Parsed:
    """Parse the lines of a CSV file into table rows; a bad line becomes an error and costs no other.

    table: name for errors; lines: column -> text; time_of: returns a line's time (ms or s); make: returns the
    table rows of a line.
    """
    found = Page(table)
    for position, line in enumerate(lines, 1):
        try:
            found.keys.append(str(milliseconds(time_of(line))))
            found.rows += make(line)
        except KeyError as error:
            found.errors.append(ParseError(table, f"line {position}: it has no {error}"))
        except ValueError as error:  # includes BadRowError
            found.errors.append(ParseError(table, f"line {position}: {error}"))
    return found.parsed()


def read_by(readers: Mapping[str, Reader], received: Received) -> Parsed:
    """Parse an answer with the reader for its URL.

    readers: canonical URL -> reader. Raises ParseError, also when no reader has the URL.
    """
    read = readers.get(received.canonical_url)
    if read is None:
        raise ParseError("message", f"nothing reads {received.canonical_url}")
    return read(received)


def decode(received: Received, wire: type[T]) -> T:
    """Decode an answer's JSON as `wire`. Raises ParseError."""
    try:
        return msgspec.json.decode(received.payload, type=wire)
    except NOT_JSON as error:
        raise ParseError(wire.__name__, str(error), ("payload",)) from error


def decode_all(sent: Sequence[msgspec.Raw], wire: type[T]) -> list[T]:
    """Decode rows of an answer as `wire`. Raises msgspec.DecodeError, UnicodeDecodeError."""
    return msgspec.json.decode(b"[" + b",".join(sent) + b"]", type=list[wire])  # type: ignore[valid-type]


def milliseconds(at: int | str) -> int:
    """Return ms since the Unix epoch from a time in seconds (10 digits) or ms (13). Raises BadRowError."""
    try:
        found = int(at)
    except ValueError as error:
        raise BadRowError(f"{at!r} is not a time") from error
    if found <= 0:
        raise BadRowError(f"{at!r} is not a time")
    return found * 1000 if found < _EARLIEST_MS else found


def moment(at: int | str) -> int:
    """Return ns since the Unix epoch from a time in seconds (10 digits) or ms (13). Raises BadRowError."""
    return from_ms(milliseconds(at))


def maybe_moment(at: int | str | None) -> int | None:
    """Return ns since the Unix epoch from a venue's time (s or ms); None for a missing one: None, "" or 0."""
    return None if at in (None, "", "0", 0) else moment(at)


def number(text: str) -> Decimal:
    """Return the exact number that a text states.

    Raises BadRowError unless it is finite and of bounded size.
    """
    try:
        found = Decimal(text)
    except (InvalidOperation, TypeError, ValueError) as error:
        raise BadRowError(f"{text!r} is not a number") from error
    if not found.is_finite() or not is_bounded(found):
        raise BadRowError(f"{text!r} is not a number that can be written out")
    return found


def numbers(texts: Sequence[str]) -> Sequence[Amount]:
    """Return the exact numbers that texts state: those texts, if they are plain. Raises BadRowError."""
    return texts if _are_all(_PLAIN, texts) else list(map(number, texts))


def integers(sent: Iterable[int | str]) -> list[int]:
    """Return whole numbers, sent as such or as texts. Raises BadRowError."""
    texts = list(map(str, sent))
    return list(map(int if _are_all(_WHOLE, texts) else _integer, texts))


def _integer(text: str) -> int:
    found = number(text)
    whole = int(found)
    if found != whole:
        raise BadRowError(f"{text!r} is not an integer")
    return whole


def _are_all(kind: re.Pattern[str], texts: Sequence[str]) -> bool:
    """Return whether each of the texts is a number of a kind, a pattern of lines."""
    lines = "\n".join(texts) + "\n"
    return lines.count("\n") == len(texts) and kind.fullmatch(lines) is not None


def maybe(text: str | None) -> Decimal | None:
    """Return the exact number that a text states; None for None or "". Raises BadRowError."""
    return number(text) if text else None


def times(left: Decimal | int, right: Decimal | int) -> Decimal:
    """Return the product of two numbers with all its digits (60 at most)."""
    return _EXACT.multiply(left, right)


def divided(left: Decimal, right: Decimal | int) -> Decimal:
    """Return the quotient of two numbers to 60 digits."""
    return _EXACT.divide(left, right)


def rounded(exact: Decimal) -> Decimal:
    """Return a number rounded to 18 decimals, as tables hold it, half to even."""
    return exact.quantize(_LAST, context=_EXACT)


def rounded_numbers(texts: Sequence[str]) -> Sequence[Amount]:
    """Return the numbers that texts state, rounded to 18 decimals. Raises BadRowError."""
    return texts if _are_all(_PLAIN, texts) else [rounded(number(each)) for each in texts]


def scaled(numbers: Iterable[int], unit: Decimal) -> list[Decimal]:
    """Return numbers of a unit, rounded to 18 decimals."""
    return [_EXACT.quantize(_EXACT.multiply(each, unit), _LAST) for each in numbers]


def is_within(one: Decimal, other: Decimal, factor: Decimal) -> bool:
    """Return whether two positive numbers differ by at most `factor`, one way or the other."""
    return one > 0 and other > 0 and one <= times(other, factor) and other <= times(one, factor)


def is_over(opened_ns: int, step_s: int, received: Received) -> bool:
    """Return whether a candle had ended at the receipt of the answer.

    opened_ns: its opening, ns since the Unix epoch; step_s: its length.
    """
    return opened_ns + step_s * SECOND <= received.received_at


def candles(
    contract: Contract,
    market: str,
    source: CandleSource,
    step_s: int,
    opened: Sequence[int],
    prices: Iterable[Sequence[str] | None],
    traded: tuple[Sequence[str], Sequence[str] | None] | None,
    received: Received,
    *,
    is_closed: Sequence[bool] | None = None,
) -> ColumnarRows:
    """Return the table rows of candles of a contract; each sequence has an element for each candle.

    market: name of the contract at the venue; step_s: length; opened: opening times, ms; prices: open, high,
    low, close as text, high and low None when unknown; traded: volumes in units of the symbol and in quote
    currency, None for candles without volume; is_closed: None = decide by the receipt of the answer. Raises
    BadRowError.
    """
    at = [each * MILLISECOND for each in opened]
    amounts = {
        name: None if each is None else contract.prices(each)
        for name, each in zip(("open", "high", "low", "close"), prices, strict=True)
    }
    if traded is not None:
        amounts["volume"] = contract.amounts(traded[0])
        amounts["volume_quote"] = None if traded[1] is None else numbers(traded[1])
    shared = {"market": market, "asset": contract.asset, "source": source, "interval_s": step_s}
    last = received.received_at - step_s * SECOND
    return ColumnarRows(
        CandlesRow,
        {
            "event_time": at,
            "is_closed": [each <= last for each in at] if is_closed is None else is_closed,
            **{name: each for name, each in amounts.items() if each is not None},
        },
        {**shared, **{name: None for name, each in amounts.items() if each is None}},
    )


def listed(received: Received, parsed: Parsed, status_of: Mapping[str, MarketStatus]) -> Parsed:
    """Add items for the market master for each listed instrument with a known asset; return `parsed`.

    status_of: venue's word for a status -> ours.
    """
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
    """Add items for the market master with the funding interval of each contract; return `parsed`.

    They come from the funding rows that state an interval and have a known asset.
    """
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
    """Ends of the contracts of a venue, from its `symbols.csv` and the instruments that it lists."""

    def __init__(self, venue: str) -> None:
        self._ends = {  # market -> end, ns since the Unix epoch
            row["symbol"]: from_iso(row["listed_to"]) + DAY
            for row in symbols(venue).values()
            if row.get("listed_to")
        }

    def note(self, row: TableRow) -> None:
        """Record the end of a contract, if `row` is an instrument that states one.

        A contract that is listed again without an end loses its recorded one.
        """
        if not isinstance(row, InstrumentsRow) or not row.status:
            return
        if row.delisted_at is not None:
            self._ends[row.market] = row.delisted_at
        elif row.listed_at is not None:
            self._ends.pop(row.market, None)  # listed again

    def of(self, market: str) -> int | None:
        """Return the end of a contract, ns since the Unix epoch; None where none is known."""
        return self._ends.get(market)

    def may_be_over(self, rows: ColumnarRows) -> bool:
        """Return whether one of the rows may be dated after the end of its contract."""
        ends = (self._ends.get(market) for market in set(rows.column("market")))
        newest = max(rows.column("event_time"))
        return any(end is not None and newest >= end for end in ends)

    def is_over(self, row: TableRow) -> bool:
        """Return whether a row is dated after the end of its contract.

        A settlement or an open interest may be dated up to a minute after the end; a candle may not open at
        it.
        """
        if isinstance(row, CandlesRow):
            end = self._ends.get(row.market)
            return end is not None and row.event_time is not None and row.event_time >= end
        if isinstance(row, FundingsRow | OpenInterestRow):
            end = self._ends.get(row.market)
            return end is not None and row.event_time is not None and row.event_time > end + LATE
        return False


class PerpRows(RowMaker):
    """Maker of table rows from the `statements` of a parse function.

    Rows dated after the end of their contract become unreadable rows.
    """

    def __init__(self, parse: Reader) -> None:
        self._parse = parse
        self._ends: Ends | None = None

    def rows(self, received: Received) -> Iterator[TableRow | ColumnarRows]:
        """Yield the table rows of an answer. Raises ParseError."""
        parsed = self._parse(received)
        if self._ends is None:
            self._ends = Ends(received.venue)
        for made in parsed.statements:
            if isinstance(made, ColumnarRows) and not self._ends.may_be_over(made):
                yield made
            else:
                for row in single_rows([made]):
                    yield _unless_over(row, self._ends)
        for error in parsed.errors:
            yield UnreadableRow(error.item, error)


def _unless_over(row: TableRow, ends: Ends) -> TableRow:
    """Return a row, or an unreadable one if it is dated after the end of its contract."""
    ends.note(row)
    if isinstance(row, CandlesRow | FundingsRow | OpenInterestRow) and ends.is_over(row):
        table = TABLE_OF[type(row)]
        return UnreadableRow(table, ParseError(table, f"{row.market} had ended"), reason="after_end")
    return row


def perp_feeds(rows: Callable[[], RowMaker], *more: str) -> dict[str, Feed]:
    """Return the feeds that every venue of perpetuals has.

    rows: creates the maker of their table rows; more: tables in addition to those that all such venues have.
    """
    return {
        FEED: Feed(tables=(*PERP_TABLES, *more), rows=rows, rows_version=2, is_polled=True, has_markets=True),
        "probe": Feed(is_polled=True, has_markets=True),
    }


def param(received: Received, name: str) -> str:
    """Return a URL parameter of the request that was answered. Raises ParseError when it has none such."""
    found: Any = received.params.get(name)
    if found is None:
        raise ParseError("request", f"{received.canonical_url} was requested without {name}", (name,))
    return str(found)
