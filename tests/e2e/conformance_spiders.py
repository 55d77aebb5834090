"""The project's streams with a fault of our own to order, for the conformance suite.

POISON_AT: Unix seconds from which on the next message that is looked at raises, once. RENEW_S: a connection
so old is renewed.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from scrapy.utils.spider import iter_spider_classes

from marketarchive import spiders
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.times import SECOND
from marketarchive.venues.channel import Session, Update


class Poisoned:
    """A session that raises once."""

    def __init__(self, session: Session, spider: Conforming) -> None:
        self._session = session
        self._spider = spider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def apply(self, received_at: int, seq: int, payload: bytes, **more: Any) -> Sequence[Update]:
        poison_at = self._spider.poison_at
        if poison_at is not None and received_at >= poison_at and len(payload) > len("PONG"):
            self._spider.poison_at = None
            raise RuntimeError("poisoned")
        return self._session.apply(received_at, seq, payload, **more)


class Conforming(StreamSpider):
    """Put it before a stream."""

    poison_at: int | None = None

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> Any:
        spider = super().from_crawler(crawler, *args, **kwargs)
        if (at := crawler.settings.get("POISON_AT")) is not None:
            spider.poison_at = int(float(at) * SECOND)
        if (renew_s := crawler.settings.get("RENEW_S")) is not None:
            vars(spider)["channel"] = replace(spider.channel, renew_s=float(renew_s))
        return spider

    def new_session(self) -> Any:
        return Poisoned(super().new_session(), self)


def _streams() -> Iterator[type[StreamSpider]]:
    for found in pkgutil.iter_modules(spiders.__path__, f"{spiders.__name__}."):
        for spider in iter_spider_classes(import_module(found.name)):
            if issubclass(spider, StreamSpider):
                yield spider


for _stream in _streams():
    globals()[_stream.__name__] = type(_stream.__name__, (Conforming, _stream), {"__module__": __name__})
