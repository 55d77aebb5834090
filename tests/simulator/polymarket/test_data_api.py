from __future__ import annotations

import pytest

from marketarchive.items import Resolution
from marketarchive.venues.polymarket import Received, parse
from tests.simulator.asking import DATA, NOW, SECONDS, ask, closed_rounds, json_of, live_tokens, venue

PATH = "/v2/resolutions"


def resolutions(conditions: list[str], at: int = SECONDS) -> dict[str, Resolution]:
    reply = ask(DATA, PATH, {"condition": ",".join(conditions)}, at=at)
    result = parse(Received("resolutions", f"https://{DATA}{PATH}", {}, reply.status, reply.body, NOW, 1))
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
    rows = json_of(ask(DATA, PATH, {"event_id": str(market.group.number)}))["data"]
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
    assert set(json_of(ask(DATA, path, query), status)) >= {"code", "error", "retryable", "trace_id"}
