"""The project's spiders, loaded as Scrapy loads them."""

from __future__ import annotations

from scrapy.settings import Settings
from scrapy.spiderloader import SpiderLoader

import settings.base
from marketarchive.collecting.spider import ArchiveSpider


def project_settings(**more: object) -> Settings:
    found = Settings()
    found.setmodule(settings.base, priority="project")
    found.setdict(more, priority="cmdline")
    return found


def spiders() -> dict[str, type[ArchiveSpider]]:
    loader = SpiderLoader.from_settings(project_settings())
    loaded = {name: loader.load(name) for name in loader.list()}
    return {name: spider for name, spider in loaded.items() if issubclass(spider, ArchiveSpider)}
