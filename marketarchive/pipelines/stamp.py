"""Second pipeline: set the time of receipt, the run and the program on every item made from a message.

The time of receipt was taken when the message's bytes arrived; here it is only formatted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketarchive.collecting.components import needed_run
from marketarchive.collecting.run import Run
from marketarchive.items import Derived
from marketarchive.times import iso
from marketarchive.version import COLLECTOR

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class StampPipeline:
    """Pipeline that sets `collected_at_utc`, `run` and `collector` of items made from messages."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> StampPipeline:
        return cls(needed_run(crawler))

    def process_item(self, item: Any) -> Any:
        if not isinstance(item, Derived):
            return item
        stamp = {
            "collected_at_utc": iso(item.received_at),
            "run": self._run.archive.run,
            "collector": COLLECTOR,
        }
        return item.model_copy(update=stamp)
