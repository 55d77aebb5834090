"""Real recordings of what the catalogue and a backfill request: lists, their prices, outcomes, past prices.

No recording of Polymarket's /v2/resolutions, nor of a page of Kalshi's /historical/markets, is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from marketarchive.items import Market, PriceSnapshot
from marketarchive.times import SECOND
from marketarchive.venues import venues
from marketarchive.venues.endpoint import Query
from marketarchive.venues.kalshi import queries as of_kalshi
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.polymarket import queries as of_polymarket
from marketarchive.venues.table_rows import PriceHistoryRow

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
GAMMA = SAMPLES / "polymarket"
NAUTILUS = "nautilus_trader_a95c8042"
DEMO, NEWEST, OLD = (
    f"kalshi/rest-{name}" for name in ("2026-06-demo", "2026-10-06-prod", "2026-01-prod-oldform")
)
PROBES, ROUND = (f"kalshi/rest-{name}" for name in ("2026-08-probes", "2026-07-29-prod-kxbtc15m"))
AT = 1_787_000_000 * SECOND

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the recordings are not at {SAMPLES}")


def document(name: str) -> Any:
    """What was recorded, without what its author has put around it; numbers with their digits."""
    found = json.loads((SAMPLES / name).read_bytes(), parse_float=Decimal)
    return found["response"] if isinstance(found, dict) and "_metadata" in found else found


def received(query: Query, body: Any, feed: str = "markets") -> Received:
    venue = query.endpoint.limit.name.partition("/")[0]
    payload = body if isinstance(body, bytes) else json.dumps(body, default=float).encode()
    return Received.answer(venue, feed, query, 200, payload, AT, 1)


def read(query: Query, body: Any) -> Parsed:
    requested = received(query, body)
    parsed = venues()[requested.venue].parse(requested)
    assert parsed.errors == []
    return parsed


def history(query: Query, body: Any) -> list[PriceHistoryRow]:
    """The rows of `price_history` that a backfill's answer becomes."""
    requested = received(query, body, "backfill")
    feed = venues()[requested.venue].feeds["backfill"]
    assert feed.rows is not None
    made = feed.rows().rows(requested)
    rows = [row for row in made if isinstance(row, PriceHistoryRow)]
    assert rows == made, "unreadable rows"
    return rows


def by_id(parsed: Parsed, kind: type[Any]) -> dict[str, Any]:
    return {item.market_id: item for item in parsed.items if isinstance(item, kind)}


# --- Polymarket: lists, prices, outcomes ------------------------------------------------------------------


def gamma_rows() -> Iterator[dict[str, Any]]:
    """Each market of Gamma that is recorded whole."""
    page = document("polymarket/BUILT_gamma_markets_keyset_page.json")
    yield from page["markets"]
    for event in document(f"polymarket/{NAUTILUS}/gamma_event.json"):
        yield from event["markets"]
    names = ["gamma_market_neg_risk_live_2026-06-14.json"]
    names += [f"{NAUTILUS}/{path.name}" for path in sorted((GAMMA / NAUTILUS).glob("gamma_market*.json"))]
    for name in names:
        found = document(f"polymarket/{name}")
        yield found[0] if isinstance(found, list) else found


def test_a_price_of_gamma_is_that_of_its_row_and_a_closed_market_has_none() -> None:
    rows = {row["conditionId"]: row for row in gamma_rows()}
    parsed = read(of_polymarket.markets(closed=False), {"markets": list(rows.values())})
    priced, known = by_id(parsed, PriceSnapshot), by_id(parsed, Market)
    assert known.keys() == rows.keys()
    is_open = {key for key, row in rows.items() if not row["closed"]}
    assert priced.keys() == is_open
    assert len(is_open) >= 4
    assert len(rows) - len(is_open) >= 20
    for key in is_open:
        row, price = rows[key], priced[key]
        yes, no = (Decimal(each) for each in json.loads(row["outcomePrices"]))
        assert (price.yes_price, price.no_price) == (yes, no)
        assert float(price.volume) == pytest.approx(float(row["volumeNum"]))
        assert float(price.liquidity) == pytest.approx(float(row["liquidityNum"]))
        assert float(price.spread) == pytest.approx(float(row["spread"]))
        if "bestBid" in row:
            assert row["bestBid"] <= yes <= row["bestAsk"]


def test_an_outcome_of_gamma_is_one_only_where_it_pays_a_dollar() -> None:
    rows = {row["conditionId"]: row for row in gamma_rows() if row["closed"]}
    found = by_id(read(of_polymarket.markets(closed=True), {"markets": list(rows.values())}), Market)
    for key, row in rows.items():
        prices = json.loads(row["outcomePrices"])
        market = found[key]
        assert market.closed_at is not None
        if sorted(map(Decimal, prices)) == [0, 1]:
            assert market.status == "resolved"
            assert market.payouts == tuple(prices)
            assert market.resolution == json.loads(row["outcomes"])[prices.index("1")]
        else:
            assert (market.status, market.payouts, market.resolution) == ("closed", None, None)


def test_a_page_of_gamma_leads_to_the_next_one_with_the_same_filters() -> None:
    query = of_polymarket.markets(closed=True, ended_since_ns=AT)
    page = document("polymarket/BUILT_gamma_markets_keyset_page.json")
    following = venues()["polymarket"].next_page(query, read(query, page))
    assert following is not None
    assert following.params == {**query.params, "after_cursor": page["next_cursor"]}
    assert venues()["polymarket"].next_page(query, read(query, {"markets": page["markets"]})) is None


# --- Polymarket: past prices --------------------------------------------------------------------------------


def test_recorded_midpoints_become_rows_with_their_digits() -> None:
    body = document("polymarket/clob_small_endpoints_2026-08.json")["POST /batch-prices-history"]
    [(token, points)] = body["history"].items()
    rows = history(of_polymarket.price_histories([token], 1_786_400_000, 1_786_420_000, 60), body)
    assert [(row.token, row.event_time, row.price) for row in rows] == [
        (token, point["t"] * SECOND, point["p"]) for point in points
    ]
    assert {(row.source, row.interval_s, row.bid, row.volume) for row in rows} == {
        ("prices-history", None, None, None)
    }


def test_a_token_without_a_past_has_no_rows() -> None:
    body = document("polymarket/clob_small_endpoints_2026-08.json")
    query = of_polymarket.price_history("1", 1_786_400_000, 1_786_420_000, 60)
    assert history(query, body["GET /prices-history?market=<resolved>&interval=max"]) == []


# --- Kalshi: lists, prices, outcomes ------------------------------------------------------------------------

KALSHI_LISTS = [
    f"{DEMO}/markets__page1.json",
    f"{DEMO}/markets__page2.json",
    f"{DEMO}/markets__page3.json",
    f"{DEMO}/markets__status_open.json",
    f"{DEMO}/markets__status_closed.json",
    f"{DEMO}/markets__status_settled.json",
    f"{NEWEST}/markets.json",
]


@pytest.mark.parametrize("name", KALSHI_LISTS)
def test_a_price_of_kalshi_is_between_bid_and_ask_of_its_row(name: str) -> None:
    body = document(name)
    parsed = read(of_kalshi.markets(), (SAMPLES / name).read_bytes())
    rows = {row["ticker"]: row for row in body["markets"]}
    assert by_id(parsed, Market).keys() == rows.keys()
    for key, price in by_id(parsed, PriceSnapshot).items():
        row = rows[key]
        assert row["status"] == "active"
        bid, ask, last = (Decimal(row[f"{each}_dollars"]) for each in ("yes_bid", "yes_ask", "last_price"))
        if price.spread is None:
            assert price.yes_price == last
        else:
            assert (price.yes_price, price.spread) == ((bid + ask) / 2, ask - bid)
        assert price.no_price == 1 - price.yes_price
        assert price.volume == Decimal(row["volume_fp"])


def test_every_market_of_the_newest_list_has_a_price() -> None:
    name = f"{NEWEST}/markets.json"
    parsed = read(of_kalshi.markets(), (SAMPLES / name).read_bytes())
    assert by_id(parsed, PriceSnapshot).keys() == by_id(parsed, Market).keys()
    nested = f"{NEWEST}/event_with_nested_markets.json"
    event = read(of_kalshi.event("X"), (SAMPLES / nested).read_bytes())
    assert by_id(event, Market)
    assert {market.event_id for market in by_id(event, Market).values()} == {
        document(nested)["event"]["event_ticker"]
    }


def test_a_settled_market_of_kalshi_pays_what_its_row_says() -> None:
    name = f"{DEMO}/markets__status_settled.json"
    found = by_id(read(of_kalshi.markets(status="settled"), (SAMPLES / name).read_bytes()), Market)
    for row in document(name)["markets"]:
        market, pays = found[row["ticker"]], Decimal(row["settlement_value_dollars"])
        assert market.resolution == row["result"]
        assert market.payouts is not None
        assert tuple(map(Decimal, market.payouts)) == (pays, 1 - pays)
        assert market.resolved_at is not None
        assert market.resolved_at.isoformat()[:23] == row["settlement_ts"][:23]


def test_pages_of_kalshi_are_requested_as_they_were_recorded() -> None:
    walked = ("markets__page1", "markets__page2", "markets__page3")
    first = of_kalshi.markets()
    for name, following in pairwise(walked):
        parsed = read(first, (SAMPLES / DEMO / f"{name}.json").read_bytes())
        requested = urlsplit(document(f"{DEMO}/{following}.meta.json")["path"])
        query = venues()["kalshi"].next_page(first, parsed)
        assert query is not None
        assert [query.params["cursor"]] == parse_qs(requested.query)["cursor"]
        assert {**query.params, "cursor": ""} == {**first.params, "cursor": ""}


# --- Kalshi: past prices ------------------------------------------------------------------------------------


def test_candlesticks_of_a_round_become_rows() -> None:
    body = document(f"{ROUND}/KXBTC15M_candlesticks_1m_first_last.json")
    query = of_kalshi.candles("KXBTC15M", body["ticker"], 1_785_297_600, 1_785_298_500, 1)
    rows = history(query, (SAMPLES / ROUND / "KXBTC15M_candlesticks_1m_first_last.json").read_bytes())
    assert {(row.market, row.interval_s, row.source) for row in rows} == {
        (body["ticker"], 60, "candlesticks")
    }
    for row, sent in zip(rows, body["candlesticks"], strict=True):
        assert row.event_time == sent["end_period_ts"] * SECOND
        prices = [Decimal(sent["price"][f"{each}_dollars"]) for each in ("close", "low", "high")]
        assert [row.price, row.price_low, row.price_high] == prices
        assert (row.bid, row.ask) == tuple(
            Decimal(sent[side]["close_dollars"]) for side in ("yes_bid", "yes_ask")
        )
        assert (row.volume, row.open_interest) == tuple(
            Decimal(sent[each]) for each in ("volume_fp", "open_interest_fp")
        )


def test_both_tiers_say_the_same_under_other_names() -> None:
    live, old = (document(f"{PROBES}/candlestick_{each}_row.json") for each in ("live", "historical"))
    [row] = history(of_kalshi.candles("KX", "KX-1", 0, 1, 60), {"ticker": "KX-1", "candlesticks": [live]})
    assert (row.price, row.bid, row.ask) == (Decimal("0.76"), Decimal("0.75"), Decimal("0.76"))
    assert (row.volume, row.open_interest) == (Decimal("4866.38"), Decimal("3667351.01"))
    [row] = history(of_kalshi.old_candles("KX-1", 0, 1, 60), {"ticker": "KX-1", "candlesticks": [old]})
    assert (row.price, row.bid, row.ask) == (Decimal("0.59"), Decimal("0.58"), Decimal("0.59"))
    assert (row.volume, row.open_interest) == (Decimal(35471), Decimal(75665260))
    assert (row.source, row.interval_s) == ("historical candlesticks", 3600)


def test_a_period_without_a_trade_has_quotes_and_no_price() -> None:
    body = document(f"{OLD}/series_candlesticks.json")
    rows = history(of_kalshi.candles("KXELONMARS", "KXELONMARS-99", 0, 1, 1440), body)
    assert len(rows) == len(body["candlesticks"])
    untraded = 0
    for row, sent in zip(rows, body["candlesticks"], strict=True):
        close = sent["price"].get("close_dollars")
        assert row.price == (None if close is None else Decimal(close))
        assert row.bid == Decimal(sent["yes_bid"]["close_dollars"])
        untraded += close is None
    assert 0 < untraded < len(rows)
    many = history(
        of_kalshi.many_candles(["KXELONMARS-99"], 0, 1, 1440), document(f"{OLD}/candlesticks_batch.json")
    )
    assert {row.market for row in many} == {"KXELONMARS-99"}
    assert {(row.event_time, row.price) for row in many} & {(row.event_time, row.price) for row in rows}
