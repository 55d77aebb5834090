"""Spider name for a plan, so that `scrapy crawl NAME` starts the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from scrapy import Spider

from marketarchive.exceptions import ArgumentError
from marketarchive.invocation import command

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class PlanSpider(Spider):
    """Spider that stands for a plan in `scrapy list`: a subclass sets `name` and `plan`.

    It requests nothing itself. Our `crawl` runs the plan, with the arguments that the plan takes; another
    launcher gets an error, since an empty run would look like one that found nothing.
    """

    plan: ClassVar[str]

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:  # noqa: ARG003  (Scrapy's)
        raise ArgumentError(cls.refusal())

    @classmethod
    def refusal(cls) -> str:
        """Return the error message for a launcher that cannot run plans: it names the command that can."""
        return f"{cls.name} is a plan of several spiders: start it with `{command('crawl', cls.name)}`"
