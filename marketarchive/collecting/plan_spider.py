"""A plan that is started by a spider's name: `scrapy crawl NAME`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from scrapy import Spider

from marketarchive.exceptions import ArgumentError
from marketarchive.invocation import command

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class PlanSpider(Spider):
    """Use it to give a plan a place in `scrapy list`: a subclass states `name` and `plan`.

    It requests nothing itself. Our `crawl` runs the plan, with the arguments that the plan takes; whoever
    else starts it is told so, since an empty run would look like one that found nothing.
    """

    plan: ClassVar[str]

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:  # noqa: ARG003  (Scrapy's)
        raise ArgumentError(cls.refusal())

    @classmethod
    def refusal(cls) -> str:
        """Return what another launcher is told."""
        return f"{cls.name} is a plan of several spiders: start it with `{command('crawl', cls.name)}`"
