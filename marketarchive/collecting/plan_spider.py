"""A plan that is started by a spider's name: `scrapy crawl NAME`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from scrapy import Spider

from marketarchive.exceptions import ArgumentError
from marketarchive.invocation import command

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class PlanSpider(Spider):
    """Spider that starts a plan, so that it stands in `scrapy list`: a subclass sets `name` and `plan`.

    It requests nothing itself. Our `crawl` runs the plan, with the arguments that the plan takes; another
    launcher gets an error, since an empty run would look like one that found nothing.
    """

    plan: ClassVar[str]

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:  # noqa: ARG003  (Scrapy's)
        raise ArgumentError(cls.refusal())

    @classmethod
    def refusal(cls) -> str:
        """Return the error message for another launcher."""
        return f"{cls.name} is a plan of several spiders: start it with `{command('crawl', cls.name)}`"
