"""One phase of a platform at a time, in whatever process it runs."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from marketarchive.clock import Clock, sleep

FOLDER = "catalog"
"""Of OUTPUT_DIR; a file for each platform, held locked by the phase that runs."""
LOOK_AGAIN_S = 0.2
"""Seconds (project clock) between two tries."""


@asynccontextmanager
async def turn(root: Path, venue: str, clock: Clock, stop: asyncio.Event) -> AsyncIterator[bool]:
    """Wait until no other phase of `venue` runs on this OUTPUT_DIR; False when `stop` was set before.

    A process that dies gives its turn up. Raises OSError when the file cannot be made.
    """
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    handle = os.open(root / FOLDER / f"{venue}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while not (is_ours := _lock(handle)):
            if not await sleep(clock, LOOK_AGAIN_S, stop):
                break
        yield is_ours and not stop.is_set()
    finally:
        os.close(handle)  # and the lock with it


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
