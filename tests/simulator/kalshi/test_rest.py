"""Routes, filters, pages, books and trades of the simulated Kalshi."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.items import Market
from marketarchive.simulator.kalshi.books import LAST_S, QUIET_S
from marketarchive.simulator.kalshi.rounds import LIVE_S, SERIES, SimRound, cutoff
from marketarchive.simulator.limits import Limits
from marketarchive.times import SECOND
from marketarchive.venues.endpoint import Query
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.books import Book
from marketarchive.venues.kalshi.queries import next_page
from marketarchive.venues.messages import Parsed
from tests.simulator.kalshi.requesting import AT, MAINTENANCE, fetch, json_of, pages, read, request_of, venue


def live(series: str = "KXBTC15M", at: int = AT) -> SimRound:
    """The round of a series that is open."""
    return next(each for each in venue().rounds.between(at, at + 900) if each.series == series)


def small(query: Query, limit: int) -> Query:
    return replace(query, params={**query.params, "limit": str(limit)})


def markets(parsed: Parsed) -> list[Market]:
    return [item for item in parsed.items if isinstance(item, Market)]


@pytest.mark.process
def test_pages_bring_every_row_once_and_the_last_has_no_cursor() -> None:
    whole = read(queries.markets())
    found = list(pages(small(queries.markets(), 7)))
    assert [key for page in found for key in page.keys] == whole.keys
    assert len(set(whole.keys)) == len(whole.keys) > 200
    assert whole.next_cursor is None
    assert json_of(queries.markets())["cursor"] == ""
    trades = list(pages(small(queries.trades(live().ticker), 10)))
    assert len(trades) >= 3
    assert [key for page in trades for key in page.keys] == read(queries.trades(live().ticker)).keys


def test_statuses_select_by_the_filters_words() -> None:
    expected = {"unopened": "unopened", "open": "active", "closed": "closed", "settled": "resolved"}
    for sent, status in expected.items():
        for market in markets(read(queries.markets(status=sent))):  # type: ignore[arg-type]
            assert market.status == status or (sent == "closed" and market.resolution_state == "proposed")
    for series in SERIES:
        (market,) = markets(read(queries.markets(status="open", series=series)))
        assert market.market_id == live(series).ticker


def test_combinations_flood_a_list_without_the_filter() -> None:
    query = queries.markets(status="open")
    unfiltered = replace(
        query, params={key: text for key, text in query.params.items() if key != "mve_filter"}
    )
    assert any(key.startswith("KXMVE") for key in read(unfiltered).keys)
    assert not any(key.startswith("KXMVE") for key in read(query).keys)


def test_a_combination_has_every_field_of_a_market_that_is_not_open() -> None:
    (combination,) = json_of(small(replace(queries.markets(), params={}), 1))["markets"]
    (market,) = json_of(small(queries.markets(status="unopened"), 1))["markets"]
    assert combination["ticker"].startswith("KXMVE")
    assert set(market) - set(combination) == {"occurrence_datetime"}
    for side, other in (("yes", "no"), ("no", "yes")):
        bid, fetch = combination[f"{side}_bid_dollars"], combination[f"{other}_ask_dollars"]
        assert Decimal(bid) + Decimal(fetch) == 1


def test_time_filters() -> None:
    since = AT - 3600
    found = markets(read(queries.markets(status="settled", settled_since_ns=since * SECOND)))
    assert 4 <= len(found) <= 20
    assert all(each.resolved_at and each.resolved_at.timestamp() >= since for each in found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"limit": "1001"}, {"msg": "Parameter validation failed for GetMarkets"}),
        ({"status": "finalized"}, {"details": "invalid status filter"}),
    ],
)
def test_what_is_refused(change: dict[str, str], said: dict[str, str]) -> None:
    query = queries.markets()
    reply = fetch(replace(query, params={**query.params, **change}))
    assert reply.status == 400
    body = json.loads(reply.body)
    assert all(body[key].startswith(text) for key, text in said.items())


def test_what_is_ignored() -> None:
    query = small(queries.markets(), 5)
    first = read(query).keys
    assert read(replace(query, params={**query.params, "ticker": "X"})).keys == first
    assert read(replace(query, params={**query.params, "cursor": "!garbage!"})).keys == first


@pytest.mark.parametrize(
    "query",
    [
        queries.market("KXBTC15M-26AUG170100-00"),
        queries.market("nothing"),
        queries.book("nothing"),
        queries.series("X"),
        queries.event("X-26AUG170100"),
    ],
)
def test_what_is_not_found(query: Query) -> None:
    reply = fetch(query)
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (404, "not_found")


def test_a_slash_at_the_end_is_redirected() -> None:
    reply = venue().answer(replace(request_of(queries.markets()), path="/trade-api/v2/markets/"), AT * SECOND)
    assert (reply.status, reply.headers["Location"]) == (301, "/trade-api/v2/markets")


def test_events_and_series() -> None:
    event = live().event
    (market,) = markets(read(queries.event(event)))
    assert (market.market_id, market.series, market.category) == (live().ticker, "KXBTC15M", "Crypto")
    assert {each.event_id for each in markets(read(queries.events(status="open")))} == {
        live(series).event for series in SERIES
    }
    assert set(read(queries.series_list()).keys) == set(SERIES)


def test_the_tiers_overlap() -> None:
    (told,) = read(queries.cutoff()).statements
    assert told.market_settled_ts == "2026-11-20T23:00:00Z"
    assert cutoff(AT) > AT - LIVE_S
    old, new = read(queries.old_markets("KXBTC15M")), read(queries.markets(series="KXBTC15M"))
    assert set(old.keys) & set(new.keys)
    assert len(set(old.keys) - set(new.keys)) > 80
    only_old = next(key for key in old.keys if key not in new.keys)
    assert fetch(queries.market(only_old)).status == 404
    assert read(queries.old_market(only_old)).keys == [only_old]
    assert read(queries.old_trades(only_old)).trades


# ---- books -------------------------------------------------------------------------------------------------


def book_at(each: SimRound, second: int) -> Book:
    (found,) = read(queries.book(each.ticker), second).books
    assert isinstance(found, Book)
    return found


def test_books_agree_with_the_markets_row_and_are_never_crossed() -> None:
    each = live()
    kinds = set()
    for second in range(each.start - 1, each.end + 2):
        book = book_at(each, second)
        if book.yes_bid is not None and book.no_bid is not None:
            assert book.yes_bid + book.no_bid < 1
        kinds.add((book.yes_bid is not None, book.no_bid is not None))
        is_one_sided = (book.yes_bid is None) != (book.no_bid is None)
        assert not is_one_sided or second >= each.end - LAST_S
        if second % 90 == 0 and each.start + QUIET_S < second < each.end:
            row = json_of(queries.market(each.ticker), second)["market"]
            assert Decimal(row["yes_bid_dollars"]) == (book.yes_bid or 0)
            assert Decimal(row["yes_ask_dollars"]) == (1 if book.yes_ask is None else book.yes_ask)
            assert Decimal(row["yes_ask_size_fp"]) == (book.asks[0][1] if book.asks else 0)
            assert Decimal(row["no_ask_dollars"]) == 1 - (book.yes_bid or 0)
    assert {(True, True), (False, False)} < kinds
    assert len(kinds) >= 3


def test_many_books_at_once_leave_out_what_is_unknown() -> None:
    parsed = read(queries.books([live().ticker, "nothing", live("KXETH15M").ticker]))
    assert parsed.keys == [live().ticker, live("KXETH15M").ticker]
    assert parsed.books[0] == book_at(live(), AT)


def test_books_rest_with_trading() -> None:
    each = live(at=MAINTENANCE - 600)
    assert each.end <= MAINTENANCE or book_at(each, MAINTENANCE) == book_at(each, MAINTENANCE + 60)
    later = live(at=MAINTENANCE + 1800)
    assert book_at(later, MAINTENANCE + 1800) == Book(later.ticker, (), ())
    assert read(queries.trades(later.ticker), MAINTENANCE + 2400).trades == []


# ---- trades ------------------------------------------------------------------------------------------------


def test_trades_come_newest_first_within_what_is_asked_for() -> None:
    each = live()
    found = read(queries.trades(each.ticker)).trades
    times = [trade.at for trade in found]
    assert times == sorted(times, reverse=True)
    assert each.start * SECOND <= times[-1] <= times[0] <= AT * SECOND
    assert read(queries.trades(each.ticker), AT + 30).trades[-len(found) :] == found
    since = times[len(times) // 2] // SECOND
    assert {trade.at for trade in read(queries.trades(each.ticker, since_ns=since * SECOND)).trades} == {
        at for at in times if at >= since * SECOND
    }
    volume = sum(trade.size for trade in found)
    (market,) = markets(read(queries.market(each.ticker)))
    assert market.volume == volume


# ---- faults and limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("age", [True, False])
def test_copies_say_their_age(age: bool) -> None:
    fault: dict[str, Any] = {"seconds": 15, "age": age}
    query = queries.book(live().ticker)
    assert "Age" not in fetch(query).headers
    for second in range(AT, AT + 16):
        reply = fetch(query, second, kalshi_copies=fault)
        assert reply.headers.get("Age") == (str(second % 15) if age else None)
        assert reply.body == fetch(query, second - second % 15).body


def test_faults_of_pages() -> None:
    query = small(queries.markets(), 5)
    empty = read(query, kalshi_empty_page={})
    assert (empty.keys, bool(empty.next_cursor)) == ([], True)
    following = next_page(query, empty)
    assert following is not None
    assert read(following).keys == read(query).keys
    second = next_page(query, read(query))
    assert second is not None
    assert read(second, kalshi_first_page_again={}).keys == read(query).keys
    assert fetch(queries.books(["X"]), kalshi_needs_key={}).status == 401
    assert len(read(queries.markets(), kalshi_short_pages={"rows": 3}).keys) == 3


def test_its_limit_is_a_bucket_of_tokens() -> None:
    bucket, limits = venue().limit(request_of(queries.cutoff())), Limits()
    taken = [limits.take(bucket, AT * SECOND) for _ in range(50)]
    assert taken == [True] * 40 + [False] * 10
    assert [limits.take(bucket, AT * SECOND + SECOND // 20) for _ in range(2)] == [True, False]
    assert (bucket.refusal.status, "Retry-After" in bucket.refusal.headers) == (429, False)
