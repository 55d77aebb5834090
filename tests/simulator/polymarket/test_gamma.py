from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.items import Market
from marketarchive.simulator.polymarket.gamma_rows import METADATA_AFTER_S
from marketarchive.times import utc
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.polymarket.parse import parse
from tests.simulator.requesting import GAMMA, NOW, SECONDS, closed_rounds, fetch, json_of, venue

KEYSET = "/markets/keyset"


def read(path: str, query: dict[str, Any] | None = None, at: int = SECONDS) -> Parsed:
    reply = fetch(GAMMA, path, query, at=at)
    assert reply.status == 200, reply.body[:200]
    return parse(
        Received("polymarket", "markets", f"https://{GAMMA}{path}", {}, None, 200, reply.body, NOW, 1)
    )


def markets(result: Parsed) -> list[Market]:
    return [item for item in result.items if isinstance(item, Market)]


def sweep(path: str, query: dict[str, Any], *, step_s: int) -> tuple[list[str], int]:
    """All keys of a keyset sweep during which time goes on, and the last page's second."""
    keys: list[str] = []
    cursor, at = None, SECONDS
    while True:
        page = read(path, query | ({"after_cursor": cursor} if cursor else {}), at)
        keys += page.keys
        if page.next_cursor is None:
            return keys, at
        cursor, at = page.next_cursor, at + step_s


@pytest.mark.parametrize(("path", "limit"), [(KEYSET, "50"), ("/events/keyset", "100")])
def test_a_sweep_brings_each_row_once_while_rows_appear(path: str, limit: str) -> None:
    keys, end = sweep(path, {"closed": "false", "limit": limit}, step_s=20)
    assert len(keys) == len(set(keys))
    there_all_along = {
        str(market.number if path == KEYSET else market.group.number)
        for market in venue().world.listed(SECONDS)
        if not market.is_closed(end)
    }
    assert there_all_along <= set(keys)
    assert len(set(keys) - there_all_along) > 0  # some appeared, some closed on the way


def test_other_orders_page_as_well() -> None:
    for order in (
        {"order": "endDate", "ascending": "false"},
        {"order": "volumeNum"},
        {"order": "volume_num"},
    ):
        keys, _ = sweep(KEYSET, {"closed": "true", "limit": "100", **order}, step_s=0)
        assert (
            len(keys)
            == len(set(keys))
            == sum(market.is_closed(SECONDS) for market in venue().world.listed(SECONDS))
        )
    newest = markets(read(KEYSET, {"order": "createdAt", "ascending": "false", "limit": "3"}))
    assert all(market.end_at and market.end_at > utc(NOW) + timedelta(hours=23) for market in newest)


def test_the_last_page_has_no_cursor_at_all() -> None:
    document = json_of(fetch(GAMMA, KEYSET, {"slug": "btc-updown-5m-1795255200"}))
    assert set(document) == {"markets"}


def test_cursor_is_not_after_cursor() -> None:
    first = read(KEYSET, {"limit": "5"})
    assert read(KEYSET, {"limit": "5", "cursor": first.next_cursor}).keys == first.keys
    assert read(KEYSET, {"limit": "5", "after_cursor": first.next_cursor}).keys != first.keys


def test_closed_defaults_to_false_on_markets_and_to_true_on_events() -> None:
    assert read(KEYSET, {"limit": "50"}).keys == read(KEYSET, {"limit": "50", "closed": "false"}).keys
    assert read("/events", {"limit": "50"}).keys == read("/events", {"limit": "50", "closed": "true"}).keys
    slug = closed_rounds(1)[0].slug
    assert json_of(fetch(GAMMA, "/markets", {"slug": slug})) == []
    assert len(json_of(fetch(GAMMA, "/markets", {"slug": slug, "closed": "true"}))) == 1
    assert markets(read(f"/markets/slug/{slug}"))[0].status == "resolved"


def test_filters() -> None:
    base = {"closed": "false", "limit": "100"}
    series = markets(read("/events/keyset", base | {"series_id": "10684", "limit": "500"}))
    assert {(market.asset, market.duration) for market in series} == {("BTC", "5m")}
    assert len(series) in (288, 289, 290)
    tagged = markets(read("/events/keyset", base | {"tag_id": "102531"}))
    assert {market.duration for market in tagged} == {"4h"}
    some = [market.market_id for market in series[:3]]
    assert [market.market_id for market in markets(read(KEYSET, base | {"condition_ids": some}))] == some
    token = (series[0].tokens or {})["Down"]
    assert [market.slug for market in markets(read(KEYSET, base | {"clob_token_ids": token}))] == [
        series[0].slug
    ]
    number = read(KEYSET, base | {"slug": [series[1].slug or ""]}).keys
    assert read(KEYSET, base | {"id": number}).keys == number
    window = {"end_date_min": "2026-11-21T11:00:00Z", "end_date_max": "2026-11-21T12:00:00"}
    ends = [market.end_at for market in markets(read(KEYSET, base | window))]
    assert ends
    assert all(end and (end.hour == 11 or (end.hour, end.minute) == (12, 0)) for end in ends)
    assert read(KEYSET, base | {"active": "false"}).keys == []


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (KEYSET, {"limit": "101"}),
        (KEYSET, {"limit": "0"}),
        (KEYSET, {"limit": "many"}),
        (KEYSET, {"offset": "5"}),
        (KEYSET, {"after_cursor": "garbage"}),
        (KEYSET, {"tag_id": "crypto"}),
        (KEYSET, {"end_date_min": "yesterday"}),
        (KEYSET, {"condition_ids": ["0x"] * 2 + [f"0x{number}" for number in range(101)]}),
        ("/markets", {"offset": "10001"}),
        ("/events/keyset", {"limit": "501"}),
        ("/markets/abc", {}),
    ],
)
def test_what_the_venue_refuses(path: str, query: dict[str, Any]) -> None:
    assert json_of(fetch(GAMMA, path, query), 422)["type"] == "validation error"


def test_old_lists_are_bare_arrays_with_an_offset() -> None:
    first, second = read("/markets", {"limit": "500"}), read("/markets", {"limit": "50", "offset": "50"})
    assert len(first.keys) == 100  # silently capped
    assert first.keys[50:] == second.keys


def test_unknown_and_not_yet_listed_slugs() -> None:
    tomorrow = next(
        market for market in venue().world.rounds_between(NOW // 10**9 + 90_000, SECONDS + 95_000)
    )
    for slug in ("no-such", tomorrow.slug):
        assert fetch(GAMMA, f"/markets/slug/{slug}").status == 404
        assert fetch(GAMMA, f"/events/slug/{slug}").status == 404
    assert fetch(GAMMA, f"/markets/slug/{tomorrow.slug}", at=tomorrow.listed_at).status == 200
    assert fetch(GAMMA, "/nothing/here").status == 404


def test_one_event_by_slug_and_id() -> None:
    group = json_of(fetch(GAMMA, "/events/slug/2028-nomination"))
    assert json_of(fetch(GAMMA, f"/events/{group['id']}")) == group
    assert len(group["markets"]) == 8
    one = read("/events/slug/btc-updown-5m-1795255200")
    assert read(f"/events/{one.keys[0]}").items == one.items
    assert (
        markets(read(f"/markets/{venue().world.others[0].number}"))[0].title
        == "Will Adams win the 2028 nomination?"
    )


def test_a_rounds_life() -> None:
    slug = "btc-updown-5m-1795255200"
    market = venue().world.by_slug(slug, SECONDS)
    assert market is not None
    assert market.closed_at is not None
    rows = {
        at: markets(read(f"/events/slug/{slug}", at=at))[0]
        for at in (SECONDS, market.end, market.closed_at, market.closed_at + METADATA_AFTER_S)
    }
    live, ended, closed, stated = rows.values()
    assert (live.status, live.strike, live.category, live.rule) == (
        "active",
        None,
        "Crypto",
        "chainlink twap 60s",
    )
    assert ended.status == "active"
    assert (closed.status, closed.strike) == ("resolved", None)
    strike, settlement = venue().world.strike(market), venue().world.settlement(market)
    assert stated.strike is not None
    assert abs(stated.strike - Decimal(strike or 0) / 10**18) < Decimal("1e-9")
    assert stated.resolution == ("Up" if (settlement or 0) >= (strike or 0) else "Down")
    assert json_of(fetch(GAMMA, f"/markets/slug/{slug}", at=market.end))["acceptingOrders"] is False


def test_every_closed_row_tells_the_true_outcome() -> None:
    truth = {each["market_id"]: each for each in venue().truth(NOW, NOW)}
    cursor, seen = None, 0
    while True:
        page = read(KEYSET, {"closed": "true", "limit": "100"} | ({"after_cursor": cursor} if cursor else {}))
        for market in markets(page):
            told = truth[market.market_id]
            assert (market.resolution, market.payouts) == (told["resolution"], told["payouts"]), market.slug
            assert market.status == ("resolved" if told["payouts"] else "closed")
            seen += 1
        if (cursor := page.next_cursor) is None:
            break
    assert seen > 800


def test_the_odd_markets() -> None:
    open_page = read(KEYSET, {"closed": "false", "limit": "50", "end_date_min": "2028-01-01T00:00:00Z"})
    (three,) = open_page.errors
    assert "3 labels" in str(three)
    games = [market for market in markets(open_page) if market.protocol_version == "v2"]
    assert len(games) == 6
    for game in games:
        assert len(game.market_id) == 2 + 62
        assert game.tokens == dict(
            zip(game.outcomes or (), venue().world.by_condition(game.market_id).tokens, strict=True)  # type: ignore[union-attr]  # found above
        )
    closed_page = read(KEYSET, {"closed": "true", "limit": "50", "end_date_min": "2028-01-01T00:00:00Z"})
    (unnamed,) = closed_page.errors
    assert unnamed.fields == ("outcomes",)
    statuses = [(market.status, market.payouts) for market in markets(closed_page)]
    assert statuses.count(("closed", None)) == 2
    assert statuses.count(("resolved", ("0.5", "0.5"))) == 1
    raw = json_of(fetch(GAMMA, KEYSET, {"closed": "true", "slug": "ceasefire-by-the-end-of-2027"}))["markets"]
    assert raw[0]["acceptingOrders"] is True


def test_rows_before_any_trade_leave_keys_out() -> None:
    newest = json_of(fetch(GAMMA, KEYSET, {"order": "id", "ascending": "false", "limit": "1"}))["markets"][0]
    assert not {"volume", "lastTradePrice", "closedTime"} & set(newest)
    assert isinstance(newest["outcomes"], str)
    assert json.loads(newest["events"][0]["series"][0]["competitive"]) == 0


def test_series_by_slug() -> None:
    slugs = ["btc-up-or-down-5m", "sol-up-or-down-hourly", "nothing"]
    assert read("/series", {"slug": slugs}).series == {
        "btc-up-or-down-5m": "10684",
        "sol-up-or-down-hourly": "11018",
    }
    assert len(read("/series", {"limit": "500"}).keys) == 20
    assert len(read("/series", {"limit": "50", "offset": "15"}).keys) == 5
