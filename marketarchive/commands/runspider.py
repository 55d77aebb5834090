"""`scrapy runspider FILE`: Scrapy's command, which refuses spiders of the archive."""

from __future__ import annotations

from scrapy import Spider
from scrapy.commands import runspider
from scrapy.crawler import Crawler
from scrapy.exceptions import UsageError

from marketarchive.collecting.plan_spider import PlanSpider
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.configured import ConfiguredCommand
from marketarchive.invocation import command


class Command(ConfiguredCommand, runspider.Command):
    def _create_crawler(self, spidercls: type[Spider] | str) -> Crawler:
        if isinstance(spidercls, type) and issubclass(spidercls, PlanSpider):
            raise UsageError(spidercls.refusal(), print_help=False)
        if isinstance(spidercls, type) and issubclass(spidercls, ArchiveSpider):
            raise UsageError(
                f"{spidercls.name} is a spider of the archive: put its file into marketarchive/spiders/ and "
                f"run `{command('crawl', spidercls.name)}`, which seals what it writes",
                print_help=False,
            )
        return super()._create_crawler(spidercls)
