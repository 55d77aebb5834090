"""Reading the record that earlier runs wrote, at a start, so that its markets are continued."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import msgspec

from marketarchive.exceptions import CorruptError
from marketarchive.json_lines import NOT_JSON, complete_lines
from marketarchive.plans.kxbtc15m.market import FollowedMarket
from marketarchive.times import SECOND, from_iso

DAYS = 2
"""Number of newest days whose files are read: a market's lines are in two at most."""

_FILE = re.compile(r"-(\d{4}-\d\d-\d\d)(?:-.+)?\.jsonl(?:\.gz)?$")


class RecordLine(msgspec.Struct):
    """Fields of the record's lines that are read again; a line with a time that is none does not decode."""

    type: str
    time: str
    ticker: str
    strike: Decimal | None = None
    brti: Decimal | None = None
    brti_index: Decimal | None = None
    open_time: str = ""
    close_time: str = ""
    expected_expiration: str = ""
    is_plausible: bool | None = None

    def __post_init__(self) -> None:
        from_iso(self.time)
        if self.type == "market_open":
            for text in (self.open_time, self.close_time, self.expected_expiration):
                from_iso(text)


_decode = msgspec.json.Decoder(RecordLine).decode


@dataclass
class History:
    """State of one series' record, as the lines that earlier runs wrote tell it."""

    markets: dict[str, FollowedMarket] = field(default_factory=dict)  # by ticker
    index: dict[int, Decimal | None] = field(default_factory=dict)  # calculated index by Unix second
    published: dict[int, Decimal] = field(default_factory=dict)  # published index by Unix second
    ticks: int = 0  # number of tick lines of the newest day
    damaged: list[str] = field(default_factory=list)  # files and lines that could not be read, with the cause


def files(folder: Path, series: str) -> list[tuple[str, Path]]:
    """Return (day, file) for the files of a series in `folder`, the oldest day first.

    A day is text like `2026-11-21`. Where a day has a plain and a gzip file of the same name, only the plain
    one is returned.
    """
    found: list[tuple[str, Path]] = []
    for path in sorted(folder.glob(f"{series}-*.jsonl*")):
        match = _FILE.search(path.name)
        is_double = path.suffix == ".gz" and path.with_suffix("").exists()
        if match is not None and not is_double:
            found.append((match[1], path))
    return sorted(found)


def read(folder: Path, series: str, asset: str) -> History:
    """Return the state of a series from its newest files; what is damaged in them is skipped and named.

    folder: of the record; asset: that the series is about.
    """
    history = History()
    of_series = files(folder, series)
    for day in sorted({day for day, _ in of_series})[-DAYS:]:
        history.ticks = 0
        for path in (path for at, path in of_series if at == day):
            for line in rows(path, history.damaged):
                _add(history, line, day, series, asset)
    return history


def rows(path: Path, damaged: list[str]) -> Iterator[RecordLine]:
    """Yield the rows of a file; add `file, line: cause` to `damaged` for each line that is none.

    Of a gzip file, what comes after damage is one such entry.
    """
    try:
        for number, text in complete_lines(path):
            try:
                row = _decode(text)
            except NOT_JSON as error:
                damaged.append(f"{path} line {number}: {error}")
            else:
                yield row
    except CorruptError as error:
        damaged.append(str(error))


def _add(history: History, line: RecordLine, day: str, series: str, asset: str) -> None:
    at = from_iso(line.time)
    if line.type == "market_open":
        market = history.markets.get(line.ticker)
        if market is None:
            begin, close, expected = map(
                from_iso, (line.open_time, line.close_time, line.expected_expiration)
            )
            market = FollowedMarket(line.ticker, series, asset, begin, close, expected)
            history.markets[line.ticker] = market
        market.day = day
    elif line.type == "tick":
        history.ticks += 1
        history.index[at // SECOND] = line.brti
        if line.brti_index is not None:
            history.published[at // SECOND] = line.brti_index
    elif (market := history.markets.get(line.ticker)) is not None:
        if line.type == "strike_set" and market.strike is None:
            market.strike, market.strike_ns = line.strike, at
            market.is_plausible, market.is_strike_written = line.is_plausible, True
        elif line.type == "settlement":
            market.is_settled = True
