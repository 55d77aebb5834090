"""The simulated catalogue: what its lists say is what its truth says, at any time."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from marketarchive.exceptions import ConfigurationError
from marketarchive.simulator.catalog import FATES, HISTORY_S, Catalog, Event
from marketarchive.simulator.kalshi.rounds import cutoff
from marketarchive.simulator.polymarket.catalog import catalog_of
from marketarchive.times import SECOND, from_iso, utc
from marketarchive.venues.kalshi import queries as of_kalshi
from marketarchive.venues.kalshi.titles import stated_title
from marketarchive.venues.polymarket import queries as of_polymarket
from tests.simulator.catalog import NOW_S, OPEN, fetch, kalshi, markets, polymarket, read, sweep, truth

DAY_S = 86_400


def revision(each: dict[str, Any], at_s: int = NOW_S) -> dict[str, Any]:
    """Return what was true of a market at a second."""
    found: dict[str, Any] = [row for row in each["revisions"] if from_iso(row["at"]) <= at_s * SECOND][-1]
    return found


def events(platform: str, *, count: int = 3000) -> list[Event]:
    made = catalog_of(1, count) if platform == "polymarket" else Catalog(1, platform, count)
    return made.events(NOW_S)


@pytest.mark.parametrize("platform", ["polymarket", "kalshi"])
def test_about_as_many_are_open_as_are_wanted_and_every_fate_occurs(platform: str) -> None:
    found = events(platform)
    now = [life.at(NOW_S) for event in found for life in event.markets]
    assert sum(each.state == "open" for each in now) == pytest.approx(3000, rel=0.1)
    fates = Counter(event.fate for event in found)
    assert set(fates) == {*FATES, "plain"}
    assert {each.payout for each in now if each.state == "final"} >= {"0", "1", "0.5", None}
    assert len(found) < len(now)  # many have siblings
    titles = [life.event.texts.questions[life.member] for event in found for life in event.markets]
    assert len(set(titles)) == len(titles)


def test_an_event_pays_for_one_of_its_markets_or_for_a_ladder_from_below() -> None:
    for event in events("polymarket"):
        if event.size == 1 or event.fate == "void":
            continue
        paid = [float(each or 0) for each in event.payouts()]
        assert paid == sorted(paid, reverse=True) if event.texts.kind == "ladder" else sum(paid) == 1


def test_prices_move_and_come_near_to_the_outcome() -> None:
    ended = [event for event in events("polymarket") if event.over_at < NOW_S and event.fate == "plain"]
    assert len(ended) > 100
    for event in ended:
        for life, payout in zip(event.markets, event.payouts(), strict=True):
            last = life.chance(event.closes_at - 60)
            assert payout is not None
            assert abs(last - float(payout)) < 0.25
            assert len({life.chance(event.listed_at + day * DAY_S) for day in range(7)}) > 4
            assert life.volume(event.closes_at) > life.volume(event.listed_at + DAY_S) > 0


def test_more_than_there_is_room_for_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not between 0 and 50000"):
        Catalog(1, "kalshi", 50_001)


# --- Polymarket ------------------------------------------------------------------------------------------


def test_gamma_lists_what_is_open_and_what_is_closed() -> None:
    venue = polymarket()
    true = truth(venue)
    opened = markets(sweep(venue, of_polymarket.markets(closed=False)))
    closed = markets(sweep(venue, of_polymarket.markets(closed=True)))
    states = {key: revision(each) for key, each in true.items()}
    listed = {key for key, each in true.items() if from_iso(each["listed_at"]) <= NOW_S * SECOND}
    final = {key for key in listed if states[key]["state"] == "final"}
    assert final == closed.keys() & true.keys()
    assert listed - final == opened.keys() & true.keys()
    assert len(listed - final) == pytest.approx(OPEN, rel=0.35)
    for key in listed:
        market, now = {**opened, **closed}[key], states[key]
        assert (market.title, market.description) == (now["title"], now["rules"])
        assert market.tokens == true[key]["tokens"]
        payouts = None if market.payouts is None else market.payouts[0]
        is_decisive = key in final and now["payout"] in ("0", "0.5", "1")
        assert payouts == (now["payout"] if is_decisive else None)


def test_a_sweep_of_gamma_brings_each_once_while_time_goes_on() -> None:
    pages = sweep(polymarket(), of_polymarket.markets(closed=False), step_s=3600)
    keys = [key for page in pages for key in page.keys]
    assert len(keys) == len(set(keys)) > OPEN


def test_the_newest_come_first_where_that_is_wanted() -> None:
    query = of_polymarket.markets(closed=False)
    params = {**query.params, "order": "startDate", "ascending": "false"}
    page = json.loads(fetch(polymarket(), type(query)(query.endpoint, params)).payload)["markets"]
    numbers = [int(row["id"]) for row in page]
    assert numbers == sorted(numbers, reverse=True)


def test_a_reopened_market_is_closed_open_and_closed_again() -> None:
    venue = polymarket()
    found = next(
        each
        for each in truth(venue, NOW_S - HISTORY_S).values()
        if each["fate"] == "reopened" and {"0", "1"} <= {row["payout"] for row in each["revisions"]}
    )
    outcomes = []
    for row in found["revisions"]:
        at_s = from_iso(row["at"]) // SECOND
        [market] = read(venue, of_polymarket.market(found["slug"]), at_s).items[:1]
        outcomes.append((row["state"], market.status, market.resolution))  # type: ignore[union-attr]
    assert [each[0] for each in outcomes] == [
        "open",
        "closed",
        "proposed",
        "final",
        "disputed",
        "closed",
        "proposed",
        "final",
    ]
    assert [each[1] for each in outcomes] == [*["active"] * 3, "resolved", *["active"] * 3, "resolved"]
    first, second = outcomes[3][2], outcomes[7][2]
    assert None not in (first, second)
    assert first != second


def test_end_dates_are_missing_where_the_truth_says_so() -> None:
    venue = polymarket()
    rows = [
        row
        for closed in (False, True)
        for page in _bodies(of_polymarket.markets(closed=closed))
        for row in page["markets"]
    ]
    fates = {each["slug"]: each["fate"] for each in truth(venue).values()}
    missing = Counter(
        (fates[row["slug"]], "endDate" in row, "endDate" in row["events"][0])
        for row in rows
        if row["slug"] in fates
    )
    wanted = {"no_market_end": (False, True), "no_event_end": (True, False), "no_end": (False, False)}
    assert all(key[1:] == wanted.get(key[0], (True, True)) for key in missing)
    assert wanted.keys() <= {key[0] for key in missing}


def _bodies(query: Any) -> list[Any]:
    pages = []
    following = query
    while following is not None:
        received = fetch(polymarket(), following)
        pages.append(json.loads(received.payload))
        cursor = pages[-1].get("next_cursor")
        params = {**query.params, "after_cursor": cursor}
        following = None if cursor is None else type(query)(query.endpoint, params)
    return pages


# --- Kalshi ----------------------------------------------------------------------------------------------


@pytest.mark.process
def test_kalshi_lists_both_tiers_as_they_are() -> None:
    venue = kalshi()
    true = truth(venue)
    live = markets(sweep(venue, of_kalshi.markets()))
    old = markets(sweep(venue, of_kalshi.old_markets()))
    states = {key: revision(each) for key, each in true.items()}
    listed = {key for key, each in true.items() if from_iso(each["listed_at"]) <= NOW_S * SECOND}
    assert listed == {*live, *old} & true.keys()
    limit = cutoff(NOW_S) * SECOND
    resolved = {key: now["resolved_at"] for key, now in states.items() if now["resolved_at"]}
    assert old.keys() & true.keys() == {
        key for key in listed & resolved.keys() if from_iso(resolved[key]) < limit
    }
    assert live.keys() & old.keys() & true.keys()  # the tiers overlap
    for key in listed:
        market, now = {**old, **live}[key], states[key]
        assert stated_title(market.title, market.subtitle) == now["title"]
        assert market.subtitle == true[key]["label"]
        assert market.description == now["rules"]
        assert (None if market.payouts is None else float(market.payouts[0])) == (
            None if now["payout"] is None else float(now["payout"])
        )
    assert len({each.title for each in live.values() if each.market_id in true}) == len(
        live.keys() & true.keys()
    )
    assert {each.result_kind for each in old.values()} >= {"winner", "scalar", None}


def test_events_hold_their_markets_in_an_order_that_changes() -> None:
    venue = kalshi()
    orders = []
    for at_s in (NOW_S, NOW_S + 1):
        pages = sweep(venue, of_kalshi.events(status="open"), at_s)
        listed: dict[str, list[str]] = {}
        for key, market in markets(pages).items():
            assert market.category
            listed.setdefault(market.event_id or "", []).append(key)
        orders.append(listed)
    assert orders[0] != orders[1]
    assert {key: sorted(each) for key, each in orders[0].items()} == {
        key: sorted(each) for key, each in orders[1].items()
    }


@pytest.mark.process
def test_early_settlement_leaves_the_schedule_a_month_ahead() -> None:
    venue = kalshi()
    known = truth(venue)
    early = [
        each
        for each in markets(sweep(venue, of_kalshi.old_markets())).values()
        if (true := known.get(each.market_id)) and true["fate"] == "early"
    ]
    assert early
    for each in early:
        assert each.expected_end_at is not None
        assert each.resolved_at is not None
        assert each.expected_end_at - each.resolved_at > timedelta(days=3)


def candles(ticker: str, start_s: int, end_s: int, minutes: int, tier: str) -> list[dict[str, Any]]:
    path = f"/historical/markets/{ticker}" if tier == "old" else f"/series/X/markets/{ticker}"
    endpoint = of_kalshi.cutoff().endpoint
    url = endpoint.url.replace("/historical/cutoff", f"{path}/candlesticks")
    params = {"start_ts": str(start_s), "end_ts": str(end_s), "period_interval": str(minutes)}
    query = type(of_kalshi.cutoff())(type(endpoint)("candles", url, endpoint.limit), params)
    found: list[dict[str, Any]] = json.loads(fetch(kalshi(), query).payload)["candlesticks"]
    return found


def test_daily_candles_end_at_midnight_in_new_york() -> None:
    found = [
        each
        for each in truth(kalshi()).values()
        if from_iso(each["opens_at"]) < (NOW_S - 25 * DAY_S) * SECOND and revision(each)["state"] == "open"
    ]
    ends = [
        utc(row["end_period_ts"] * SECOND)
        for row in candles(found[0]["market_id"], NOW_S - 30 * DAY_S, NOW_S, 1440, "live")
    ]
    assert len(ends) > 20
    for end in ends:
        assert (end.hour, end.minute) == ((4, 0) if f"{end:%m-%d}" <= "11-01" else (5, 0))


def test_the_tiers_write_the_same_candles_under_different_names() -> None:
    limit = cutoff(NOW_S) * SECOND
    found = next(
        each
        for each in truth(kalshi()).values()
        if (at := revision(each)["resolved_at"]) and limit - 3 * DAY_S * SECOND < from_iso(at) < limit
    )
    span = (from_iso(found["opens_at"]) // SECOND, NOW_S)
    live, old = (candles(found["market_id"], *span, 60, tier) for tier in ("live", "old"))
    assert len(live) == len(old) > 24
    for new, row in zip(live, old, strict=True):
        assert new["end_period_ts"] == row["end_period_ts"]
        assert new["yes_bid"]["close_dollars"] == row["yes_bid"]["close"]
        assert new["price"]["mean_dollars"] == row["price"]["mean"]
        assert (new["volume_fp"], new["open_interest_fp"]) == (row["volume"], row["open_interest"])
