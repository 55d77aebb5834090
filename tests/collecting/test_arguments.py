"""Spider arguments: what they mean, and what a wrong one is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.collecting.arguments import (
    AHEAD,
    ASSETS,
    DURATION,
    DURATIONS,
    INTERVAL,
    MARKETS,
    SHARD,
    SINCE,
    Arguments,
    parse_arguments,
)
from marketarchive.exceptions import ArgumentError

ALL = (ASSETS, DURATIONS, MARKETS, INTERVAL, DURATION, AHEAD, SINCE, SHARD)


def parse(**given_: str) -> Arguments:
    return parse_arguments(given_, ALL, "some_spider")


def test_what_listens_takes_a_duration_without_an_interval() -> None:
    found = parse_arguments({"duration": "1h"}, ALL, "some_spider", is_one_pass=False)
    assert (found.interval, found.duration) == (None, 3600.0)


def test_every_argument_has_its_meaning() -> None:
    found = parse(
        assets="btc, ETH,btc",
        durations="5m,daily",
        interval="1s",
        duration="1h",
        ahead="90",
        since="2d",
        shard="1/4",
    )
    assert found.assets == ("BTC", "ETH")
    assert found.durations == ("5m", "1d")
    assert (found.interval, found.duration, found.ahead, found.since) == (1.0, 3600.0, 90.0, 172800.0)
    assert found.shard == (1, 4)
    assert parse(markets="a-slug,b-slug").markets == ("a-slug", "b-slug")
    assert parse(markets="all").markets == ()
    assert parse() == Arguments()


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"asset": "BTC"}, r"has no argument 'asset'; it takes ahead, assets"),
        ({"assets": ""}, "assets='' is an empty list"),
        ({"assets": "B T C"}, "'B T C' is not an asset symbol like BTC"),
        ({"durations": "7m"}, "'7m' is not one of 5m, 15m, 1h, 4h, 1d"),
        ({"interval": "soon"}, "interval='soon' is not a time span like 1s"),
        ({"interval": "50ms"}, "under 100ms"),
        ({"interval": "-1s"}, "is not a time span"),
        ({"interval": "nan"}, "is not a time span"),
        ({"duration": "1h"}, "needs an interval"),
        ({"shard": "4/4"}, "is not i/n with 0 <= i < n"),
        ({"shard": "1"}, "is not i/n"),
    ],
)
def test_a_wrong_argument_is_named_with_its_remedy(given_: dict[str, str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        parse(**given_)


@given(st.text(), st.integers(min_value=1, max_value=9))
def test_shards_split_and_never_overlap(key: str, shards: int) -> None:
    assert sum(Arguments(shard=(shard, shards)).in_shard(key) for shard in range(shards)) == 1
