"""A thread that writes items into the master, so that a slow or broken database does not delay collecting."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from marketarchive.exceptions import ConfigurationError, MasterError
from marketarchive.items import Cycle
from marketarchive.master.observation import MasterItem, observe
from marketarchive.master.store import MasterStore

logger = logging.getLogger(__name__)

BATCH = 1000  # items in one transaction
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
LOOK_S = 0.1  # wall, between two checks of how far the raw archive is on the disk


class Feeder:
    """Queue of items for the master that never blocks.

    Its thread writes them in batches and retries on errors. An item waits until its raw line is on the disk,
    so that after a kill or a power cut the master has nothing that the raw archive lacks.

    It counts `rows_upserted`, `changes` (journal entries), `errors` (failed attempts) and `rows_skipped`
    (items not written: the queue was full, the database rejects the item, or time was up). Skipped items are
    in the raw archive: `scrapy rebuild-master --since` adds them.
    """

    def __init__(self, store: MasterStore, limit: int, is_synced: Callable[[int], bool]) -> None:
        """Create an empty queue.

        store: where items are written; limit: how many items may wait; is_synced: returns whether the raw
        archive is on the disk up to a mark, as `RunArchive.is_synced`.
        """
        self._store = store
        self._limit = limit
        self._is_synced = is_synced
        self._waiting: deque[tuple[int, MasterItem | Cycle]] = deque()
        self._in_hand = 0  # number of items taken from the queue and not yet written
        self._counts: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._deadline: float | None = None  # monotonic: set when closing
        self._reported: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="market-master", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, item: MasterItem | Cycle, mark: int) -> None:
        """Queue an item for the master; a full queue only counts it.

        mark: of the archive, after its raw line.
        """
        with self._changed:
            if len(self._waiting) < self._limit:
                self._waiting.append((mark, item))
                self._changed.notify()
            else:
                self._counts["rows_skipped"] += 1

    def counts(self) -> dict[str, int]:
        with self._changed:
            return dict(self._counts)

    def close(self, timeout_s: float) -> dict[str, int]:
        """Write the waiting items, for at most `timeout_s` wall seconds, and end the thread.

        Items whose raw lines are not on the disk are not written. Returns the final counts by name.
        """
        with self._changed:
            self._deadline = time.monotonic() + timeout_s
            self._changed.notify()
        self._thread.join(timeout_s)
        with self._changed:
            left = len(self._waiting) + self._in_hand
            self._waiting.clear()
            self._in_hand = 0
            self._counts["rows_skipped"] += left
            return dict(self._counts)

    # ---- the thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while batch := self._take():
            self._deliver(batch)
        self._store.close()

    def _take(self) -> list[MasterItem | Cycle]:
        """Wait for items and take a batch.

        An empty list when the queue is closing and none is left, or time is up.
        """
        with self._changed:
            while not self._is_next_synced() and self._deadline is None:
                self._changed.wait(LOOK_S if self._waiting else None)
            if self._left() <= 0:
                return []
            batch: list[MasterItem | Cycle] = []
            while len(batch) < BATCH and self._is_next_synced():
                batch.append(self._waiting.popleft()[1])
            self._in_hand = len(batch)
            return batch

    def _is_next_synced(self) -> bool:
        return bool(self._waiting) and self._is_synced(self._waiting[0][0])

    def _left(self) -> float:
        """Return the wall seconds until the timeout of `close`; infinity before `close` is called."""
        return float("inf") if self._deadline is None else self._deadline - time.monotonic()

    def _deliver(self, batch: Sequence[MasterItem | Cycle]) -> None:
        wait = FIRST_WAIT_S
        while True:
            try:
                written = self._store.write(
                    [observe(item) for item in batch if not isinstance(item, Cycle)],
                    [item for item in batch if isinstance(item, Cycle)],
                )
            except (MasterError, ConfigurationError) as error:
                self._count(errors=1)
                self._log_once(str(error))
                if not self._pause(wait):
                    self._count(rows_skipped=len(batch), done=len(batch))
                    return
                wait = min(2 * wait, LONGEST_WAIT_S)
            except Exception as error:  # one item of the batch cannot be stored: find it, keep the others
                if len(batch) == 1:
                    self._count(errors=1, rows_skipped=1, done=1)
                    self._log_once(f"the market master cannot store a {type(batch[0]).__name__}: {error}")
                else:
                    for item in batch:
                        self._deliver([item])
                return
            else:
                skipped = len(written.unplaced)  # headlines of markets that the master has lost meanwhile
                self._count(rows_upserted=written.rows, changes=written.changes, done=len(batch))
                if skipped:
                    self._count(rows_skipped=skipped)
                return

    def _pause(self, seconds: float) -> bool:
        """Wait before another attempt; return False when no time is left for one."""
        with self._changed:
            until = time.monotonic() + seconds
            while (left := min(until - time.monotonic(), self._left())) > 0:
                self._changed.wait(left)
            return self._left() > 0

    def _count(self, *, done: int = 0, **counts: int) -> None:
        with self._changed:
            self._in_hand = max(0, self._in_hand - done)
            self._counts.update(counts)

    def _log_once(self, cause: str) -> None:
        """Log an error's text the first time that it occurs."""
        if cause not in self._reported:
            self._reported.add(cause)
            logger.error("%s", cause)
