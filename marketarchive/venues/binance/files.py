"""Parser of the files of Binance's public archive, which turns them into table rows.

Columns: as others read them on 2026-08-01 and 2026-09-08; no file was recorded. Candles have a header line
since about 2023, earlier files have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from msgspec.structs import replace

from marketarchive.exceptions import ParseError
from marketarchive.times import from_datetime, to_ms
from marketarchive.venues.binance import endpoints
from marketarchive.venues.binance.queries import STEPS
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perp_files import digest_of, has_digest, rows_of
from marketarchive.venues.perp_rows import (
    BadRowError,
    Contracts,
    PerpRows,
    Reader,
    candles,
    lines_page,
    milliseconds,
    moment,
    number,
)
from marketarchive.venues.table_rows import (
    CandleSource,
    ColumnarRows,
    FundingsRow,
    OpenInterestRow,
    PerpRow,
    TableRow,
    UnreadableRow,
    single_rows,
)

CONTRACTS = Contracts("binance")
RULE = "`sum_open_interest` of the archive, base units"
_Line = Mapping[str, str]
_FUNDINGS = ("calc_time", "funding_interval_hours", "last_funding_rate")
_METRICS = ("create_time", "symbol", "sum_open_interest", "sum_open_interest_value")
_CANDLES = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count"),
    *("taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)
_SOURCES: dict[str, CandleSource] = {
    "klines": "trade", "markPriceKlines": "mark", "indexPriceKlines": "index",
}  # fmt: skip
_PLACE = re.compile(r"/(?:daily|monthly)/(\w+)/([^/]+)/(?:(\w+)/)?[^/]+\.zip$")


def parse(received: Received) -> Parsed:
    """Parse an answer of the archive.

    The rows of a file are in `Parsed.statements`, the digest of a checksum file is `Parsed.next_cursor`.
    Raises ParseError.
    """
    if received.canonical_url.endswith(endpoints.CHECKSUM):
        return Parsed(next_cursor=digest_of(received.payload))
    place = _PLACE.search(received.canonical_url)
    if place is None:
        raise ParseError("message", f"nothing reads {received.canonical_url}")
    kind, symbol, interval = place.groups()
    if kind == "metrics":
        return _metrics(received, symbol)
    if kind == "fundingRate":
        return _fundings(received, symbol)
    if kind not in _SOURCES or interval not in STEPS:
        raise ParseError("message", f"nothing reads {received.canonical_url}")
    return _candles(received, symbol, _SOURCES[kind], STEPS[interval])


class FileRows(PerpRows):
    """Maker of table rows from answers and archive files.

    A file is compared with its published checksum, if that was received before.
    """

    def __init__(self, read: Reader) -> None:
        super().__init__(read)
        self._digests: dict[str, str] = {}  # URL of a file -> its published digest

    def rows(self, received: Received) -> Iterator[TableRow | ColumnarRows]:
        """Yield the table rows of an answer.

        Raises ParseError, also for a file that differs from its published checksum.
        """
        url = received.canonical_url
        if not url.startswith(endpoints.ARCHIVE):
            yield from super().rows(received)
            return
        if url.endswith(endpoints.CHECKSUM):
            self._digests[url.removesuffix(endpoints.CHECKSUM)] = digest_of(received.payload)
            return
        digest = self._digests.get(url)
        if digest is not None and not has_digest(received.payload, digest):
            raise ParseError("file", "the SHA-256 is not the one published", ("payload",))
        verified = "unchecked" if digest is None else "ok"
        for row in single_rows(super().rows(received)):
            yield row if isinstance(row, UnreadableRow) else replace(row, verified=verified)


def _fundings(received: Received, symbol: str) -> Parsed:
    contract = CONTRACTS.of(symbol)

    def rows(line: _Line) -> Iterator[FundingsRow]:
        yield FundingsRow(
            market=symbol,
            asset=contract.asset,
            event_time=moment(line["calc_time"]),
            kind="settled",
            rate=number(line["last_funding_rate"]),
            interval_s=int(line["funding_interval_hours"]) * 3600,
        )

    return lines_page("fundings", rows_of(received.payload, _FUNDINGS), lambda line: line["calc_time"], rows)


def _metrics(received: Received, symbol: str) -> Parsed:
    """Parse the open interest of one day.

    Early files have empty and zero values, which mean unknown: an amount becomes an error, a value in quote
    currency None.
    """
    contract = CONTRACTS.of(symbol)

    def rows(line: _Line) -> Iterator[OpenInterestRow]:
        if line["symbol"] != symbol:
            raise BadRowError(f"a row of {line['symbol']}")
        amount, value = line["sum_open_interest"], line["sum_open_interest_value"]
        if not amount or not number(amount):
            raise BadRowError(f"open interest of {amount!r}")
        yield OpenInterestRow(
            market=symbol,
            asset=contract.asset,
            event_time=moment(_utc_ms(line["create_time"])),
            amount=contract.amount(amount),
            amount_quote=number(value) if value and number(value) else None,
            rule=RULE,
        )

    lines = rows_of(received.payload, _METRICS)
    return lines_page("open_interest", lines, lambda line: _utc_ms(line["create_time"]), rows)


def _candles(received: Received, symbol: str, source: CandleSource, step_s: int) -> Parsed:
    contract = CONTRACTS.of(symbol)

    def rows(line: _Line) -> Iterator[PerpRow]:
        prices = [[line[name]] for name in ("open", "high", "low", "close")]
        traded = ([line["volume"]], [line["quote_volume"]]) if source == "trade" else None
        opened = [milliseconds(line["open_time"])]
        yield from candles(contract, symbol, source, step_s, opened, prices, traded, received).rows()

    return lines_page("candles", rows_of(received.payload, _CANDLES), lambda line: line["open_time"], rows)


def _utc_ms(text: str) -> int:
    """Return ms since the Unix epoch from a UTC time like `2026-07-15 00:00:00`. Raises ValueError."""
    return to_ms(from_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC)))
