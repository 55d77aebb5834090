"""Third pipeline: put every raw item into the archive's buffer, from which a thread writes it to the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketarchive.collecting.components import needed_run
from marketarchive.collecting.run import Run
from marketarchive.items import RAW

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class RawArchivePipeline:
    """Pipeline that gives raw items to the archive; it never waits.

    When the buffer is full, spiders hold back their requests; the pipeline accepts every item.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> RawArchivePipeline:
        return cls(needed_run(crawler))

    def process_item(self, item: Any) -> Any:
        if isinstance(item, RAW):
            self._run.archive.write(item)
        return item
