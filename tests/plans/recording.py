"""A record driven by hand: the venue's own rows, books of exchanges, a clock that moves when told to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marketarchive.collecting.kalshi.price_polls import PolledMarket
from marketarchive.collecting.live_books import BookSource, LiveBook
from marketarchive.collecting.together.claim import PID_FILE
from marketarchive.items import Market
from marketarchive.plans.kxbtc15m.record import WAIT_S, Record
from marketarchive.simulator.kalshi.rounds import SimRound
from marketarchive.times import SECOND, utc
from marketarchive.venues.book import BookSide
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.markets import Quoted
from tests.archive.writing import HandClock
from tests.simulator.kalshi.requesting import read, venue

VENUES = ("bitstamp", "coinbase", "kraken")


def level(price: str, size: str) -> bytes:
    return f'["{price}","{size}"]'.encode()


def side(best: float, step: int) -> BookSide:
    levels = [(f"{best + step * place:.2f}", "2.0") for place in range(60)]
    return BookSide(levels, is_bid=step < 0, text=level, separator=b",")


@dataclass
class Rows:
    """Writes lines where a collector's archive would."""

    root: Path
    run: str = "20261121T100000Z-00000000"

    def write_record(self, series: str, tick_ns: int, line: bytes, folder: Path | None = None) -> None:
        place = folder or self.root / "records"
        place.mkdir(exist_ok=True, parents=True)
        with (place / f"{series}-{utc(tick_ns):%Y-%m-%d}.jsonl").open("ab") as file:
            file.write(line + b"\n")


@dataclass
class Recording:
    """One collector's life."""

    root: Path
    second: int  # of its start, Unix
    series: tuple[str, ...] = ("KXBTC15M",)
    with_spot: tuple[str, ...] = ("BTC",)
    clock: HandClock = field(init=False)
    record: Record = field(init=False)
    spot: float = 84_000.0  # mid of all exchanges; 0: they say nothing
    silent_since: int | None = None  # Unix second
    headers_age: float = 0.0

    def __post_init__(self) -> None:
        self.clock = HandClock(self.second * SECOND)
        self.record = Record(self.series, None, self.with_spot)
        self.root.mkdir(exist_ok=True)
        (self.root / PID_FILE).unlink(missing_ok=True)  # whoever wrote it is dead: its lock went with it
        self.record.open(self.root)
        self.record.begin(self.clock, Rows(self.root))
        for each in VENUES:
            self.record.apply(BookSource(each, "spot", self.books))

    def books(self) -> Iterator[LiveBook]:
        if self.spot:
            heard = self.clock.now_ns() if self.silent_since is None else self.silent_since * SECOND
            yield LiveBook("BTC", side(self.spot - 0.5, -1), side(self.spot + 0.5, 1), heard)

    def pass_to(self, second: int, *tickers: str, answers: bool = True) -> None:
        """Let the clock go on second by second; each tick of the venue is answered 0.1 s later."""
        while self.second < second:
            self.second += 1
            self._turn_to(self.second)
            self.record.beat()
            if answers and tickers:
                self.clock.pass_s(0.1)
                self.answer(*tickers)

    def sleep_to(self, second: int) -> None:
        """Let the machine sleep."""
        self._turn_to(second)
        self.second = second

    def _turn_to(self, second: int) -> None:
        passed = second * SECOND - self.clock.wall
        self.clock.wall, self.clock.mono = self.clock.wall + passed, self.clock.mono + passed

    def answer(self, *tickers: str) -> None:
        """Hand over what the venue says now."""
        found = read(queries.named_markets(tickers), self.second)
        quotes: Mapping[str, Quoted] = {each.ticker: each for each in found.statements}
        for market in found.items:
            if isinstance(market, Market):
                at = self.clock.now_ns()
                self.record.apply(
                    PolledMarket(
                        "kalshi",
                        "prices",
                        self.second * SECOND,
                        at,
                        market.model_copy(update={"received_at": at}),
                        quotes[market.market_id],
                        self.headers_age,
                        "header",
                    )
                )

    def lines(self, kind: str | None = None, series: str = "KXBTC15M") -> list[dict[str, Any]]:
        """Return the lines of all days, of one type where it is named."""
        found = []
        for path in sorted((self.root / "records").glob(f"{series}-*.jsonl")):
            found += [json.loads(line) for line in path.read_bytes().splitlines()]
        return [each for each in found if kind in (None, each["type"])]


def round_with(oddity: str | None, since: int, asset: str = "BTC") -> SimRound:
    """Return the first round that closes after a moment and is odd in this way."""
    for each in venue().rounds.between(since, since + 30 * 86_400):
        if each.asset == asset and each.oddity == oddity:
            return each
    raise LookupError(oddity)


AFTER_S = WAIT_S + 20
"""Seconds after a close in which everything about it is written."""
