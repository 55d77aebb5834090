"""The live: what is told of rounds, rows and gaps as their items pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

from marketarchive.collecting.together.listener import Observation, Share, Traffic
from marketarchive.items import Frames, Gap, Market, ReferencePrice, Resolution
from marketarchive.plans.updown.live_rounds import LATE_S, REMEMBERED_S, LiveRounds
from marketarchive.scope import Scope
from marketarchive.times import SECOND, utc
from marketarchive.venues.polymarket.rows import Quote

START = 1_795_168_800 * SECOND


def market(number: int, asset: str = "BTC", status: Literal["active", "resolved"] = "active") -> Market:
    start = START + number * 300 * SECOND
    return Market(
        venue="polymarket",
        feed="markets",
        received_at=START,
        seq=1,
        platform="polymarket",
        market_id=f"{asset}-{number}",
        slug=f"{asset.lower()}-updown-5m-{start // SECOND}",
        asset=asset,
        duration="5m",
        start_at=utc(start),
        end_at=utc(start + 300 * SECOND),
        status=status,
    )


def quote(of: Market, second: int, *, is_observed: Literal[0, 1] = 1, preopen: Literal[0, 1] = 0) -> Quote:
    return Quote(
        venue="polymarket",
        feed="stream",
        received_at=START,
        seq=1,
        timestamp=utc(START + second * SECOND),
        asset=of.asset,
        market_id=str(of.slug),
        condition_id=of.market_id,
        up_bid=Decimal("0.5") if is_observed else None,
        is_observed=is_observed,
        preopen=preopen,
        source="stream",
    )


def gap(**scope: Any) -> Gap:
    return Gap(
        "polymarket",
        "stream",
        START,
        1,
        START,
        START + SECOND,
        Scope.read("polymarket", "stream", scope),
        "stall",
        "venue",
    )


def test_the_round_under_way_is_the_one_whose_time_it_is() -> None:
    live = LiveRounds(["BTC", "ETH"], ["5m"], START)
    for each in (market(0), market(1), market(0, "ETH"), market(0, "SOL")):
        live.apply(each)
    one = live.series["BTC", "5m"]
    last, first = one.at(START + 299 * SECOND), one.at(START + 300 * SECOND)
    assert last is not None
    assert first is not None
    assert (last.market_id, first.market_id) == ("BTC-0", "BTC-1")
    assert one.at(START - 1) is None
    assert set(live.series) == {("BTC", "5m"), ("ETH", "5m")}, "assets that nobody asked for have none"


def test_only_seconds_of_a_round_count_for_its_share() -> None:
    live = LiveRounds(["BTC"], ["5m"], START)
    known = market(0)
    live.apply(known)
    live.apply(quote(known, -1, preopen=1))
    live.apply(quote(known, 0))
    live.apply(quote(known, 1, is_observed=0))
    one = live.series["BTC", "5m"]
    share = one.share(one.rounds[str(known.slug)], START + 2 * SECOND)
    assert (share.observed, share.due, share.joined_ns, share.value) == (1, 2, None, 0.5)


def followed(begin: int, seconds: Iterable[int], now: int, number: int = 0) -> Share:
    """The share of a round whose collector began at `begin`, with observed rows of `seconds`."""
    live = LiveRounds(["BTC"], ["5m"], START + begin * SECOND)
    known = market(number)
    live.apply(known)
    for second in seconds:
        live.apply(quote(known, second))
    one = live.series["BTC", "5m"]
    return one.share(one.rounds[str(known.slug)], START + now * SECOND)


def test_a_round_joined_late_is_counted_from_then_on_and_says_so() -> None:
    share = followed(117, range(120, 240), 245)
    assert (share.observed, share.due) == (120, 120)
    assert share.joined_ns == START + 120 * SECOND


def test_seconds_without_a_row_count_as_not_observed_once_they_are_late() -> None:
    assert followed(0, range(100), 100 + LATE_S).due == 100
    assert followed(0, range(100), 150 + LATE_S).due == 150
    assert followed(0, range(100), 9000).due == 300, "a round ends"
    assert followed(0, [*range(100), *range(160, 200)], 200).due == 200, "a feed that was down and is back"


def test_before_the_first_row_a_round_is_due_since_the_collector_began() -> None:
    assert followed(100, [], 110).value is None
    silent = followed(100, [], 130)
    assert (silent.observed, silent.due, silent.joined_ns) == (0, 30 - LATE_S, START + 100 * SECOND)


def test_a_round_found_late_is_due_from_its_opening_if_others_were_followed() -> None:
    live = LiveRounds(["BTC"], ["5m"], START)
    for number in (0, 1):
        live.apply(market(number))
    for second in [*range(300), *range(360, 400)]:
        live.apply(quote(market(second // 300), second))
    one = live.series["BTC", "5m"]
    share = one.share(one.rounds[str(market(1).slug)], START + 400 * SECOND)
    assert (share.observed, share.due, share.joined_ns) == (40, 100, None)


def test_the_sum_of_all_rounds_outlives_their_memory() -> None:
    live = LiveRounds(["BTC"], ["5m"], START)
    for number in range(2):
        live.apply(market(number))
    for second in range(10, 590):
        live.apply(quote(market(second // 300), second))
    one, now = live.series["BTC", "5m"], START + 700 * SECOND
    expected = (2, 580, 590)
    rounds, share = one.total(now)
    assert (rounds, share.observed, share.due) == expected
    live.apply(market(0, status="resolved"))
    later = START + (400 + REMEMBERED_S) * SECOND
    live.forget(later)
    assert len(one.rounds) == 1
    rounds, share = one.total(later)
    assert (rounds, share.observed, share.due) == expected
    live.apply(market(0, status="resolved"))  # listed again by who looks for outcomes
    assert one.total(later)[0] == 2


def price(second: int, *, is_observed: Literal[0, 1] = 1) -> ReferencePrice:
    return ReferencePrice(
        venue="polymarket",
        feed="reference",
        received_at=START,
        seq=1,
        timestamp=utc(START + second * SECOND) if is_observed else None,
        asset="BTC",
        mid=Decimal(9) if is_observed else None,
        is_observed=is_observed,
        tick_at=utc(START + second * SECOND),
        source="rtds",
    )


def test_reference_prices_are_due_each_second_between_the_first_row_and_the_newest() -> None:
    live = LiveRounds(["BTC"], ["5m"], START)
    for second in (3, 4, 9):
        live.apply(price(second))
    live.apply(price(10, is_observed=0))
    live.apply(price(11).model_copy(update={"timestamp": None}))  # read now and then, not once a second
    [share] = [seconds.share for seconds in live.prices.seconds.values()]
    assert (share.observed, share.due) == (3, 8)


def test_a_gap_counts_for_each_asset_that_it_concerns_once_it_has_its_end() -> None:
    live = LiveRounds(["BTC", "ETH"], ["5m"], START)
    slugs = []
    for each in (market(0), market(1), market(0, "ETH")):
        live.apply(each)
        slugs.append(each.slug)
    live.apply(gap(connection="c1", markets=slugs))
    live.apply(gap(topics=["crypto_prices"], symbol="btcusdt"))
    live.apply(gap(page="eth-usd-cexprice-streams", asset="ETH"))
    live.apply(gap(topics=["crypto_prices"]))
    live.apply(replace(gap(symbol="btc/usd"), id="r:0", to_ns=START))  # it turned out void
    live.apply(replace(gap(symbol="btc/usd"), to_ns=None))
    assert live.gaps == {"BTC": 2, "ETH": 2, "": 1}


def test_outcomes_are_missed_until_they_are_told_and_rounds_without_are_not_forgotten() -> None:
    live = LiveRounds(["BTC"], ["5m"], START)
    for number in range(3):
        live.apply(market(number))
    end = START + 900 * SECOND
    assert live.without_outcome(START, end) == 3
    assert live.without_outcome(START + 301 * SECOND, end - 1) == 1
    live.apply(market(0, status="resolved"))
    told = {"venue": "polymarket", "feed": "resolutions", "received_at": end, "seq": 1}
    live.apply(
        Resolution(
            **told, platform="polymarket", market_id="BTC-1", status="resolved", resolution_source="data"
        )
    )
    assert live.without_outcome(START, end) == 1
    live.forget(end + REMEMBERED_S * SECOND)
    assert [each.market_id for each in live.series["BTC", "5m"].rounds.values()] == ["BTC-2"]


def test_frames_and_rows_are_counted() -> None:
    traffic = Traffic()
    for item in (Frames("v", "stream", "c1", ((1, 1, b"a"), (2, 2, b"b"))), quote(market(0), 1), market(0)):
        traffic.apply(item)
    assert (traffic.frames, traffic.rows) == (2, 1)


def test_observations_never_go_back() -> None:
    live = LiveRounds(["BTC"], ["5m"], START)
    for at in (5, 3):
        live.apply(Observation("polymarket", "reference", "BTC", at))
    assert live.newest_observation == {"BTC": 5}


def test_missing_outcomes_are_advised_to_be_fetched() -> None:
    live = LiveRounds(["BTC"], ["5m"], START, "fetch them")
    live.apply(market(0))
    assert list(live.advice(START + 299 * SECOND)) == []
    [(what, how)] = live.advice(START + 300 * SECOND)
    assert what.startswith("no outcome yet of 1 round that ended meanwhile")
    assert how == "fetch them"
