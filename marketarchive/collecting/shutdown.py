"""Shutdown of a collector's process: the first request to stop, its steps, and a last resort.

A request may come at any moment: before a run, a spider or Scrapy's engine exists, and while the event loop
is blocked. So a thread of its own receives it (signals reach the thread by Python's wake-up descriptor),
keeps it, and takes four steps, each at its time after the first request:

1. at once: every participant is requested to end by itself.
2. after GRACE_S, or with a second signal: what has not ended is cut off. Spiders yield nothing more.
3. after SEAL_S: runs are sealed without waiting for Scrapy.
4. after END_S, or when step 3 is done: the process ends, whatever still holds it.

Scrapy's engine is never stopped, since `Crawler.stop_async` can hang in two ways (2.19): it waits for an item
of `start` that is still in the pipelines, but nothing reports when that item has passed; and a stop before
the engine runs only sets a flag, by which Scrapy later takes the engine for stopped.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import select
import signal
import sys
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
"""Seconds (wall) that participants have to end by themselves."""
SEAL_S = 15.0
"""Seconds (wall) until runs are sealed: GRACE_S plus DOWNLOAD_TIMEOUT, when no request is in flight."""
END_S = 30.0
"""Seconds (wall) until the process ends: sealing takes one on a sound disk, and ARCHIVE_STALL_S at most."""
LOG_S = 2.0
"""Seconds (wall) that writing the last log line and ending the thread may take: the log may hang too."""


class Participant(Protocol):
    """Protocol of a part of the process that must end before the process may; the event loop calls it."""

    def request_stop(self, reason: str) -> None:
        """Start to end, completing what is in flight; reason: for manifest and log."""

    def cut_off(self) -> None:
        """End now; requests in flight are still awaited."""

    async def seal(self) -> None:
        """Seal all archived files without awaiting anything else; only the first call does so."""


class Shutdown:
    """Shutdown of this process, one object per process.

    Until `watch` is called it only keeps its participants.
    """

    def __init__(self, least_code: int = FINISHED) -> None:
        """Prepare the end of a process; least_code: lowest exit code if it ends before `finish` is called."""
        self._participants: list[Participant] = []  # not sealed yet
        self._least_code = least_code
        self._code = least_code  # exit code of the run sealed last, or given to `finish`
        self._has_opened = False
        self._is_requested = False  # the event loop has taken step 1
        self._is_cut = False  # the event loop has taken step 2
        self._is_sealed = False  # step 3 is done
        self._has_ended = False  # the interpreter exits
        self._reason: str | None = None  # of the first request
        self._has_disk_failed = False
        self._signals = 0
        self._requests: deque[str] = deque()
        self._pipe: tuple[int, int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.on_request: list[Callable[[], None]] = []
        """Callables that the shutdown thread calls once, at the first request to end."""

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Receive signals from now on, in a thread that ends the process; to be called in the main thread.

        loop: the event loop that calls the participants.
        """
        reader, writer = self._pipe = os.pipe()
        os.set_blocking(writer, False)
        self._loop = loop
        # The interpreter's own C handler writes each signal's number there, whatever Python code is doing.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for signum in STOP_SIGNALS:
            # nohup starts a process that ignores SIGHUP: it is to outlive its terminal
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, _do_nothing)
        thread = threading.Thread(target=self._keep, args=(reader,), name="shutdown", daemon=True)
        thread.start()
        atexit.register(self._end_thread, thread)

    def request(self, reason: str) -> None:
        """Request that the process ends; of several reasons the first is kept.

        May be called from any thread.
        """
        self._requests.append(reason)
        self._wake()

    def join(self, participant: Participant) -> None:
        """Register a participant, to end with the process; at once if the end was requested before."""
        self._participants.append(participant)
        self._has_opened = True
        if self._is_requested:
            participant.request_stop(self._reason or "")
        if self._is_cut:
            participant.cut_off()

    def leave(self, participant: Participant, code: int) -> None:
        """Note that a participant is sealed, or cannot be; code: the exit code of its run."""
        if participant in self._participants:
            self._participants.remove(participant)
            self._code = max(code, self._least_code)

    def finish(self, code: int) -> None:
        """Ignore signals from now on: every participant has ended; code: the exit code of the process."""
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
        """Wait for signals and requests to end, and note them.

        timeout_s: longest wait, wall seconds, None without limit.

        reader: descriptor of the pipe that signals and requests write to.
        """
        if not select.select([reader], [], [], timeout_s)[0]:
            return
        if self._has_ended:
            sys.exit()  # this thread alone
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

    def _end_thread(self, thread: threading.Thread) -> None:
        """End the shutdown thread: no other is left that could hold the process.

        Python terminates a thread that wakes while it exits, in the middle of C code, and may crash by that
        (https://docs.python.org/3/c-api/init.html#c.PyEval_RestoreThread; from 3.14 on the thread hangs).
        """
        self._has_ended = True
        self._wake()
        thread.join(LOG_S)

    def _call(self, step: Callable[[], None]) -> None:
        """Let the event loop call `step` as soon as it can."""
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
    """Do nothing: the shutdown thread receives the signal by the wake-up descriptor."""
