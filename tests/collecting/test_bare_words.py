"""Words without the option that they need are told how to be written."""

from __future__ import annotations

import pytest
from scrapy.exceptions import UsageError

from marketarchive.collecting.bare_words import as_options, as_spider_arguments, sort_words
from marketarchive.commands.crawl import spider_name, unknown_spider

NAMES = ["chainlink_streams", "polymarket_orderbook", "polymarket_stream", "polymarket_trades"]


@pytest.mark.parametrize(
    ("words", "alone", "arguments"),
    [
        ([], [], {}),
        (["polymarket_orderbook"], ["polymarket_orderbook"], {}),
        (["one", "assets=BTC", "durations=5m"], ["one"], {"assets": "BTC", "durations": "5m"}),
        (["--assets", "BTC", "one"], ["one"], {"assets": "BTC"}),
        (["one", "--assets=BTC,ETH"], ["one"], {"assets": "BTC,ETH"}),
        (["one", "--loud"], ["one", "--loud"], {}),
        (["=BTC"], ["=BTC"], {}),
    ],
)
def test_words_are_names_or_arguments(words: list[str], alone: list[str], arguments: dict[str, str]) -> None:
    assert sort_words(words) == (alone, arguments)


def test_arguments_are_written_as_a_shell_takes_them() -> None:
    given = {"assets": "BTC", "markets": "a b"}
    assert as_spider_arguments(given) == "-a assets=BTC -a 'markets=a b'"
    assert as_options(given) == "--assets BTC --markets 'a b'"


@pytest.mark.parametrize("args", [["one", "assets=BTC"], ["assets=BTC", "one"], ["one", "--assets", "BTC"]])
def test_an_argument_without_its_option_is_told_how_to_be_written(args: list[str]) -> None:
    with pytest.raises(UsageError, match="write -a assets=BTC: "):
        spider_name(args)


@pytest.mark.parametrize("args", [[], ["one", "two"], ["one", "--loud"]])
def test_one_spider_is_named(args: list[str]) -> None:
    with pytest.raises(UsageError, match="name one spider"):
        spider_name(args)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("polymarket_orderbok", "polymarket_orderbook"),
        ("polymarket-trades", "polymarket_trades"),
        ("chainlink", "chainlink_streams"),
        ("trades", "polymarket_trades"),
    ],
)
def test_the_nearest_spider_is_named(name: str, meant: str) -> None:
    assert f"there is no spider {name!r}; did you mean {meant}?" in unknown_spider(name, NAMES)


def test_none_is_named_that_is_far() -> None:
    text = unknown_spider("xyz", NAMES)
    assert "did you mean" not in text
    assert "list` shows all" in text
