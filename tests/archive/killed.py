"""Writing children for the tests that kill them: what each was promised stands in a pipe."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import TypeVar

from marketarchive.archive.compact import compact
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.recover import recover
from marketarchive.archive.store import Store
from marketarchive.clock import RealClock
from tests.archive.faulty_files import WatchedFiles
from tests.archive.writing import HandClock, frames, open_run, response, writer

T = TypeVar("T")

# One server process imports everything once and forks the children: fast, and without threads.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.archive.killed"])


class Child:
    """A process that writes to an archive as fast as it is synced, until it is killed."""

    def __init__(self, root: Path, seed: int) -> None:
        self._said, said = _context.Pipe(duplex=False)
        self.process: BaseProcess = _context.Process(target=_write, args=(root, seed, said), daemon=True)
        self.process.start()
        said.close()
        self.run = ""
        self.promised: dict[str, int] = {}  # highest seq by feed

    def hear(self, seconds: float) -> bool:
        """Waits for the next promise; False when none came."""
        if not self._said.poll(seconds):
            return False
        self.run, self.promised = self._said.recv()
        return True

    def kill(self) -> None:
        """SIGKILL; afterwards `promised` is complete. Nothing happens when it was killed before."""
        if self._said.closed:
            return
        self.process.kill()
        self.process.join(30)
        try:
            while self.hear(0):
                pass
        except EOFError:
            self._said.close()


@contextmanager
def children(root: Path, seeds: range) -> Iterator[list[Child]]:
    found = [Child(root, seed) for seed in seeds]
    try:
        yield found
    finally:
        for child in found:
            child.kill()


def recover_at_once(root: Path, count: int) -> list[int | None]:
    """Exit codes of that many processes that recover `root` at the same moment."""
    barrier = _context.Barrier(count)
    found = [_context.Process(target=_recover, args=(root, barrier), daemon=True) for _ in range(count)]
    for process in found:
        process.start()
    for process in found:
        process.join(60)
    return [process.exitcode for process in found]


def kill_at_step(root: Path, now: int, step: int) -> int | None:
    """Exit code of a process that compacts and removes, and kills itself before touch `step` of the disk."""
    process = _context.Process(target=_compact, args=(root, now, step), daemon=True)
    process.start()
    process.join(60)
    return process.exitcode


class _Killed(WatchedFiles):
    def __init__(self, step: int) -> None:
        super().__init__()
        self.left = step

    def at(self, operation: str, path: Path, do: Callable[[], T]) -> T:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        return do()


def _compact(root: Path, now: int, step: int) -> None:
    files = _Killed(step)
    store = Store(root, HandClock(now), ArchiveConfig(), files, Ledger(root, files))
    compact(store, 0, 10**9, remove=True)


def _recover(root: Path, barrier: object) -> None:
    barrier.wait(30)  # type: ignore[attr-defined]  # multiprocessing's Barrier has no public class
    recover(root, RealClock())


def _write(root: Path, seed: int, said: Connection) -> None:
    random = Random(seed)
    with writer(root, RealClock(), flush_s=0.01, member_s=0.05, segment_s=0.25) as made:
        run = open_run(made, f"child_{seed}")
        while True:
            for _ in range(random.randrange(1, 20)):
                book = response(
                    run, b'{"noise":"%b"}' % random.randbytes(random.randrange(3000)).hex().encode()
                )
                batch = frames(run, *[random.randbytes(60) for _ in range(30)])
                run.write(book)
                run.write(batch)
            run.flush().result(30)
            said.send((run.name, {"orderbook": book.seq, "stream": batch.frames[-1][1]}))
