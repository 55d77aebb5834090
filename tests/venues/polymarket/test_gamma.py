from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.items import Market, PriceSnapshot
from marketarchive.venues.messages import Parsed
from marketarchive.venues.polymarket.endpoints import (
    EVENTS,
    EVENTS_KEYSET,
    MARKETS,
    MARKETS_KEYSET,
    SERIES,
    event_by_slug,
    market_by_slug,
)
from tests.venues.polymarket.rows import CONDITION, TOKENS, event_row, market_row, parsed


def only_market(result: Parsed) -> Market:
    assert result.errors == []
    (market,) = (item for item in result.items if isinstance(item, Market))
    return market


def market_of(**changes: Any) -> Market:
    return only_market(parsed(MARKETS, [market_row(**changes)]))


def error_of(**changes: Any) -> ParseError:
    result = parsed(MARKETS, [market_row(**changes)])
    (error,) = result.errors
    assert not any(isinstance(item, Market) for item in result.items)
    return error


def test_an_open_round() -> None:
    result = parsed(MARKETS, [market_row()])
    market, snapshot = result.items
    assert isinstance(market, Market)
    assert isinstance(snapshot, PriceSnapshot)
    assert (market.venue, market.feed, market.seq) == ("polymarket", "feed", 7)
    assert (market.platform, market.market_id) == ("polymarket", CONDITION)
    assert (market.asset, market.duration, market.status) == ("BTC", "5m", "active")
    assert market.tokens == {"Up": TOKENS[0], "Down": TOKENS[1]}
    assert market.start_at == datetime(2026, 7, 24, 0, 45, tzinfo=UTC)  # not startDate, the listing
    assert market.end_at == datetime(2026, 7, 24, 0, 50, tzinfo=UTC)
    assert market.volume == Decimal("35024.42854499998")
    assert market.rule == "chainlink spot"
    assert (snapshot.yes_price, snapshot.no_price) == (Decimal("0.505"), Decimal("0.495"))
    assert (snapshot.spread, snapshot.liquidity) == (Decimal("0.01"), Decimal("20328.3747"))
    assert result.keys == ["3048456"]


@pytest.mark.parametrize(
    ("url", "document", "cursor"),
    [
        (MARKETS_KEYSET, {"markets": [market_row()], "next_cursor": "abc"}, "abc"),
        (MARKETS_KEYSET, {"markets": [market_row()], "next_cursor": None}, None),
        (EVENTS_KEYSET, {"events": [event_row(market_row())]}, None),
        (MARKETS, [market_row()], None),
        (EVENTS, [event_row(market_row())], None),
        (market_by_slug("btc-updown-5m-1784853900"), market_row(), None),
        (f"{MARKETS}/3048456", market_row(), None),
        (event_by_slug("btc-updown-5m-1784853900"), event_row(market_row()), None),
        (f"{EVENTS}/260654", event_row(market_row()), None),
    ],
)
def test_every_route_gives_the_market(url: str, document: Any, cursor: str | None) -> None:
    result = parsed(url, document)
    assert only_market(result).market_id == CONDITION
    assert result.next_cursor == cursor
    assert len(result.keys) == 1


def test_the_event_gives_series_start_and_category() -> None:
    tags = [{"label": "All"}, {"label": "Crypto"}, {"label": "5M"}]
    row = event_row(
        market_row(eventStartTime=None, slug="x"),
        seriesSlug="btc-up-or-down-5m",
        startTime="2026-07-24T00:45:00Z",
        tags=tags,
    )
    market = only_market(parsed(EVENTS, [row]))
    assert (market.series, market.category) == ("btc-up-or-down-5m", "Crypto")
    assert (market.asset, market.duration) == ("BTC", "5m")
    assert market.start_at == datetime(2026, 7, 24, 0, 45, tzinfo=UTC)
    in_row = market_of(events=[{"series": [{"slug": "btc-up-or-down-5m"}], "tags": [{"label": "Other"}]}])
    assert (in_row.series, in_row.category) == ("btc-up-or-down-5m", "Other")
    assert market_of(category="Sports").category == "Sports"


def test_event_group_and_units() -> None:
    alone = market_of(negRisk=False, groupItemTitle="$1B", events=[{"id": "260654", "negRisk": False}])
    assert (alone.event_id, alone.group, alone.neg_risk, alone.subtitle) == ("260654", "260654", False, "$1B")
    assert (alone.volume_unit, alone.liquidity_unit) == ("dollars", "dollars")
    risky = market_row(negRisk=True, negRiskMarketID="0x2c3d")
    for row in (event_row(risky), event_row(market_row(negRisk=True), negRiskMarketID="0x2c3d")):
        market = only_market(parsed(EVENTS, [row]))
        assert (market.event_id, market.group, market.neg_risk) == ("260654", "0x2c3d", True)
    unknown = market_of(volume=None, liquidity=None)  # no event, no figures: nothing is said of either
    assert (unknown.event_id, unknown.group, unknown.neg_risk) == (None, None, None)
    assert (unknown.volume_unit, unknown.liquidity_unit) == (None, None)


@pytest.mark.parametrize(
    ("of_market", "of_event", "end"),
    [
        ("2026-07-24T00:50:00Z", "2026-07-30T00:00:00Z", "2026-07-24T00:50:00+00:00"),
        (None, "2026-07-30T00:00:00Z", "2026-07-30T00:00:00+00:00"),
        (None, "2026-07-01T00:00:00Z", None),  # before the start: it means something else
        ("2026-07-24T00:50:00Z", None, "2026-07-24T00:50:00+00:00"),
        (None, None, None),
    ],
)
def test_an_end_that_is_missing_is_that_of_the_event(
    of_market: str | None, of_event: str | None, end: str | None
) -> None:
    row = event_row(market_row(endDate=of_market), **({"endDate": of_event} if of_event else {}))
    market = only_market(parsed(EVENTS, [row]))
    assert (None if market.end_at is None else market.end_at.isoformat()) == end
    assert market.start_at == datetime(2026, 7, 24, 0, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({}, None),
        ({"umaResolutionStatus": "requested"}, None),
        ({"umaResolutionStatus": "proposed"}, "proposed"),
        ({"umaResolutionStatus": "disputed", "umaResolutionStatuses": '["proposed"]'}, "disputed"),
        ({"umaResolutionStatuses": '["proposed", "disputed", "proposed"]'}, "proposed"),
        ({"umaResolutionStatus": "resolved"}, None),  # its prices do not say the result yet
        ({"closed": True, "umaResolutionStatus": "resolved", "outcomePrices": ["1", "0"]}, "final"),
        ({"closed": True, "umaResolutionStatus": "settled", "outcomePrices": ["1", "0"]}, "final"),
        ({"closed": True, "umaResolutionStatus": "disputed", "outcomePrices": ["1", "0"]}, "disputed"),
        ({"closed": True, "umaResolutionStatuses": '["proposed"]', "outcomePrices": ["1", "0"]}, None),
    ],
)
def test_the_oracles_state(said: dict[str, Any], state: str | None) -> None:
    assert market_of(**said).resolution_state == state


@pytest.mark.parametrize(
    ("said", "determined"),
    [
        ("2026-07-24T00:50:52Z", datetime(2026, 7, 24, 0, 50, 52, tzinfo=UTC)),
        ("2026-07-20T00:00:00Z", datetime(2026, 7, 20, tzinfo=UTC)),  # before endDate
        ("2026-08-20 00:00:00+00", datetime(2026, 8, 20, tzinfo=UTC)),
        ("November 3, 2020", None),
        (None, None),
    ],
)
def test_when_a_market_closed_and_was_determined(said: str | None, determined: datetime | None) -> None:
    ended = {"closedTime": "2026-07-24 00:51:00+00", "umaEndDate": said}
    market = market_of(closed=True, outcomePrices=["0", "1"], **ended)
    assert market.closed_at == market.resolved_at == datetime(2026, 7, 24, 0, 51, tzinfo=UTC)
    assert market.determined_at == determined
    for earlier in (market_of(**ended), market_of(closed=True, outcomePrices=["0.4", "0.6"], **ended)):
        assert earlier.determined_at is None
    assert market_of(**ended).closed_at is None


def test_the_slugs_number_is_the_start_of_last_resort() -> None:
    assert market_of(eventStartTime=None).start_at == datetime(2026, 7, 24, 0, 45, tzinfo=UTC)


def test_an_election_day_after_the_end_is_no_start() -> None:
    assert market_of(slug="x", eventStartTime="2026-08-01T00:00:00Z").start_at is None


def test_real_arrays_and_reordered_labels() -> None:
    market = market_of(outcomes=["Down", "Up"], clobTokenIds=list(TOKENS), outcomePrices=["0.4", "0.6"])
    assert market.tokens == {"Down": TOKENS[0], "Up": TOKENS[1]}


def test_the_version_chooses_the_ids() -> None:
    ids = {"positionIds": ["71", "72"], "clobTokenIds": '["8", "9"]'}
    assert market_of(version="v2", **ids).tokens == {"Up": "71", "Down": "72"}
    assert market_of(version="v1", **ids).tokens == {"Up": "8", "Down": "9"}
    assert market_of(version="v2").tokens is None  # ids not given yet
    assert market_of(version="v2", **ids).protocol_version == "v2"


def test_condition_ids_of_31_bytes_and_their_padded_form() -> None:
    short = "0x01" + "ab" * 30
    assert market_of(version="v2", conditionId=short).market_id == short
    assert market_of(version="v2", conditionId=short + "00").market_id == short
    assert market_of(version="v1", conditionId=short + "00").market_id == short + "00"
    assert error_of(conditionId="0xabc").fields == ("conditionId",)
    assert error_of(conditionId=None).fields == ("conditionId",)


@pytest.mark.parametrize(
    ("prices", "status", "resolution", "payouts"),
    [
        (["1", "0"], "resolved", "Up", ("1", "0")),
        (["0.0", "1.0"], "resolved", "Down", ("0", "1")),
        (["0.5", "0.5"], "resolved", None, ("0.5", "0.5")),
        (["0", "0"], "closed", None, None),
        (["0.9995", "0.0005"], "closed", None, None),
        (["0.58433", "0.41567"], "closed", None, None),
        (None, "closed", None, None),
    ],
)
def test_a_result_only_where_the_prices_leave_no_doubt(
    prices: list[str] | None, status: str, resolution: str | None, payouts: tuple[str, ...] | None
) -> None:
    result = parsed(
        MARKETS,
        [
            market_row(
                closed=True, acceptingOrders=True, outcomePrices=prices, closedTime="2026-07-24 00:50:52+00"
            )
        ],
    )
    market = only_market(result)
    assert (market.status, market.resolution, market.payouts) == (status, resolution, payouts)
    assert len(result.items) == 1  # payouts are not prices
    is_resolved = status == "resolved"
    assert market.resolved_at == (datetime(2026, 7, 24, 0, 50, 52, tzinfo=UTC) if is_resolved else None)
    assert market.resolution_source == ("polymarket gamma outcomePrices" if is_resolved else None)


def test_decisive_prices_of_an_open_market_are_no_result() -> None:
    assert market_of(outcomePrices=["1", "0"]).status == "active"
    assert market_of(active=False).status is None


def test_boundary_prices_keep_their_literal() -> None:
    row = b'[{"events":[{"eventMetadata":{"priceToBeat":77986.83150999999,"finalPrice":"78001.5"}}],'
    payload = row + b'"conditionId":"%s","outcomes":["Up","Down"],"closed":true}]' % CONDITION.encode()
    market = only_market(parsed(MARKETS, payload))
    assert market.strike == Decimal("77986.83150999999")
    assert market.settlement == Decimal("78001.5")
    assert market.strike_source == market.settlement_source == "polymarket eventMetadata"


def test_metadata_of_other_events_is_no_strike() -> None:
    market = market_of(events=[{"eventMetadata": {"context_description": "news"}}])
    assert (market.strike, market.strike_source) == (None, None)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        (
            {"resolutionSource": "https://data.chain.link/streams/btc-usd-twap-60s-streams"},
            "chainlink twap 60s",
        ),
        ({"cryptoMarketConfig": {"twapEnabled": True, "twapLookbackSeconds": 30}}, "chainlink twap 30s"),
        ({"cryptoMarketConfig": {"twapEnabled": False, "twapLookbackSeconds": 60}}, "chainlink spot"),
        ({"resolutionSource": "https://www.binance.com/en/trade/BTC_USDT"}, "binance"),
        ({"resolutionSource": None}, None),
    ],
)
def test_the_rule_is_what_the_market_says(changes: dict[str, Any], rule: str | None) -> None:
    assert market_of(**changes).rule == rule


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"outcomes": None}, "outcomes"),
        ({"outcomes": '["A", "B", "C"]'}, "outcomes"),
        ({"outcomes": '["A", "A"]'}, "outcomes"),
        ({"outcomes": "[broken"}, "outcomes"),
        ({"outcomes": 5}, "outcomes"),
        ({"outcomes": [None, "B"]}, "outcomes"),
        ({"clobTokenIds": '["1"]'}, "clobTokenIds"),
        ({"clobTokenIds": '["1", "0x2"]'}, "clobTokenIds"),
        ({"outcomePrices": '["-0.1", "1.1"]', "closed": True}, "outcomePrices"),
        ({"outcomePrices": '["1"]', "closed": True}, "outcomePrices"),
        ({"volume": "-1"}, "volume"),
        ({"volume": "NaN"}, "volume"),
        ({"volume": "many"}, "volume"),
        ({"volume": True}, "volume"),
        ({"liquidity": float("inf")}, "liquidity"),
        ({"orderPriceMinTickSize": 0}, "tick_size"),
        ({"endDate": "soon"}, "endDate"),
        ({"endDate": "2026-07-24T00:40:00Z"}, "end_at"),
        ({"closed": "yes"}, "closed"),
        ({"slug": 5}, "slug"),
        ({"events": [5]}, ""),
    ],
)
def test_a_bad_field_is_named(changes: dict[str, Any], field: str) -> None:
    error = error_of(**changes)
    assert error.item == "Market"
    assert error.fields == ((field,) if field else ())


@pytest.mark.parametrize("value", [-0.01, float("nan"), 2])
def test_a_bad_spread_costs_the_snapshot_only(value: float) -> None:
    result = parsed(MARKETS, [market_row(spread=value)])
    assert [type(item) for item in result.items] == [Market]
    (error,) = result.errors
    assert (error.item, error.fields) == ("PriceSnapshot", ("spread",))


def test_a_key_that_occurs_twice_makes_the_row_ambiguous() -> None:
    payload = b'[{"conditionId":"x","conditionId":"%s","outcomes":["Up","Down"]}]' % CONDITION.encode()
    (error,) = parsed(MARKETS, payload).errors
    assert error.fields == ("conditionId",)


def test_a_bad_row_spoils_nothing_else() -> None:
    rows = [market_row(outcomes=None, id="1"), 5, market_row(id="2"), market_row(id=None)]
    result = parsed(MARKETS_KEYSET, {"markets": rows, "next_cursor": "n"})
    assert len(result.errors) == 2
    assert sum(isinstance(item, Market) for item in result.items) == 2
    assert result.keys == ["1", "5", "2", CONDITION]
    events = parsed(EVENTS, [event_row(market_row(outcomes=None), market_row()), {"markets": 5}, "x"])
    assert [error.item for error in events.errors] == ["Market", "Event", "Event"]
    assert sum(isinstance(item, Market) for item in events.items) == 1


@pytest.mark.parametrize(
    ("url", "payload"),
    [
        (MARKETS, b"<!DOCTYPE html>"),
        (MARKETS, b'[{"conditionId"'),
        (MARKETS, b"\xff\xfe"),
        (MARKETS, b"[" * 100_000),
        (MARKETS, b'{"markets":[]}'),
        (MARKETS_KEYSET, b"[]"),
        (MARKETS_KEYSET, b'{"markets":{}}'),
        (MARKETS_KEYSET, b'{"markets":[],"next_cursor":5}'),
        (EVENTS_KEYSET, b'{"data":[]}'),
        (market_by_slug("x"), b"[]"),
        (event_by_slug("x"), b"5"),
        (SERIES, b"{}"),
    ],
)
def test_another_document_than_promised_is_refused(url: str, payload: bytes) -> None:
    with pytest.raises(ParseError):
        parsed(url, payload)


def test_series_give_their_ids() -> None:
    rows = [{"slug": "btc-up-or-down-5m", "id": "10684"}, {"slug": 1, "id": "6"}, {"slug": "x", "id": 5}]
    result = parsed(SERIES, rows)
    assert result.series == {"btc-up-or-down-5m": "10684", "x": "5"}
    assert result.keys == ["10684", "6", "5"]
    assert [error.fields for error in result.errors] == [("slug",)]
