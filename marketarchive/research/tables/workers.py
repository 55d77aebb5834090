"""Worker processes for jobs: if a worker dies, only its job fails, and another worker takes its place.

A worker is this module, started as a program: it reads jobs from its standard input and answers on its
standard output. It imports nothing of the program that started it.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from marketarchive.research.derived import Progress
from marketarchive.research.names import Known, known
from marketarchive.research.tables.extract import Progress as Advance
from marketarchive.research.tables.jobs import Done, Job, do

WORTH_BYTES = 4 * 2**20
"""Least number of bytes to read for which it pays to start processes."""


def cores() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def do_all(jobs: Sequence[Job], processes: int, master_url: str | None, progress: Progress) -> list[Done]:
    """Do jobs in `processes` worker processes; return the result of each, in the same order.

    master_url: as `names.known` takes it. Raises OSError if a worker cannot write to the disk; jobs in
    progress are then cancelled.
    """
    return _Pool(jobs, master_url, progress).run(processes)


class _Pool:
    def __init__(self, jobs: Sequence[Job], master_url: str | None, progress: Progress) -> None:
        self._jobs = jobs
        self._master_url = master_url
        self._progress = progress
        # the largest first: none is left for the end, when the others have nothing to do
        self._waiting = deque(sorted(range(len(jobs)), key=lambda number: -jobs[number].bytes))
        self._done: dict[int, Done] = {}
        self._workers: set[_Worker] = set()
        self._lock = threading.Lock()
        self._is_stopped = False

    def run(self, processes: int) -> list[Done]:
        """Do all jobs in `processes` workers; return their results in order. Raises OSError."""
        count = min(processes, len(self._jobs))
        with ThreadPoolExecutor(count, "normalize") as threads:
            try:
                for served in [threads.submit(self._serve) for _ in range(count)]:
                    served.result()
            finally:
                self._stop()  # nothing is left to stop, unless a worker failed or the user interrupted
        return [self._done[number] for number in range(len(self._jobs))]

    def _serve(self) -> None:
        """Give jobs to one worker after another until none is left; replace one that dies. Raises OSError."""
        worker: _Worker | None = None
        while (number := self._next()) is not None:
            job = self._jobs[number]
            if worker is None:
                worker = self._start()
            self._progress.begin(job.name)
            try:
                self._done[number] = worker.do(job, self._progress.advance)
            except _WorkerError as death:
                self._done[number] = job.failed(f"the process that made it {death}")
                worker = None
            except OSError:
                worker.end()
                raise
        if worker is not None:
            worker.end()

    def _next(self) -> int | None:
        with self._lock:
            return None if self._is_stopped or not self._waiting else self._waiting.popleft()

    def _start(self) -> _Worker:
        with self._lock:
            worker = _Worker(self._master_url)
            self._workers.add(worker)
        return worker

    def _stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            for worker in self._workers:
                worker.kill()


class _WorkerError(Exception):
    """Raised when a worker process ends in the middle of a job; the message says how."""


class _Worker:
    """A worker process, which does one job at a time."""

    def __init__(self, master_url: str | None) -> None:
        self._process = subprocess.Popen(  # noqa: S603  (ourselves)
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        self._is_new = True
        self._master_url = master_url

    def do(self, job: Job, advance: Advance) -> Done:
        """Do a job in the worker and return its result; advance: called with bytes read.

        Raises _WorkerError, OSError.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if self._is_new:
                self._is_new = False
                _send(self._process.stdin, (job.root, self._master_url))
            _send(self._process.stdin, job)
            while True:
                answer = pickle.load(self._process.stdout)  # noqa: S301  (of a process that we started)
                if isinstance(answer, int):
                    advance(answer)
                elif isinstance(answer, OSError):
                    raise answer
                else:
                    assert isinstance(answer, Done)
                    return answer
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            raise _WorkerError(self._exit_message()) from None

    def end(self) -> None:
        """End the worker process by closing its input, and wait for it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def kill(self) -> None:
        """Kill the worker process, if it still runs, and wait for it."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _exit_message(self) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        code = self._process.wait()
        self._process.stdout.close()
        with suppress(BrokenPipeError):  # from input that the worker did not read any more
            self._process.stdin.close()
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}; if memory was short, use fewer processes"
        return f"ended with exit code {code}; what it said stands above"


def _send(stream: BinaryIO | Any, message: Any) -> None:
    pickle.dump(message, stream)
    stream.flush()


def _main() -> None:
    """Do jobs from standard input until it ends, which it does at once when the starting program is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the starting program is interrupted too, and ends this one
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not come between answers
    jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(jobs,), daemon=True).start()
    root, master_url = jobs.get()
    found: Known = known(Path(root), master_url)
    while True:
        try:
            _send(answers, do(jobs.get(), found, lambda read: _send(answers, read)))
        except OSError as error:
            _send(answers, OSError(error.errno, str(error)))


def _receive(jobs: queue.SimpleQueue[Any]) -> None:
    given = os.fdopen(os.dup(0), "rb")  # not sys.stdin, which a process that ends tries to lock
    while True:
        try:
            jobs.put(pickle.load(given))  # noqa: S301  (of the program that started this)
        except EOFError:
            os._exit(0)  # also in the middle of a job: nobody waits for it, and its files are not in place


if __name__ == "__main__":
    _main()
