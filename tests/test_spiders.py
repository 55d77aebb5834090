"""What holds for every spider: names, documentation, arguments."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.exceptions import ArgumentError
from marketarchive.venues import venues
from tests.spiders_under_test import spiders

ALL = spiders()
KEYS = ["Source", "Arguments", "Cadence", "Caveats"]


@pytest.fixture(params=sorted(ALL))
def spider(request: pytest.FixtureRequest) -> type[ArchiveSpider]:
    return ALL[request.param]


def test_the_spiders_are_there() -> None:
    assert set(ALL) >= {"polymarket_markets", "polymarket_orderbook", "polymarket_resolutions"}


def test_file_spider_and_class_have_one_name(spider: type[ArchiveSpider]) -> None:
    assert Path(inspect.getfile(spider)).stem == spider.name
    assert spider.__name__ == "".join(part.capitalize() for part in spider.name.split("_"))
    assert spider.name.startswith(f"{spider.venue}_")
    assert spider.venue in venues()


def test_feeds_are_declared(spider: type[ArchiveSpider]) -> None:
    assert spider.feed in spider.feeds


def test_a_spider_is_a_declaration(spider: type[ArchiveSpider]) -> None:
    lines = Path(inspect.getfile(spider)).read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) <= 80


def test_the_docstring_has_the_four_keys_in_order(spider: type[ArchiveSpider]) -> None:
    doc = inspect.getdoc(spider) or ""
    first, _, rest = doc.partition("\n")
    assert first.endswith(".")
    assert re.findall(r"^(\w+): \S", rest, re.MULTILINE) == KEYS


def test_every_argument_is_documented_and_no_other(spider: type[ArchiveSpider]) -> None:
    line = re.search(r"^Arguments: (.*)$", inspect.getdoc(spider) or "", re.MULTILINE)
    assert line is not None
    named = re.findall(r"(?:^|, )(\w+)(?=,|$)", re.sub(r" ?\([^)]*\)", "", line[1]))
    assert set(named) == {each.name for each in spider.accepts}


def test_an_unknown_argument_is_refused(spider: type[ArchiveSpider]) -> None:
    with pytest.raises(ArgumentError, match=f"{spider.name} has no argument 'colour'"):
        spider.check_arguments({"colour": "red"})
