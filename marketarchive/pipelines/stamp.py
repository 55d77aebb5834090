"""Second pipeline: says on every derived item when it was collected, by which run and program.

Raw items carry their time from the moment their bytes arrived; it is only written out here, never taken.
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
