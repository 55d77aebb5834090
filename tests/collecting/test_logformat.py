"""Log lines about items: none is made where nobody would see it."""

from __future__ import annotations

import pytest
from scrapy import Spider
from scrapy.utils.test import get_crawler

from marketarchive.collecting.logformat import QuietLogFormatter


@pytest.mark.parametrize(("level", "is_shown"), [("DEBUG", True), (10, True), ("INFO", False), (40, False)])
def test_an_item_that_passes_is_named_at_debug_alone(level: str | int, *, is_shown: bool) -> None:
    formatter = QuietLogFormatter.from_crawler(get_crawler(Spider, {"LOG_LEVEL": level}))
    found = formatter.scraped({"price": 1}, None, None)
    assert (found is not None) == is_shown
    assert found is None or found["args"] == {"item": "dict"}
