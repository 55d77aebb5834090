"""Parts for Scrapy settings that hold a run up: items that are slow or stuck, a start that waits.

What holds makes the file that HOLD_FILE of the environment names, so that a test knows when it does.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from scrapy.resolver import CachingThreadedResolver

from settings import base

HOLD_S = 0.5
"""Seconds (wall) that a slow item spends in the pipelines."""


def hold_file() -> Path:
    return Path(os.environ["HOLD_FILE"])


class SlowPipeline:
    """Some item is always in flight."""

    async def process_item(self, item: Any) -> Any:
        await asyncio.sleep(HOLD_S)
        return item


class StuckPipeline:
    """No item ever passes."""

    async def process_item(self, item: Any) -> Any:
        hold_file().touch()
        await asyncio.Event().wait()


class BlockingPipeline:
    """The first item blocks the event loop for good."""

    def process_item(self, item: Any) -> Any:
        hold_file().touch()
        while True:
            time.sleep(1)


class WaitingResolver(CachingThreadedResolver):
    """Made after the crawl was ordered and before the event loop runs: waits there until the file is gone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hold = hold_file()
        hold.touch()
        while hold.exists():
            time.sleep(0.02)


def pipelines(first: type) -> dict[str, int]:
    """Return ITEM_PIPELINES with one more at its head."""
    return {f"{first.__module__}.{first.__qualname__}": 0, **base.ITEM_PIPELINES}
