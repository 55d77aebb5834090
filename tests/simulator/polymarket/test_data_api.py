from __future__ import annotations

from typing import Any

import pytest

from marketarchive.items import Resolution
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.venues.messages import Received
from marketarchive.venues.polymarket.parse import parse
from tests.simulator.requesting import (
    CLOB,
    DATA,
    NOW,
    SECONDS,
    closed_rounds,
    fetch,
    json_of,
    live_tokens,
    venue,
)

PATH = "/v2/resolutions"


def resolutions(conditions: list[str], at: int = SECONDS) -> dict[str, Resolution]:
    reply = fetch(DATA, PATH, {"condition": ",".join(conditions)}, at=at)
    result = parse(
        Received(
            "polymarket", "resolutions", f"https://{DATA}{PATH}", {}, None, reply.status, reply.body, NOW, 1
        )
    )
    assert result.errors == []
    return {item.market_id: item for item in result.items if isinstance(item, Resolution)}


def test_closed_markets_have_the_true_payouts() -> None:
    markets = closed_rounds(20)
    found = resolutions([market.condition_id for market in markets])
    for market in markets:
        assert found[market.condition_id].payouts == venue().world.payouts(market)
        resolved_at = found[market.condition_id].resolved_at
        assert resolved_at is not None
        assert resolved_at.timestamp() == market.closed_at


def test_open_unknown_and_just_closed_markets_are_left_out() -> None:
    live = venue().world.by_token(live_tokens(1)[0])
    assert live is not None
    assert live[0].closed_at is not None
    assert resolutions([live[0].condition_id, "0x" + "ab" * 32]) == {}
    assert resolutions([live[0].condition_id], at=live[0].closed_at) == {}
    assert len(resolutions([live[0].condition_id], at=live[0].closed_at + 60)) == 1


def test_legacy_markets_have_no_payouts_and_splits_do() -> None:
    others = [market for market in venue().world.others if market.closed_at]
    found = resolutions([market.condition_id for market in others])
    assert {each.status for each in found.values() if each.payouts is None} == {"closed"}
    assert sum(each.payouts == ("0.5", "0.5") for each in found.values()) == 1


def test_by_event() -> None:
    market = closed_rounds(1)[0]
    rows = json_of(fetch(DATA, PATH, {"event_id": str(market.group.number)}))["data"]
    assert [row["condition_id"] for row in rows] == [market.condition_id]


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        (PATH, {}, 400),
        (PATH, {"condition": "a", "event_id": "5"}, 400),
        (PATH, {"condition": ",".join(["a"] * 21)}, 400),
        ("/v2/nothing", {}, 404),
    ],
)
def test_errors_have_the_second_versions_shape(path: str, query: dict[str, str], status: int) -> None:
    assert set(json_of(fetch(DATA, path, query), status)) >= {"code", "error", "retryable", "trace_id"}


TRADES = "/v2/trades"


def trades(query: dict[str, str], at: int = SECONDS) -> dict[str, Any]:
    found: dict[str, Any] = json_of(fetch(DATA, TRADES, query, at=at))
    return found


def test_trades_are_paged_newest_first_while_new_ones_come() -> None:
    conditions = ",".join({venue().world.by_token(token)[0].condition_id for token in live_tokens(6)})  # type: ignore[index]  # live
    whole = trades({"condition": conditions, "limit": "100"})["data"]
    paged, query = [], {"condition": conditions, "limit": "20"}
    for later in range(5):
        page = trades(query, SECONDS + 10 * later)
        paged += page["data"]
        query["cursor"] = page["pagination"]["next_cursor"]
    assert paged == whole
    assert [row["timestamp"] for row in whole] == sorted((row["timestamp"] for row in whole), reverse=True)
    assert len({row["transaction_hash"] for row in whole}) == 100
    assert {row["condition_id"] for row in whole} == set(conditions.split(","))


def test_the_newest_trade_is_what_the_book_calls_the_last() -> None:
    token = live_tokens(1)[0]
    found = venue().world.by_token(token)
    assert found is not None
    newest = trades({"condition": found[0].condition_id, "limit": "1"})["data"][0]
    last = json_of(fetch(CLOB, "/book", {"token_id": token}, at=newest["timestamp"] + 1))["last_trade_price"]
    expected = float(last) if newest["outcome_index"] == 0 else 1 - float(last)
    assert newest["price"] == pytest.approx(expected, abs=1e-9)


def test_trades_end_with_the_round_and_have_a_last_page() -> None:
    market = closed_rounds(1)[0]
    page = trades({"condition": market.condition_id, "limit": "1000", "side": "buy"})
    while page["pagination"]["has_more"]:
        page = trades(
            {
                "condition": market.condition_id,
                "limit": "1000",
                "side": "buy",
                "cursor": page["pagination"]["next_cursor"],
            }
        )
    assert {row["side"] for row in page["data"]} == {"BUY"}
    assert max(row["timestamp"] for row in page["data"]) <= market.end
    assert trades({"condition": "0x" + "ab" * 32})["data"] == []
    assert trades({"user": "0x1", "start": "1"})["data"] == []


@pytest.mark.parametrize(
    "query", [{"limit": "1001"}, {"limit": "many"}, {"offset": "5"}, {"start": "1"}, {"cursor": "LTE="}]
)
def test_trades_refuse_what_the_second_version_refuses(query: dict[str, str]) -> None:
    assert json_of(fetch(DATA, TRADES, query), 400)["parameter"] == next(iter(query))


# --- the first version -----------------------------------------------------------------------------------


def first_version(query: dict[str, str], at: int = SECONDS) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json_of(fetch(DATA, "/trades", query, at=at))
    return found


def test_the_first_version_has_the_same_trades_under_other_names() -> None:
    market = closed_rounds(1)[0]
    new = trades({"condition": market.condition_id, "limit": "50"})["data"]
    old = first_version({"market": market.condition_id, "limit": "50"})
    names = {"transaction_hash": "transactionHash", "token_id": "asset", "condition_id": "conditionId"}
    assert len(old) == 50
    for one, other in zip(new, old, strict=True):
        for name in ("side", "size", "price", "timestamp", "outcome", *names):
            assert other[names.get(name, name)] == one[name]


def test_the_first_version_pages_by_offset_up_to_a_cap() -> None:
    market = closed_rounds(1)[0]
    query = {"market": market.condition_id}
    whole = first_version({**query, "limit": "100000"})
    assert first_version({**query, "limit": "10", "offset": "20"}) == whole[20:30]
    assert first_version({**query, "offset": "10000"}) == []
    assert (
        first_version({**query, "side": "sell", "limit": "3"})
        == [row for row in whole if row["side"] == "SELL"][:3]
    )
    assert json_of(fetch(DATA, "/trades", {**query, "offset": "10001"}), 400) == {
        "error": "max historical trades offset of 10000 exceeded"
    }
    assert fetch(DATA, "/trades", {**query, "limit": "many"}).status == 400


def test_the_first_version_without_a_market_and_of_none() -> None:
    assert {row["conditionId"] for row in first_version({})} <= {
        market.condition_id for token in live_tokens(40) if (market := _market(token))
    }
    assert first_version({"market": "0x" + "ab" * 32}) == first_version({"user": "0x1"}) == []
    market = closed_rounds(1)[0]
    assert {row["conditionId"] for row in first_version({"eventId": str(market.group.number)})} == {
        market.condition_id
    }


def _market(token: str) -> SimMarket:
    found = venue().world.by_token(token)
    assert found is not None
    return found[0]
