"""Shutdown of a collector's process: the first request to stop, its steps, and a last resort.

A request may come at any moment: before a run, a spider or Scrapy's engine exists, and while the event loop
is blocked. So a thread of its own receives it (signals reach it by Python's wake-up descriptor), remembers it
and takes four steps, each at its time after the first request:

1. at once: every participant is requested to end by itself.
2. after GRACE_S, or with a second signal: what has not ended is cut off. Spiders hand nothing over any more.
3. after SEAL_S: runs are sealed without waiting for Scrapy.
4. after END_S, or when step 3 is done: the process ends, whatever still holds it.

Scrapy's engine is never stopped, since `Crawler.stop_async` has two ways never to end (2.19): an item of
`start` that is in the pipelines meanwhile is waited for, but nothing reports that it has passed; and a stop
before the engine runs only sets a flag, by which Scrapy later takes the engine for stopped.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, Protocol

from marketarchive.collecting.exit_codes import DISK, FAILED, FINISHED

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
GRACE_S = 5.0
"""Seconds (wall) that spiders have to end by themselves."""
SEAL_S = 15.0
"""GRACE_S and DOWNLOAD_TIMEOUT: what is in flight when spiders are cut off has been answered or timed out."""
END_S = 30.0
"""A seal takes a second on a sound disk; on one that takes nothing for ARCHIVE_STALL_S it is given up."""
LOG_S = 2.0
"""Seconds (wall) that the last line may take: what holds the process may hold its log too."""


class Participant(Protocol):
    """Part of the process that has to end before it may; called by the event loop."""

    def request_stop(self, reason: str) -> None:
        """End by itself, soon."""

    def cut_off(self) -> None:
        """End now; what is in flight is still awaited."""

    async def seal(self) -> None:
        """Seal what there is, without awaiting anything else; the first call counts."""


class Shutdown:
    """One per process. Until `watch` is called it only keeps its participants."""

    def __init__(self, least_code: int = FINISHED) -> None:
        """Prepare the end of a process. least_code: exit code, at least, if it ends before `finish`."""
        self._participants: list[Participant] = []  # not sealed yet
        self._least_code = least_code
        self._code = least_code  # of what was sealed last, or of the whole
        self._has_opened = False
        self._is_requested = False  # the event loop has taken step 1
        self._is_cut = False  # and step 2
        self._is_sealed = False  # and step 3 is done
        self._reason: str | None = None  # of the first wish
        self._has_disk_failed = False
        self._signals = 0
        self._requests: deque[str] = deque()
        self._pipe: tuple[int, int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.on_request: list[Callable[[], None]] = []
        """Called by the thread when the process is first asked to end."""

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Receive signals from now on, and end the process. Call it in the main thread."""
        reader, writer = self._pipe = os.pipe()
        os.set_blocking(writer, False)
        self._loop = loop
        # The interpreter's own C handler writes each signal's number there, whatever Python code is doing.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for signum in STOP_SIGNALS:
            # nohup starts a process that ignores SIGHUP: it is to outlive its terminal
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, _do_nothing)
        threading.Thread(target=self._keep, args=(reader,), name="shutdown", daemon=True).start()

    def request(self, reason: str) -> None:
        """Request that the process ends; the first reason stays. Call it from any thread."""
        self._requests.append(reason)
        self._wake()

    def join(self, participant: Participant) -> None:
        """Register `participant` to end with the process; at once if that was requested before."""
        self._participants.append(participant)
        self._has_opened = True
        if self._is_requested:
            participant.request_stop(self._reason or "")
        if self._is_cut:
            participant.cut_off()

    def leave(self, participant: Participant, code: int) -> None:
        """Note that `participant` is sealed, or cannot be; `code` is the exit code that it stands for."""
        if participant in self._participants:
            self._participants.remove(participant)
            self._code = max(code, self._least_code)

    def finish(self, code: int) -> None:
        """Ignore signals: all is over and nothing but the exit code is left."""
        self._participants.clear()
        self._code = code
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_IGN)

    # ---- the thread ------------------------------------------------------------------------------------

    def _keep(self, reader: int) -> None:
        while self._reason is None:
            self._receive(reader, None)
        for call in list(self.on_request):
            call()
        begun = time.monotonic()
        steps: tuple[tuple[float, Callable[[], bool], Callable[[], None]], ...] = (
            (0.0, lambda: True, lambda: self._call(self._request_all)),
            (GRACE_S, lambda: self._signals > 1, self._cut_off),
            (SEAL_S, lambda: False, lambda: self._call(self._seal_all)),
            (END_S, lambda: self._is_sealed, self._end),
        )
        for after_s, is_due, step in steps:
            while (left := begun + after_s - time.monotonic()) > 0 and not is_due():
                self._receive(reader, left)
            step()

    def _receive(self, reader: int, timeout_s: float | None) -> None:
        """Wait for a wish, or until something else has changed."""
        if not select.select([reader], [], [], timeout_s)[0]:
            return
        numbers = [number for number in os.read(reader, 4096) if number in STOP_SIGNALS]
        self._signals += len(numbers)
        wishes = [signal.Signals(number).name for number in numbers]
        while self._requests:
            wishes.append(self._requests.popleft())
        self._has_disk_failed |= "disk" in wishes
        self._reason = self._reason or next(iter(wishes), None)

    def _cut_off(self) -> None:
        if not self._has_opened:  # it still recovers what earlier runs left; whoever starts next goes on
            self._exit(self._code, logging.INFO, f"Stopped by {self._reason} before a run was opened")
        self._call(self._cut_all)

    def _end(self) -> None:
        code, left = self._code, "all is sealed, but the market master may lack rows (scrapy rebuild-master)"
        if self._participants:
            code, left = FAILED, "what is not sealed is left to recovery, at the next start"
        if self._has_disk_failed:
            code = DISK
        held = f"Something holds this process though {self._reason} asked it to end"
        self._exit(code, logging.CRITICAL, f"{held}: it ends with exit code {code}, {left}")

    def _exit(self, code: int, level: int, message: str) -> NoReturn:
        report = threading.Thread(target=logger.log, args=(level, "%s", message), daemon=True)
        report.start()
        report.join(LOG_S)
        os._exit(code)

    def _call(self, step: Callable[[], None]) -> None:
        """Have the event loop take a step, once it runs."""
        assert self._loop is not None
        with suppress(RuntimeError):  # it is closed: all is over
            self._loop.call_soon_threadsafe(step)

    def _wake(self) -> None:
        if self._pipe is not None:
            with suppress(BlockingIOError):  # full: the thread is awake
                os.write(self._pipe[1], b"\0")

    # ---- the event loop --------------------------------------------------------------------------------

    def _request_all(self) -> None:
        self._is_requested = True
        for participant in list(self._participants):
            participant.request_stop(self._reason or "")

    def _cut_all(self) -> None:
        self._is_cut = True
        for participant in list(self._participants):
            participant.cut_off()

    def _seal_all(self) -> None:
        self._sealing = asyncio.ensure_future(self._seal_each())

    async def _seal_each(self) -> None:
        sealing = (participant.seal() for participant in list(self._participants))
        for error in await asyncio.gather(*sealing, return_exceptions=True):
            if error is not None:
                logger.error("A run could not be sealed", exc_info=error)
        self._is_sealed = True
        self._wake()


def _do_nothing(*_: object) -> None:
    """Handle a signal that the thread receives."""
