"""Events that the channel `market_lifecycle_v2` reports of markets, as items for the market master.

AsyncAPI 2.0.0 (2026-08-22); two frames of production (2026-07-19). The channel has no filter: it reports
all markets of the exchange except combinations.

    {"type":"market_lifecycle_v2","sid":1,"seq":279597,"msg":{"market_ticker","event_type":"determined",
     "determination_ts":1784501722,"result":"no","settlement_value":"0.0000"}}

The channel does not report the opening and the close of a market. Pauses (`deactivated`, `activated`) are not
among the master's states, and `settled` names no result, so neither makes an item; both are in raw.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Market, Resolution
from marketarchive.times import from_seconds, utc
from marketarchive.venues.kalshi import wire
from marketarchive.venues.kalshi.markets import (
    OUTCOMES,
    PLATFORM,
    STRIKE_SOURCE,
    duration_of,
    result_of,
    tick_size,
)
from marketarchive.venues.kalshi.tickers import asset_of, rounds_series, series_of
from marketarchive.venues.market_messages import MarketEvent

LIFECYCLE = "market_lifecycle_v2"
"""Name of the channel, which is also its key among the subscriptions of a connection."""
RESOLUTION_SOURCE = f"kalshi {LIFECYCLE}"


class SentMetadata(msgspec.Struct, frozen=True, gc=False):
    """`additional_metadata` in the event of a newly created market."""

    event_ticker: str | None = None
    title: str | None = None
    yes_sub_title: str | None = None
    rules_primary: str | None = None
    rules_secondary: str | None = None
    expected_expiration_ts: int | None = None
    strike_type: str | None = None
    floor_strike: Decimal | None = None
    cap_strike: Decimal | None = None


class SentLifecycle(msgspec.Struct, frozen=True, gc=False):
    """`msg` of a frame; the keys present depend on `event_type`."""

    market_ticker: str
    event_type: str
    open_ts: int | None = None
    close_ts: int | None = None
    result: str | None = None
    settlement_value: Any = None  # dollars as text; an integer before 2026-03-12
    strike_type: str | None = None
    floor_strike: Decimal | None = None
    cap_strike: Decimal | None = None
    yes_sub_title: str | None = None
    price_ranges: list[wire.SentRange] | None = None
    additional_metadata: SentMetadata | None = None


def item_of(event: MarketEvent, origin: Mapping[str, Any]) -> Market | Resolution | None:
    """Return an event as an item of its market; None when the market master has no state for it.

    Events of markets other than the known series of rounds give None too: the channel reports tens of
    thousands of them a day, and `kalshi_markets` lists them. origin: fields common to all items of the
    message, as `Received.origin` returns them. Raises ParseError, ValidationError.
    """
    if series_of(event.market) not in rounds_series():
        return None
    said: SentLifecycle = event.said
    match event.event:
        case "created":
            stated = _created(said, event.at)
        case "close_date_updated":
            stated = {"end_at": _time(said.close_ts)}
        case "metadata_updated":
            stated = {"subtitle": said.yes_sub_title or None, **_strike(said)}
        case "price_level_structure_updated":
            stated = {"tick_size": tick_size(said.price_ranges)}
        case "determined":
            return _determined(said, origin)
        case _:
            return None
    if not any(value is not None for value in stated.values()):
        return None
    return Market(**origin, platform=PLATFORM, market_id=event.market, **stated)


def _created(said: SentLifecycle, at: int) -> dict[str, Any]:
    more = said.additional_metadata or SentMetadata()
    start_at, end_at = _time(said.open_ts), _time(said.close_ts)
    is_ahead = start_at is not None and start_at > utc(at)
    return {
        "slug": said.market_ticker,
        "event_id": more.event_ticker,
        "title": more.title or None,
        "subtitle": more.yes_sub_title or None,
        "description": "\n\n".join(filter(None, (more.rules_primary, more.rules_secondary))) or None,
        "outcomes": OUTCOMES,
        "asset": asset_of(said.market_ticker),
        "series": series_of(said.market_ticker),
        "duration": duration_of(said.market_ticker, start_at, end_at),
        "start_at": start_at,
        "end_at": end_at,
        "expected_end_at": _time(more.expected_expiration_ts),
        "status": "unopened" if is_ahead else None,
        "tick_size": tick_size(said.price_ranges),
        **_strike(more),
    }


def _strike(said: SentLifecycle | SentMetadata) -> dict[str, Any]:
    return {
        "strike": said.floor_strike,
        "strike_type": said.strike_type or None,
        "strike_cap": said.cap_strike,
        "strike_source": None if said.floor_strike is None else STRIKE_SOURCE,
    }


def _determined(said: SentLifecycle, origin: Mapping[str, Any]) -> Resolution | None:
    """Return the determined result of a market, which may still change before settlement.

    It is kept apart from the market's other fields, because a list received later may be a copy from before
    it. Raises ParseError for an unknown result.
    """
    value = _dollars(said.settlement_value)
    kind, resolution, payouts = result_of(said.market_ticker, "determined", said.result, value)
    if kind is None:
        return None
    return Resolution(
        **origin,
        platform=PLATFORM,
        market_id=said.market_ticker,
        status="resolved",
        resolution=resolution,
        result_kind=kind,
        payouts=payouts,
        resolution_state="proposed",
        resolution_source=RESOLUTION_SOURCE,
    )


def _dollars(value: Any) -> Decimal | None:
    """Return the number in a text; None for anything else.

    Integers were cents once, and it is not known until when, so they are not read.
    """
    try:
        return Decimal(value) if isinstance(value, str) and value else None
    except InvalidOperation:
        return None


def _time(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else utc(from_seconds(seconds))
    except (ValueError, OverflowError, OSError):
        raise ParseError("Lifecycle", f"{seconds} is not a time") from None
