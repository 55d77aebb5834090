"""The board: what is told of rounds, rows and gaps as their items pass."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from marketarchive.collecting.together.board import REMEMBERED_S, Board
from marketarchive.items import Frames, Gap, Market, Quote, Resolution
from marketarchive.times import SECOND, utc

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
    return Gap("polymarket", "stream", START, 1, START, START + SECOND, scope, "stall", "venue")


def test_the_round_under_way_is_the_one_whose_time_it_is() -> None:
    board = Board(["BTC", "ETH"], ["5m"])
    for each in (market(0), market(1), market(0, "ETH"), market(0, "SOL")):
        board.take(each)
    lane = board.lanes["BTC", "5m"]
    last, first = lane.at(START + 299 * SECOND), lane.at(START + 300 * SECOND)
    assert last is not None
    assert first is not None
    assert (last.market_id, first.market_id) == ("BTC-0", "BTC-1")
    assert lane.at(START - 1) is None
    assert set(board.lanes) == {("BTC", "5m"), ("ETH", "5m")}, "assets that nobody asked for have none"


def test_only_seconds_of_a_round_count_for_its_share() -> None:
    board = Board(["BTC"], ["5m"])
    known = market(0)
    board.take(known)
    board.take(quote(known, -1, preopen=1))
    board.take(quote(known, 0))
    board.take(quote(known, 1, is_observed=0))
    lane = board.lanes["BTC", "5m"]
    assert (lane.due, lane.observed, board.rows) == (2, 1, 3)


def test_a_gap_counts_for_each_asset_that_it_concerns_once_it_has_its_end() -> None:
    board = Board(["BTC", "ETH"], ["5m"])
    slugs = []
    for each in (market(0), market(1), market(0, "ETH")):
        board.take(each)
        slugs.append(each.slug)
    board.take(gap(connection="c1", markets=slugs))
    board.take(gap(topics=["crypto_prices"], symbol="btcusdt"))
    board.take(gap(page="eth-usd-cexprice-streams", asset="ETH"))
    board.take(gap(topics=["crypto_prices"]))
    board.take(Gap("polymarket", "stream", START, 1, START, None, {"symbol": "btc/usd"}, "stall", "venue"))
    assert board.gaps == {"BTC": 2, "ETH": 2, "": 1}


def test_outcomes_are_missed_until_they_are_told_and_rounds_without_are_not_forgotten() -> None:
    board = Board(["BTC"], ["5m"])
    for number in range(3):
        board.take(market(number))
    end = START + 900 * SECOND
    assert board.without_outcome(START, end) == 3
    assert board.without_outcome(START + 301 * SECOND, end - 1) == 1
    board.take(market(0, status="resolved"))
    told = {"venue": "polymarket", "feed": "resolutions", "received_at": end, "seq": 1}
    board.take(
        Resolution(
            **told, platform="polymarket", market_id="BTC-1", status="resolved", resolution_source="data"
        )
    )
    assert board.without_outcome(START, end) == 1
    board.forget(end + REMEMBERED_S * SECOND)
    assert [each.market_id for each in board.lanes["BTC", "5m"].rounds.values()] == ["BTC-2"]


def test_frames_are_counted_and_observations_never_go_back() -> None:
    board = Board(["BTC"], ["5m"])
    board.take(Frames("polymarket", "stream", "c1", ((1, 1, b"a"), (2, 2, b"b"))))
    board.observed("BTC", 5)
    board.observed("BTC", 3)
    assert (board.frames, board.newest_observation) == (2, {"BTC": 5})
