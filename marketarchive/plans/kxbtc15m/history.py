"""Reading the record that earlier runs wrote, at a start, so that its markets are continued."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import msgspec

from marketarchive.plans.kxbtc15m.market import FollowedMarket
from marketarchive.times import SECOND, from_iso

DAYS = 2
"""Number of newest days whose files are read: a market's lines are in two at most."""

_FILE = re.compile(r"-(\d{4}-\d\d-\d\d)(?:-.+)?\.jsonl(?:\.gz)?$")


class _Line(msgspec.Struct):
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


@dataclass
class History:
    """State of one series' record, as the lines that earlier runs wrote tell it."""

    markets: dict[str, FollowedMarket] = field(default_factory=dict)  # by ticker
    index: dict[int, Decimal | None] = field(default_factory=dict)  # calculated index by Unix second
    published: dict[int, Decimal] = field(default_factory=dict)  # published index by Unix second
    ticks: int = 0  # number of tick lines of the newest day
    last_tick: int | None = None  # time of the newest tick line, wall ns


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
    """Return the state of a series from its newest files; a line that cannot be parsed is skipped.

    folder: of the record; asset: that the series is about.
    """
    history = History()
    of_series = files(folder, series)
    for day in sorted({day for day, _ in of_series})[-DAYS:]:
        history.ticks = 0
        for path in (path for at, path in of_series if at == day):
            for line in _lines(path):
                _add(history, line, day, series, asset)
    return history


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the complete lines of a file, plain or gzip, each with its line end."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line


def _lines(path: Path) -> Iterator[_Line]:
    decode = msgspec.json.Decoder(_Line).decode
    with suppress(EOFError, gzip.BadGzipFile, zlib.error):  # what comes after the damage is lost
        for line in lines_of(path):
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                yield decode(line)


def _add(history: History, line: _Line, day: str, series: str, asset: str) -> None:
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
        history.last_tick = max(at, history.last_tick or at)
        history.index[at // SECOND] = line.brti
        if line.brti_index is not None:
            history.published[at // SECOND] = line.brti_index
    elif (market := history.markets.get(line.ticker)) is not None:
        if line.type == "strike_set" and market.strike is None:
            market.strike, market.strike_ns = line.strike, at
            market.is_plausible, market.is_strike_written = line.is_plausible, True
        elif line.type == "settlement":
            market.is_settled = True
