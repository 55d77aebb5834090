"""Lock that lets one catalogue phase of a platform run at a time, among all processes of an OUTPUT_DIR."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from marketarchive.archive.locks import try_lock

FOLDER = "catalog"
"""Folder in OUTPUT_DIR with a lock file for each platform; the phase that runs holds it locked."""
LOOK_AGAIN_S = 0.1
"""Seconds (wall) between two attempts to lock."""


@asynccontextmanager
async def turn(root: Path, venue: str, stop: asyncio.Event) -> AsyncIterator[bool]:
    """Wait until no other phase of `venue` runs on this OUTPUT_DIR and lock it.

    Yield False if `stop` is set first.

    root: OUTPUT_DIR. The lock ends with the block, or with the process. Raises OSError when the lock file
    cannot be made.
    """
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    handle = os.open(root / FOLDER / f"{venue}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while not (is_ours := try_lock(handle)) and not stop.is_set():  # noqa: ASYNC110  (a file has no event)
            await asyncio.sleep(LOOK_AGAIN_S)
        yield is_ours and not stop.is_set()
    finally:
        os.close(handle)  # and the lock with it
