"""What `scrapy collect` shows while it runs: a table on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from rich import box
from rich.console import Console, Group
from rich.filesize import decimal
from rich.live import Live
from rich.table import Table
from rich.text import Text

from marketarchive.clock import sleep, sleep_until
from marketarchive.collecting.together.collection import Collection
from marketarchive.times import SECOND, to_seconds

logger = logging.getLogger(__name__)

LINE_S = 60
"""Seconds (project clock) between two lines."""


@dataclass(frozen=True)
class Lane:
    """One asset and duration at a moment."""

    asset: str
    duration: str
    market: str  # "10:05-10:10", "" = none is under way that is known
    left_s: int | None
    share: float | None  # of the seconds of its rounds so far
    bid: Decimal | None  # of Up
    ask: Decimal | None
    chainlink_s: float | None  # age of the newest observation
    gaps: int

    @property
    def spread(self) -> Decimal | None:
        return None if self.bid is None or self.ask is None else self.ask - self.bid


@dataclass(frozen=True)
class Look:
    """Everything at a moment; rates since the look before."""

    at: str
    lanes: tuple[Lane, ...]
    rows_s: float
    frames_s: float
    written: int
    free: int
    master: str
    gaps: int  # of no asset in particular
    waiting: tuple[str, ...]  # feeds that ended by themselves

    def sum_up(self) -> str:
        master = f", master {self.master}"
        down = f", WAITING TO START AGAIN: {', '.join(self.waiting)}" if self.waiting else ""
        return (
            f"{self.rows_s:.1f} rows/s, {self.frames_s:,.0f} frames/s, written {decimal(self.written)}, "
            f"free {decimal(self.free)}{master}, other gaps {self.gaps}{down}"
        )


class Observer:
    """Looks at a collection now and then."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._clock = collection.process.clock
        self._before = (self._clock.mono_ns(), 0, 0)  # monotonic ns, rows, frames

    def look(self) -> Look:
        """The figures of now. Raises OSError when the disk does not say how full it is."""
        process, board = self._collection.process, self._collection.board
        now, mono = self._clock.now_ns(), self._clock.mono_ns()
        board.forget(now)
        then, rows, frames = self._before
        self._before = (mono, board.rows, board.frames)
        seconds = max(to_seconds(mono - then), 1e-9)
        return Look(
            f"{datetime.fromtimestamp(now // SECOND, UTC):%Y-%m-%d %H:%M:%S}Z",
            tuple(self._lanes(now)),
            (board.rows - rows) / seconds,
            (board.frames - frames) / seconds,
            process.writer.store.files.written,
            shutil.disk_usage(process.root).free,
            self._master(),
            board.gaps[""],
            tuple(self._collection.waiting),
        )

    def _lanes(self, now: int) -> Iterator[Lane]:
        board = self._collection.board
        for (asset, duration), lane in board.lanes.items():
            current, newest = lane.at(now), lane.newest
            is_known = newest is not None and current is not None and newest.market_id == current.slug
            seen = board.newest_observation.get(asset)
            yield Lane(
                asset,
                duration,
                "" if current is None else f"{_hour(current.start_ns)}-{_hour(current.end_ns)}",
                None if current is None else -((now - current.end_ns) // SECOND),
                lane.observed / lane.due if lane.due else None,
                newest.up_bid if is_known and newest is not None else None,
                newest.up_ask if is_known and newest is not None else None,
                None if seen is None else to_seconds(now - seen),
                board.gaps[asset],
            )

    def _master(self) -> str:
        stat = self._collection.stat
        written, skipped = stat("master/rows_upserted"), stat("master/rows_skipped")
        errors = stat("master/errors")
        return f"{written:,} rows" + (
            f" ({skipped:,} skipped, {errors:,} errors)" if skipped or errors else ""
        )


class LiveView:
    """On `console` if that is a terminal, else lines on stderr, whatever LOG_LEVEL says."""

    def __init__(self, collection: Collection, console: Console) -> None:
        self._observer = Observer(collection)
        self._clock = collection.process.clock
        self._console = console

    async def keep(self) -> None:
        """Until it is cancelled."""
        await (self._keep_table() if self._console.is_terminal else self._keep_lines())

    async def _keep_table(self) -> None:
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(table(self._observer.look()), refresh=True)
                await asyncio.sleep(1.0)

    async def _keep_lines(self) -> None:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("collect: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        step = LINE_S * SECOND
        try:
            while True:
                await sleep_until(self._clock, (self._clock.now_ns() // step + 1) * step)
                logger.info("%s", line(self._observer.look()))
                await sleep(self._clock, 1.0)
        finally:
            logger.removeHandler(handler)


def table(look: Look) -> Group:
    """For a terminal."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("asset", "market"):
        shown.add_column(name, no_wrap=True)
    for name in ("left", "observed", "up bid", "ask", "spread", "chainlink", "gaps"):
        shown.add_column(name, justify="right", no_wrap=True)
    before = ""
    for lane in look.lanes:
        is_first, before = lane.asset != before, lane.asset
        shown.add_row(
            Text(lane.asset, "bold") if is_first else "",
            f"{lane.duration:>3} {lane.market or '-'}",
            _left(lane.left_s),
            _share(lane.share),
            _price(lane.bid),
            _price(lane.ask),
            _price(lane.spread),
            _age(lane.chainlink_s) if is_first else "",
            f"{lane.gaps:,}" if is_first else "",
        )
    return Group(Text(look.at, "bold"), Text(), shown, Text(), Text(look.sum_up()))


def line(look: Look) -> str:
    """For a log."""
    lanes = [
        f"{lane.asset} {lane.duration} {lane.market or '-'} left {_left(lane.left_s)} "
        f"observed {_share(lane.share)} up {_price(lane.bid)}/{_price(lane.ask)} "
        f"spread {_price(lane.spread)} chainlink {_age(lane.chainlink_s)} gaps {lane.gaps:,}"
        for lane in look.lanes
    ]
    return f"{look.at}: {look.sum_up()}; {'; '.join(lanes)}"


def _hour(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // SECOND, UTC):%H:%M}"


def _left(seconds: int | None) -> str:
    return "-" if seconds is None else f"{seconds // 60}:{seconds % 60:02d}"


def _share(share: float | None) -> str:
    """Cut, never rounded up: 100 % means all."""
    return "-" if share is None else f"{int(share * 1000) / 10:.1f} %"


def _price(price: Decimal | None) -> str:
    """Whole cents with both digits, so that they stand below each other; finer ones as they are."""
    if price is None:
        return "-"
    cents = round(price, 2)
    return str(cents if cents == price else price)


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"
