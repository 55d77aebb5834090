"""Scrapy's spider loader (setting `SPIDER_LOADER_CLASS`), without importing all spiders to run one."""

from __future__ import annotations

import builtins
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from typing import Self

from scrapy import Request, Spider, spiderloader
from scrapy.settings import BaseSettings
from scrapy.utils.spider import iter_spider_classes

PACKAGE = "marketarchive.spiders."


class SpiderLoader:
    """Loader that imports only the module of a spider's own name, if all SPIDER_MODULES are this package's.

    In all other cases it is Scrapy's own, which imports all modules.
    """

    def __init__(self, settings: BaseSettings) -> None:
        self._settings = settings
        modules = settings.getlist("SPIDER_MODULES")
        self._own = {module for module in modules if all(each.startswith(PACKAGE) for each in modules)}

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Self:
        return cls(settings)

    @cached_property
    def _all(self) -> spiderloader.SpiderLoader:
        return spiderloader.SpiderLoader.from_settings(self._settings)

    def load(self, spider_name: str) -> type[Spider]:
        """Return the spider class of a name. Raises KeyError."""
        module = PACKAGE + spider_name
        if module in self._own:
            with suppress(ImportError, SyntaxError):  # Scrapy's loader warns of it
                for found in iter_spider_classes(import_module(module)):
                    if found.name == spider_name:
                        return found
        return self._all.load(spider_name)

    def find_by_request(self, request: Request) -> builtins.list[str]:
        """Return the names of all spiders that may handle a request."""
        return self._all.find_by_request(request)

    def list(self) -> builtins.list[str]:
        """Return the names of all spiders."""
        return self._all.list()
