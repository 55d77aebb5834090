"""A run lasts as long as it was asked to, whatever our clock does, and leaves nothing in memory."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from scrapy.crawler import Crawler
from scrapy.utils.test import get_crawler

from marketarchive.collecting.extension import RunExtension
from marketarchive.collecting.process import Process
from tests.collecting.letters import Letters
from tests.collecting.streams import at_work, step_clock
from tests.spiders_under_test import project_settings


async def test_a_step_of_our_clock_does_not_change_how_long_a_run_lasts(tmp_path: Path) -> None:
    async with at_work(Letters, tmp_path, duration="60s") as spider:
        step_clock(spider, -3600)
        left = spider.run.left_s
        assert left is not None
        assert 50 < left <= 60
        step_clock(spider, 7200)
        left = spider.run.left_s
        assert left is not None
        assert 50 < left <= 60


async def test_an_ended_run_leaves_nothing_of_its_crawler(tmp_path: Path) -> None:
    settings = {**project_settings(OUTPUT_DIR=str(tmp_path)), "TWISTED_REACTOR_ENABLED": False}

    async def crawl() -> weakref.ref[Crawler]:
        crawler = get_crawler(Letters, settings)
        crawler.spider = Letters.from_crawler(crawler)
        extension = RunExtension.from_crawler(crawler)
        extension.spider_opened()
        await extension.spider_closed("finished")
        return weakref.ref(crawler)

    try:
        kept = [await crawl() for _ in range(3)]
        gc.collect()
        assert [crawler() for crawler in kept] == [None] * 3
    finally:
        Process.close_all()
