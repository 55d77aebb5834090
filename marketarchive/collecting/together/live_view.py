"""What `scrapy collect` shows while it runs: a table on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

from rich.console import Console
from rich.control import Control
from rich.live import Live

from marketarchive.clock import sleep, sleep_until
from marketarchive.collecting.together.board import Share
from marketarchive.collecting.together.collection import Collection
from marketarchive.collecting.together.look import Lane, Look, line, table
from marketarchive.times import SECOND, to_seconds

logger = logging.getLogger(__name__)

REFRESH_S = 1.0
LINE_S = 60
"""Seconds (project clock) between two lines."""


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
            self._collection.stop_reason or "",
        )

    def _lanes(self, now: int) -> Iterator[Lane]:
        board = self._collection.board
        for (asset, duration), lane in board.lanes.items():
            current, newest = lane.at(now), lane.newest
            is_known = newest is not None and current is not None and newest.subject == current.slug
            seen = board.newest_observation.get(asset)
            share = Share() if current is None else lane.share(current, now)
            yield Lane(
                asset,
                duration,
                "" if current is None else f"{_time(current.start_ns)[:5]}-{_time(current.end_ns)[:5]}",
                None if current is None else -((now - current.end_ns) // SECOND),
                share.value,
                *(newest.best if is_known and newest is not None else (None, None)),
                None if seen is None else to_seconds(now - seen),
                board.gaps[asset],
                _time(share.joined_ns) if share.due and share.joined_ns is not None else "",
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
        console, width = self._console, self._console.width
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                if console.width != width:  # the terminal has torn what stood there
                    width = console.width
                    console.control(Control.clear(), Control.home())
                live.update(table(self._observer.look(), width), refresh=True)
                await asyncio.sleep(REFRESH_S)

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


def _time(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // SECOND, UTC):%H:%M:%S}"
