"""Live view of `scrapy collect`: a table on a terminal, a log line per minute elsewhere."""

from __future__ import annotations

import asyncio
import logging

from rich.console import Console
from rich.control import Control
from rich.live import Live

from marketarchive.archive.disk_budget import least_room
from marketarchive.clock import sleep, sleep_until
from marketarchive.collecting.together.collection import Collection
from marketarchive.collecting.together.look import StatusSnapshot, line, table
from marketarchive.times import SECOND, to_seconds, utc

logger = logging.getLogger(__name__)

REFRESH_S = 1.0
LINE_S = 60
"""Seconds (project clock) between two log lines."""


class Observer:
    """Source of a collection's present figures, with rates since the figures before."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._clock = collection.process.clock
        self._before = (self._clock.mono_ns(), 0, 0)  # monotonic ns, rows, frames

    def look(self) -> StatusSnapshot:
        """Return the collection's figures at the moment.

        Raises OSError where the free disk space cannot be read.
        """
        process, traffic = self._collection.process, self._collection.traffic
        listeners = self._collection.listeners
        now, mono = self._clock.now_ns(), self._clock.mono_ns()
        on_complete, rows, frames = self._before
        self._before = (mono, traffic.rows, traffic.frames)
        seconds = max(to_seconds(mono - on_complete), 1e-9)
        return StatusSnapshot(
            f"{utc(now):%Y-%m-%d %H:%M:%S}Z",
            tuple(listener.look(now) for listener in listeners),
            (traffic.rows - rows) / seconds,
            (traffic.frames - frames) / seconds,
            process.writer.store.files.written,
            least_room(process.root, process.writer.store.files).free,
            self._master(),
            sum(listener.other_gaps() for listener in listeners),
            tuple(self._collection.waiting),
            self._collection.stop_reason or "",
        )

    def _master(self) -> str:
        stat = self._collection.stat
        written, skipped = stat("master/rows_upserted"), stat("master/rows_skipped")
        errors = stat("master/errors")
        return f"{written:,} rows" + (
            f" ({skipped:,} skipped, {errors:,} errors)" if skipped or errors else ""
        )


class LiveView:
    """Live view of a collection, on a terminal or as lines on stderr, whatever LOG_LEVEL is."""

    def __init__(self, collection: Collection, console: Console) -> None:
        self._observer = Observer(collection)
        self._clock = collection.process.clock
        self._console = console

    async def keep(self) -> None:
        """Show the collection's figures until cancelled."""
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
