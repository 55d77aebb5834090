"""Name of the spider that the running code works for, to begin log lines of a process with several feeds.

A context variable holds the name: tasks and callbacks inherit the context in which they are made, so
everything that starts within a crawl belongs to its spider.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_FEED: ContextVar[str] = ContextVar("feed", default="")


def current_feed() -> str:
    """Return the name of the spider that the running code works for; "" where it works for none."""
    return _FEED.get()


@contextmanager
def working_for(spider: str) -> Iterator[None]:
    """Attribute all tasks that start within the block, and their log lines, to `spider`."""
    before = _FEED.set(spider)
    try:
        yield
    finally:
        _FEED.reset(before)


def name_feeds() -> None:
    """Begin every log line of this process with the name of the spider that it belongs to, if any."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Naming):
        logging.setLogRecordFactory(_Naming(make))


class _Naming:
    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        if feed := current_feed():
            record.msg = f"{feed}: {record.msg}"
        return record
