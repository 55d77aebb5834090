"""Gamma, Polymarket's catalogue of markets: https://gamma-api.polymarket.com.

A market row has strings that contain JSON, numbers as strings and as numbers, and omits keys instead of
sending null. `startDate` is the time of listing; the window of an up/down round begins at `eventStartTime`.
Rows of /events contain their markets; rows of /markets contain their event.

`endDate` may be missing from the market, its event, or both. `closedTime` is when the market closed.
`umaEndDate` is when the oracle had settled on the outcome, earlier or later than `endDate` (the same second
on all 193 rows recorded on 2026-07-24; in mixed formats on old rows). `umaResolutionStatus` is requested,
proposed, disputed, resolved or settled (official TypeScript SDK, 2026-09); `umaResolutionStatuses` lists the
states passed through. Volume and liquidity are in dollars.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from marketarchive.exceptions import ParseError
from marketarchive.items import Market, PriceSnapshot, ResolutionState
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.polymarket import rules, updown, wire

PLATFORM = "polymarket"
RESOLUTION_SOURCE = "polymarket gamma outcomePrices"
METADATA_SOURCE = "polymarket eventMetadata"

# a condition id has 32 bytes; that of a protocol v2 market has 31 (SDK, 2026-09), or is padded with a zero
# byte
_CONDITION = re.compile(r"0x(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{62})")

_STATES: dict[str, ResolutionState] = {
    "proposed": "proposed",
    "disputed": "disputed",
    "resolved": "final",
    "settled": "final",
}
"""State of the oracle (official TypeScript SDK, 2026-09) -> state of the resolution; `requested` has none
yet."""

# tags that are categories; an event has them among many others, in no order
_CATEGORIES = (
    "Politics",
    "Sports",
    "Crypto",
    "Finance",
    "Economy",
    "Tech",
    "Culture",
    "Geopolitics",
    "Weather",
)


def parse_markets_page(received: Received) -> Parsed:
    """Parse a page of /markets/keyset: `{"markets": [...], "next_cursor"?}`."""
    document = wire.decode(received.payload, "Market")
    parsed = Parsed(next_cursor=_cursor(document))
    for row in wire.rows(document, "markets", "Market"):
        _add_market(parsed, received, row, None)
    return parsed


def parse_events_page(received: Received) -> Parsed:
    """Parse a page of /events/keyset: `{"events": [{..., "markets": [...]}], "next_cursor"?}`."""
    document = wire.decode(received.payload, "Event")
    parsed = Parsed(next_cursor=_cursor(document))
    for row in wire.rows(document, "events", "Event"):
        _add_event(parsed, received, row)
    return parsed


def parse_markets(received: Received) -> Parsed:
    """Parse the answer of /markets: a JSON array of markets."""
    parsed = Parsed()
    for row in wire.rows(wire.decode(received.payload, "Market"), None, "Market"):
        _add_market(parsed, received, row, None)
    return parsed


def parse_events(received: Received) -> Parsed:
    """Parse the answer of /events: a JSON array of events, each with its markets."""
    parsed = Parsed()
    for row in wire.rows(wire.decode(received.payload, "Event"), None, "Event"):
        _add_event(parsed, received, row)
    return parsed


def parse_one_market(received: Received) -> Parsed:
    """Parse the answer of /markets/{id} or /markets/slug/{slug}: one market."""
    document = wire.decode(received.payload, "Market")
    if not isinstance(document, dict):
        raise ParseError("Market", f"expected an object, got {type(document).__name__}")
    parsed = Parsed()
    _add_market(parsed, received, document, None)
    return parsed


def parse_one_event(received: Received) -> Parsed:
    """Parse the answer of /events/{id} or /events/slug/{slug}: one event with its markets."""
    document = wire.decode(received.payload, "Event")
    if not isinstance(document, dict):
        raise ParseError("Event", f"expected an object, got {type(document).__name__}")
    parsed = Parsed()
    _add_event(parsed, received, document)
    return parsed


def parse_series(received: Received) -> Parsed:
    """Parse the answer of /series: a JSON array of series, each with slug and id."""
    parsed = Parsed()
    for row in wire.rows(wire.decode(received.payload, "Series"), None, "Series"):
        parsed.keys.append(_row_id(row))
        try:
            with wire.reading("Series"):
                fields = wire.mapping(row, "Series")
                slug, key = wire.text(fields, "slug"), wire.identifier(fields, "id")
        except ParseError as error:
            parsed.errors.append(error)
            continue
        if slug and key:
            parsed.series[slug] = key
    return parsed


def _cursor(document: Any) -> str | None:
    """Return the opaque cursor of the next page; None when it is absent, null or empty: the last page."""
    if not isinstance(document, dict):
        return None
    cursor = document.get("next_cursor")
    if cursor is not None and not isinstance(cursor, str):
        raise ParseError("Page", f"next_cursor={cursor!r} is not a string", ("next_cursor",))
    return cursor or None


def _row_id(row: Any) -> str:
    """Return the id of a row for comparison with others of its page, even if the rest cannot be decoded."""
    if isinstance(row, dict):
        for field in ("id", "conditionId", "slug"):
            if row.get(field):
                return str(row[field])
    return repr(row)[:80]


def _add_event(parsed: Parsed, received: Received, row: Any) -> None:
    parsed.keys.append(_row_id(row))
    try:
        with wire.reading("Event"):
            event = wire.mapping(row, "Event")
            markets = event.get("markets") or []
            if not isinstance(markets, list):
                raise wire.bad("markets", markets, "is not a list")
    except ParseError as error:
        parsed.errors.append(error)
        return
    for market in markets:
        _add_market(parsed, received, market, event, key=False)


def _add_market(
    parsed: Parsed, received: Received, row: Any, event: Mapping[str, Any] | None, *, key: bool = True
) -> None:
    if key:
        parsed.keys.append(_row_id(row))
    try:
        with wire.reading("Market"):
            fields = wire.mapping(row, "Market")
            market = _market(fields, event if event is not None else _event_of(fields), received)
        parsed.items.append(market)
        with wire.reading("PriceSnapshot"):
            snapshot = _snapshot(fields, market, received)
        if snapshot is not None:
            parsed.items.append(snapshot)
    except ParseError as error:
        parsed.errors.append(error)


def _event_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    events = row.get("events")
    return wire.mapping(events[0], "Market") if isinstance(events, list) and events else {}


def _market(row: Mapping[str, Any], event: Mapping[str, Any], received: Received) -> Market:
    version = wire.text(row, "version")
    slug = wire.text(row, "slug")
    series = wire.text(event, "seriesSlug") or _first_slug(event.get("series"))
    updown_round = (updown.of_slug(slug) if slug else None) or (updown.of_series(series) if series else None)
    asset, duration = updown_round or (None, None)
    outcomes = _outcomes(row)
    start_at, end_at = _window(row, event, slug, is_updown=updown_round is not None)
    closed = wire.flag(row, "closed")
    payouts = _payouts(row, len(outcomes)) if closed else None
    strike, settlement = _boundary_prices(event)
    event_id = wire.identifier(event, "id")
    volume = wire.decimal(row, "volume", "volumeNum")
    liquidity = wire.decimal(row, "liquidity", "liquidityNum")
    return Market(
        **received.origin(),
        platform=PLATFORM,
        market_id=condition_id(row),
        slug=slug,
        event_id=event_id,
        group=wire.text(row, "negRiskMarketID") or wire.text(event, "negRiskMarketID") or event_id,
        neg_risk=wire.flag(row, "negRisk"),
        title=wire.text(row, "question"),
        subtitle=wire.text(row, "groupItemTitle"),
        description=wire.text(row, "description"),
        category=_category(row, event),
        outcomes=outcomes,
        tokens=_tokens(row, version, outcomes),
        asset=asset,
        series=series,
        duration=duration,
        start_at=start_at,
        end_at=end_at,
        closed_at=wire.time(row, "closedTime") if closed else None,
        determined_at=_determined_at(row) if payouts else None,
        volume=volume,
        volume_unit=None if volume is None else "dollars",
        liquidity=liquidity,
        liquidity_unit=None if liquidity is None else "dollars",
        status=_status(closed, wire.flag(row, "active"), payouts),
        strike=strike,
        strike_source=METADATA_SOURCE if strike is not None else None,
        settlement=settlement,
        settlement_source=METADATA_SOURCE if settlement is not None else None,
        resolution=_winner(outcomes, payouts),
        payouts=payouts,
        resolution_state=_state(row, is_decided=payouts is not None),
        resolution_source=RESOLUTION_SOURCE if payouts else None,
        rule=_rule(row, event, asset),
        resolved_at=wire.time(row, "closedTime") if payouts else None,
        protocol_version=version,
        tick_size=wire.decimal(row, "orderPriceMinTickSize"),
    )


def _snapshot(row: Mapping[str, Any], market: Market, received: Received) -> PriceSnapshot | None:
    """Return the prices of an open market; None for a closed one.

    The figures of a closed market are payouts, or meaningless.
    """
    prices = None if market.status in ("closed", "resolved") else _prices(row)
    if prices is None:
        return None
    yes, no = prices
    return PriceSnapshot(
        **received.origin(),
        platform=PLATFORM,
        market_id=market.market_id,
        yes_price=yes,
        no_price=no,
        volume=market.volume,
        liquidity=market.liquidity,
        spread=wire.decimal(row, "spread", high=1),
    )


def condition_id(row: Mapping[str, Any]) -> str:
    """Return the condition id that identifies a market: 32 bytes in hex, 31 for protocol v2.

    The padded form of v2 is shortened to 31 bytes.
    """
    found = wire.text(row, "conditionId")
    if found is None or not _CONDITION.fullmatch(found):
        raise wire.bad("conditionId", found, "is not 0x and 64 (protocol v2: 62) hexadecimal digits")
    is_padded = row.get("version") == "v2" and len(found) == 66 and found.endswith("00")
    return found[:-2] if is_padded else found


def _outcomes(row: Mapping[str, Any]) -> tuple[str, ...]:
    outcomes = wire.strings(row, "outcomes")
    if outcomes is None:
        raise wire.bad("outcomes", row.get("outcomes"), "is missing: a legacy market")
    if len(outcomes) != 2:
        raise wire.bad("outcomes", outcomes, f"has {len(outcomes)} labels, not 2: a legacy market")
    if outcomes[0] == outcomes[1]:
        raise wire.bad("outcomes", outcomes, "names the same outcome twice")
    return outcomes


def _tokens(row: Mapping[str, Any], version: str | None, outcomes: tuple[str, ...]) -> dict[str, str] | None:
    """Return outcome label -> token id; None while the venue has not assigned the ids yet.

    version: of the market's protocol; outcomes: labels in the venue's order.
    """
    field = "positionIds" if version == "v2" else "clobTokenIds"
    ids = wire.strings(row, field)
    if ids is None:
        return None
    if len(ids) != len(outcomes):
        raise wire.bad(field, ids, f"does not match outcomes {outcomes}")
    if not all(each.isascii() and each.isdigit() for each in ids):
        raise wire.bad(field, ids, "holds something else than decimal numbers")
    return dict(zip(outcomes, ids, strict=True))


def _prices(row: Mapping[str, Any]) -> tuple[Decimal, Decimal] | None:
    prices = wire.strings(row, "outcomePrices")
    if prices is None:
        return None
    if len(prices) != 2:
        raise wire.bad("outcomePrices", prices, "does not have 2 prices")
    first, second = (wire.number(price, "outcomePrices", high=1) for price in prices)
    return first, second


def _payouts(row: Mapping[str, Any], count: int) -> tuple[str, ...] | None:
    """Return the payout per share for each outcome of a closed market; None unless its prices are decisive.

    (1, 0) and (0.5, 0.5) are. Old rows state (0, 0), scalar markets a fraction, and a market closed a moment
    ago still has its last prices: none of these is a result. count: number of outcomes.
    """
    prices = _prices(row)
    if prices is None:
        return None
    decisive = sorted(prices) == [0, 1] or set(prices) == {Decimal(1) / count}
    return tuple(map(wire.plain, prices)) if decisive else None


def _winner(outcomes: tuple[str, ...], payouts: tuple[str, ...] | None) -> str | None:
    return outcomes[payouts.index("1")] if payouts and "1" in payouts else None


def _status(closed: bool | None, active: bool | None, payouts: tuple[str, ...] | None) -> Any:
    if closed:
        return "resolved" if payouts else "closed"
    return "active" if closed is False and active else None


def _state(row: Mapping[str, Any], *, is_decided: bool) -> ResolutionState | None:
    """Return the state of the resolution; None before a proposal, and when the row does not state it.

    is_decided: the market has a result.
    """
    present = wire.text(row, "umaResolutionStatus")
    if present is None and not is_decided:  # the row lags: a decided market has passed one more state
        present = (wire.strings(row, "umaResolutionStatuses") or ("",))[-1]
    state = _STATES.get(present or "")
    return None if state == "final" and not is_decided else state


def _determined_at(row: Mapping[str, Any]) -> datetime | None:
    """Return when the oracle settled the outcome; None for old rows, which have free text there."""
    try:
        return wire.time(row, "umaEndDate")
    except ParseError:
        return None


def _window(
    row: Mapping[str, Any], event: Mapping[str, Any], slug: str | None, *, is_updown: bool
) -> tuple[datetime | None, datetime | None]:
    """Return the start and the end of a market's window, each None when unknown.

    A market without an end takes that of its event, unless the event's end lies before the start.
    """
    end_at = wire.time(row, "endDate")
    start_at = _start(row, event, slug, end_at, is_updown=is_updown)
    if end_at is None:
        of_event = wire.time(event, "endDate")
        end_at = of_event if of_event and (start_at is None or start_at < of_event) else None
    return start_at, end_at


def _start(
    row: Mapping[str, Any],
    event: Mapping[str, Any],
    slug: str | None,
    end_at: datetime | None,
    *,
    is_updown: bool,
) -> datetime | None:
    """Return the start of a market's window; None when unknown.

    `startDate` is the time of listing and never used.
    """
    start = wire.time(row, "eventStartTime")
    if is_updown:
        number = updown.start_of_slug(slug) if slug else None
        return (
            start
            or wire.time(event, "startTime")
            or (datetime.fromtimestamp(number, UTC) if number else None)
        )
    # for other markets it is a kick-off or an election day, which can lie after endDate
    return start if start and (end_at is None or start < end_at) else None


def _boundary_prices(event: Mapping[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    """Return a round's price to beat and final price; None for what is not stated.

    For other events the same key holds texts for the web page.
    """
    metadata = event.get("eventMetadata")
    if not isinstance(metadata, dict):
        return None, None
    fields = wire.mapping(metadata, "Market")
    return wire.decimal(fields, "priceToBeat"), wire.decimal(fields, "finalPrice")


def _rule(row: Mapping[str, Any], event: Mapping[str, Any], asset: str | None) -> str | None:
    """Return the settlement source that the market itself states; None when it states none.

    A source that is not known is returned as stated for a round (with an `asset`), so that no rule is assumed
    from its date.
    """
    source = wire.text(row, "resolutionSource") or wire.text(event, "resolutionSource") or ""
    return rules.stated(row, source, asset) or (source or None if asset else None)


def _category(row: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    given = wire.text(row, "category") or wire.text(event, "category")
    if given:
        return given
    tags = event.get("tags") or row.get("tags")
    labels = [tag.get("label") for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
    known = [label for label in _CATEGORIES if label in labels]
    return known[0] if known else next((label for label in labels if label and label != "All"), None)


def _first_slug(series: Any) -> str | None:
    first = series[0] if isinstance(series, list) and series else None
    return wire.text(first, "slug") if isinstance(first, dict) else None
