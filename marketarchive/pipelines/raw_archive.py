"""Third pipeline: every raw item into the archive's buffer, whose writer thread puts it on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketarchive.collecting.components import needed_run
from marketarchive.collecting.run import Run
from marketarchive.items import RAW

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class RawArchivePipeline:
    """Pipeline that writes raw items; it never waits.

    Back-pressure acts on the spiders, which send no request while the buffer is full.
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
