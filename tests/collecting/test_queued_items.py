"""What a spider has put can be looked at until it is handed over, and is handed over all the same."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from marketarchive.collecting.spider import ArchiveSpider
from tests.collecting.streams import at_work


class Numbers(ArchiveSpider):
    """Puts three numbers."""

    name = "numbers"
    venue = "polymarket"
    feed = "markets"
    feeds = ("markets",)
    accepts = ()

    async def main(self) -> None:
        self.put(1, 2)
        self.put(3)


async def test_what_is_looked_at_is_handed_over_in_order(tmp_path: Path) -> None:
    async with at_work(Numbers, tmp_path) as spider:
        started = spider.start()
        assert isinstance(started, AsyncGenerator)
        async with aclosing(started) as handed_over:
            for first in (1, 2, 3):
                assert await anext(handed_over) == first
                left = list(range(first + 1, 4))
                assert spider.queued_items() == left
                assert spider.queued_items() == left


async def test_what_a_spider_was_cut_off_from_is_queued_until_it_is_given_back(tmp_path: Path) -> None:
    async with at_work(Numbers, tmp_path) as spider:
        assert spider.queued_items() == []
        await spider.main()
        spider.cut_off()
        spider.put(4)
        assert spider.queued_items() == [1, 2, 3, 4]
        assert spider.abandon() == [1, 2, 3, 4]
        assert spider.queued_items() == []
