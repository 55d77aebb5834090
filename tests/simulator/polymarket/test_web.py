from __future__ import annotations

from typing import Any

import pytest

from marketarchive.simulator.messages import Reply, SimRequest
from marketarchive.simulator.polymarket import WEB_HOST
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.times import SECOND, iso
from tests.simulator.requesting import SECONDS, json_of, venue

PATH = "/api/crypto/crypto-price"
VARIANTS = {"5m": "fiveminute", "15m": "fifteen", "1h": "hourly", "4h": "fourhour", "1d": "daily"}
MS = SECOND // 1000


def request_of(market: SimMarket, *, twap: bool = True) -> dict[str, str]:
    assert market.asset is not None
    assert market.duration is not None
    query = {
        "symbol": market.asset,
        "eventStartTime": iso((market.start or 0) * SECOND),
        "endDate": iso(market.end * SECOND),
        "variant": VARIANTS[market.duration],
    }
    if twap and market.twap_s:
        query |= {"twapEnabled": "true", "twapLookbackSeconds": str(market.twap_s)}
    return query


def fetch(query: dict[str, str], at_ms: int, path: str = PATH) -> Reply:
    return venue().answer(SimRequest("GET", WEB_HOST, path, tuple(query.items())), at_ms * MS)


def rounds() -> list[SimMarket]:
    """One of each asset and duration."""
    listed = (each for each in venue().world.listed(SECONDS) if each.kind == "round")
    return list({(each.asset, each.duration): each for each in listed}.values())


@pytest.mark.parametrize("market", rounds(), ids=lambda market: market.slug)
def test_both_prices_are_those_of_the_rule(market: SimMarket) -> None:
    start, end = market.start or 0, market.end
    world, query = venue().world, request_of(market)
    strike, settlement = world.strike(market), world.settlement(market)
    assert strike is not None
    assert settlement is not None
    pending: dict[str, Any] = {
        "openPrice": None,
        "closePrice": None,
        "timestamp": 0,
        "completed": False,
        "incomplete": True,
        "cached": False,
    }
    assert json_of(fetch(query, start * 1000 + 1999)) == pending
    opened = json_of(fetch(query, start * 1000 + 3000))
    assert list(opened) == list(pending)
    assert (opened["openPrice"], opened["closePrice"]) == (strike / 10**18, None)
    assert (opened["completed"], opened["incomplete"]) == (False, True)
    assert json_of(fetch(query, end * 1000 + 1999))["closePrice"] is None
    closed = json_of(fetch(query, end * 1000 + 3000))
    assert (closed["openPrice"], closed["closePrice"]) == (strike / 10**18, settlement / 10**18)
    assert (closed["completed"], closed["incomplete"]) == (True, False)
    assert end * 1000 + 2000 <= closed["timestamp"] <= end * 1000 + 3000


def test_without_the_parameters_of_the_average_it_is_spot() -> None:
    market = next(each for each in rounds() if each.twap_s)
    told = json_of(fetch(request_of(market, twap=False), market.end * 1000 + 9000))
    prices, asset = venue().world.prices, market.asset or ""
    assert told["openPrice"] == prices.spot(asset, market.start or 0) / 10**18
    assert told["closePrice"] != json_of(fetch(request_of(market), market.end * 1000 + 9000))["closePrice"]


def test_an_answer_is_kept_for_a_while() -> None:
    market = rounds()[0]
    late = (market.end + 60) * 1000
    first, again = (json_of(fetch(request_of(market), late + ms)) for ms in (1, 4999))
    assert first == again
    assert first["cached"]
    assert json_of(fetch(request_of(market), late + 5000))["timestamp"] == late + 5000


def test_milliseconds_in_the_start_and_a_missing_end() -> None:
    market = next(each for each in rounds() if each.duration == "15m")
    query = request_of(market)
    whole = fetch(query, market.end * 1000 + 9000)
    query["eventStartTime"] = query["eventStartTime"].split(".")[0].rstrip("Z") + ".000Z"
    del query["endDate"]
    assert fetch(query, market.end * 1000 + 9000).body == whole.body


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbol": "DOGE"},
        {"variant": "minute"},
        {"eventStartTime": "noon"},
        {"twapEnabled": "true", "twapLookbackSeconds": "7"},
    ],
)
def test_wrong_questions(wrong: dict[str, str]) -> None:
    assert fetch(request_of(rounds()[0]) | wrong, SECONDS * 1000).status == 400


def test_other_routes_and_the_limit() -> None:
    assert fetch({}, SECONDS * 1000, "/api/nothing").status == 404
    assert venue().limit(SimRequest("GET", WEB_HOST, PATH)) == ("web", 3)
