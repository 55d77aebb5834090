"""What frames of life cycles say for the market master."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.items import Market, Resolution
from marketarchive.times import SECOND, iso
from marketarchive.venues.kalshi.lifecycle import LIFECYCLE, RESOLUTION_SOURCE
from marketarchive.venues.kalshi.parse import parse
from marketarchive.venues.kalshi.socket import SOCKET
from marketarchive.venues.messages import Received

A = "KXBTC15M-26NOV210515-15"
AT = 1_795_255_200
"""2026-11-21T10:00:00Z: its open."""


def said(event: str, market: str = A, at: int = AT, **more: Any) -> list[Any]:
    message = {"market_ticker": market, "event_type": event, **more}
    frame = {"type": LIFECYCLE, "sid": 5, "seq": 7, "sending_ts_ms": at * 1000, "msg": message}
    payload = json.dumps(frame).encode()
    return parse(Received("kalshi", "stream", SOCKET.url, {}, None, 0, payload, at * SECOND, 3, "c1")).items


def test_a_market_that_is_made() -> None:
    more = {
        "event_ticker": "KXBTC15M-26NOV210515",
        "title": "BTC price up in next 15 mins?",
        "yes_sub_title": "Target price: TBD",
        "rules_primary": "If the mean",
        "rules_secondary": "",
        "expected_expiration_ts": AT + 1200,
    }
    steps = [{"start": "0.0000", "end": "0.1000", "step": "0.0010"}]
    made: dict[str, Any] = {
        "open_ts": AT,
        "close_ts": AT + 900,
        "price_ranges": steps,
        "additional_metadata": more,
    }
    [found] = said("created", at=AT - 17_000, **made)
    assert isinstance(found, Market)
    assert (found.market_id, found.event_id, found.title) == (A, more["event_ticker"], more["title"])
    assert (found.series, found.asset, found.duration, found.status) == ("KXBTC15M", "BTC", "15m", "unopened")
    assert [iso(int(at.timestamp()) * SECOND)[11:19] for at in (found.start_at, found.end_at) if at] == [
        "10:00:00",
        "10:15:00",
    ]
    assert (found.strike, found.resolution, found.tick_size) == (None, None, Decimal("0.001"))
    assert (found.venue, found.feed, found.seq, found.received_at) == (
        "kalshi", "stream", 3, (AT - 17_000) * SECOND
    )  # fmt: skip


def test_a_strike_keeps_its_digits() -> None:
    [found] = said("metadata_updated", floor_strike=63441.03, strike_type="greater_or_equal")
    assert (found.strike, found.strike_type) == (Decimal("63441.03"), "greater_or_equal")
    assert (found.status, found.title, found.end_at) == (None, None, None)
    assert said("metadata_updated") == []


def test_a_close_that_is_moved() -> None:
    [found] = said("close_date_updated", close_ts=AT + 60)
    assert (found.end_at.timestamp(), found.status) == (AT + 60, None)


@pytest.mark.parametrize(
    ("result", "value", "kind", "resolution", "payouts"),
    [
        ("yes", "1.0000", "winner", "yes", ("1", "0")),
        ("no", "0.0000", "winner", "no", ("0", "1")),
        ("no", 0, "winner", "no", ("0", "1")),  # an integer, as before 2026-03-12
        ("scalar", "0.5000", "scalar", None, ("0.5", "0.5")),
    ],
)
def test_a_result_may_still_change(
    result: str, value: Any, kind: str, resolution: str | None, payouts: tuple[str, str]
) -> None:
    [found] = said("determined", result=result, determination_ts=AT + 902, settlement_value=value)
    assert isinstance(found, Resolution)
    assert (found.status, found.resolution_state) == ("resolved", "proposed")
    assert (found.result_kind, found.resolution, found.payouts) == (kind, resolution, payouts)
    assert found.resolution_source == RESOLUTION_SOURCE
    assert found.problem() is None


@pytest.mark.parametrize("event", ["settled", "activated", "deactivated", "another"])
def test_what_the_master_has_no_word_for(event: str) -> None:
    assert said(event, settled_ts=AT + 906) == []


def test_other_markets_stay_in_raw() -> None:
    assert said("determined", "KXHIGHNY-26NOV21-B53.5", result="no") == []


@pytest.mark.parametrize(
    "more",
    [
        {"result": "maybe"},
        {"result": "scalar"},
        {"result": "yes", "settlement_value": "1.5"},
    ],
)
def test_a_result_that_is_none(more: dict[str, Any]) -> None:
    with pytest.raises(ParseError):
        said("determined", **more)


def test_times_that_do_not_fit() -> None:
    with pytest.raises(ParseError, match="not after start_at"):
        said("created", open_ts=AT, close_ts=AT)
    with pytest.raises(ParseError, match="is not a time"):
        said("close_date_updated", close_ts=10**15)


def test_other_frames_say_nothing() -> None:
    payload = b'{"type":"subscribed","id":1,"msg":{"channel":"ticker","sid":2}}'
    received = Received("kalshi", "stream", "", {}, None, 0, payload, AT * SECOND, 3, "c1")
    assert parse(received).items == []
