"""First pipeline: pass valid items on; archive an `invalid` line for others, beside their message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.exceptions import DropItem

from marketarchive.collecting.components import needed_run
from marketarchive.collecting.run import Run
from marketarchive.items import RAW, Derived, Invalid, Row

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class ValidatePipeline:
    """Pipeline that checks whether the fields of an item agree; each field was checked when it was made."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ValidatePipeline:
        return cls(needed_run(crawler))

    def process_item(self, item: Any) -> Any:
        if isinstance(item, Invalid):
            self._run.stats.inc_value(f"invalid/{item.item}")
            return item
        if isinstance(item, RAW):
            return item
        if not isinstance(item, Derived):
            raise DropItem(
                f"{type(item).__name__} is not an item of this project; see marketarchive/items.py"
            )
        problem = item.problem()
        if problem is None:
            return item
        name, (field, text) = type(item).__name__, problem
        self._run.stats.inc_value(f"invalid/{name}")
        self._run.archive.write(
            Invalid(item.venue, item.feed, item.received_at, item.seq, name, f"{field}: {text}", (field,))
        )
        row = item.unobserved() if isinstance(item, Row) else None
        if row is None:
            raise DropItem(f"{field}: {text}")
        return row
