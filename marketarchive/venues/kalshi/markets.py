"""Kalshi's markets, of the live and of the historical tier, and the events that hold them.

A market says neither its series nor its category: its event does, and whether its markets exclude one another
(`mutually_exclusive`, specification 3.28 of 2026-08-22). Volume is counted in contracts; `liquidity_dollars`
was 0.0000 on the rows of June to August 2026 and is gone since 2026-10-01. When a result was determined no
row says, only when it was settled (`settlement_ts`, since 2025-12-25). The strike of a 15-minute round is not
there before its open, and on some never; `expiration_value` is "" until it is known (real objects of
2026-08-17).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Literal

import msgspec
from pydantic import ValidationError

from marketarchive.exceptions import ParseError
from marketarchive.items import Market, PriceSnapshot, ResultKind
from marketarchive.times import from_datetime
from marketarchive.venues.kalshi import wire
from marketarchive.venues.kalshi.settlement import terms_of
from marketarchive.venues.kalshi.tickers import ROUND_NS, market_facts, rounds_series, series_of
from marketarchive.venues.kalshi.titles import question
from marketarchive.venues.messages import Parsed, Received

PLATFORM = "kalshi"
ITEM = "Market"
OUTCOMES = ("yes", "no")
STRIKE_SOURCE = "kalshi floor_strike"
SETTLEMENT_SOURCE = "kalshi expiration_value"
RESOLUTION_SOURCE = "kalshi result"

Status = Literal["unopened", "active", "closed", "resolved"]
State = Literal["proposed", "disputed", "final"]

_OPEN: dict[str, Status] = {"initialized": "unopened", "active": "active", "inactive": "active"}
"""Statuses before the close -> ours; `inactive` means that trading is paused."""
_STATES: dict[str, State] = {
    "determined": "proposed",
    "amended": "proposed",
    "disputed": "disputed",
    "finalized": "final",
    "settled": "final",  # not seen in answers, which say finalized; socket messages say it
}
"""Statuses with a result -> state of the resolution; market_lifecycle (2026-08-22)."""
_CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Quoted:
    """The quotes in a market's row: prices in dollars, sizes in contracts; None for an empty side."""

    ticker: str
    is_trading: bool  # False: before the open, paused or closed
    yes_bid: Decimal | None
    yes_ask: Decimal | None
    yes_bid_size: Decimal | None
    yes_ask_size: Decimal | None
    volume: Decimal | None
    open_interest: Decimal | None


_MEAN = re.compile(
    r"simple average of the sixty seconds of CF Benchmarks' (?:Bitcoin Real-Time Index \()?(\w+)"
)


def parse_markets(received: Received) -> Parsed:
    """Return the markets on a page of /markets or /historical/markets.

    A row that cannot be read becomes an entry of `errors`. Raises ParseError for an unreadable page.
    """
    page = wire.decode(received.payload, wire.MarketsPage, ITEM)
    parsed = Parsed(next_cursor=page.cursor or None)
    _add_markets(parsed, received, page.markets, None, keys=True)
    return parsed


def parse_market(received: Received) -> Parsed:
    """Return the one market in an answer. Raises ParseError."""
    parsed = Parsed()
    sent = wire.decode(received.payload, wire.OneMarket, ITEM)
    _add_markets(parsed, received, [sent.market], None, keys=True)
    if parsed.errors and not parsed.items:
        raise parsed.errors[0]
    return parsed


def parse_events(received: Received) -> Parsed:
    """Return the markets in the events on a page of /events. Raises ParseError."""
    page = wire.decode(received.payload, wire.EventsPage, "Event")
    parsed = Parsed(next_cursor=page.cursor or None)
    for key, event in wire.rows(page.events, wire.SentEvent, "Event"):
        parsed.keys.append(key)
        if isinstance(event, ParseError):
            parsed.errors.append(event)
        else:
            _add_markets(parsed, received, event.markets or [], event)
    return parsed


def parse_event(received: Received) -> Parsed:
    """Return the markets of the event in an answer, which lists them inside the event or beside it.

    Raises ParseError.
    """
    sent = wire.decode(received.payload, wire.OneEvent, "Event")
    event = wire.decode(sent.event, wire.SentEvent, "Event")
    parsed = Parsed(keys=[event.event_ticker])
    _add_markets(parsed, received, event.markets or sent.markets or [], event)
    return parsed


def _add_markets(
    parsed: Parsed,
    received: Received,
    page: list[msgspec.Raw],
    event: wire.SentEvent | None,
    *,
    keys: bool = False,
) -> None:
    for key, row in wire.rows(page, wire.SentMarket, ITEM):
        if keys:
            parsed.keys.append(key)
        try:
            _add_market(parsed, received, row, event)
        except ParseError as error:
            parsed.errors.append(error)
        except ValidationError as error:
            parsed.errors.append(invalid(key, error))


def _add_market(
    parsed: Parsed, received: Received, row: wire.SentMarket | ParseError, event: wire.SentEvent | None
) -> None:
    if isinstance(row, ParseError):
        raise row
    if series_of(row.ticker) in rounds_series():
        parsed.statements.append(terms_of(row, _rule(row)))
    market = _market(row, event, received)
    parsed.items.append(market)
    parsed.statements.append(_quoted(row, market))
    if (snapshot := _snapshot(row, market, received)) is not None:
        parsed.items.append(snapshot)
    if market.payouts is not None and market.resolution is not None:
        paid = dict(zip(OUTCOMES, market.payouts, strict=True))[market.resolution]
        if paid != "1":  # the item keeps both statements; this error makes the contradiction known
            text = f"{row.ticker}: result={row.result!r} and settlement_value_dollars={market.payouts[0]}"
            parsed.errors.append(ParseError("Result", text, ("result", "settlement_value_dollars")))


def _market(row: wire.SentMarket, event: wire.SentEvent | None, received: Received) -> Market:
    start_at, end_at = _time(row, "open_time"), _time(row, "close_time")
    state = _STATES.get(row.status)
    kind, resolution, payouts = result_of(
        row.ticker, row.status, row.result, wire.dollars(row.settlement_value_dollars, row.settlement_value)
    )
    settlement = _number(row.expiration_value)
    volume = row.volume if row.volume_fp is None else row.volume_fp
    status = _status(row, is_decided=kind is not None)
    return Market(
        **received.origin(),
        platform=PLATFORM,
        market_id=row.ticker,
        slug=row.ticker,
        event_id=row.event_ticker,
        group=row.mve_collection_ticker or row.event_ticker,
        neg_risk=None if event is None else event.mutually_exclusive,
        title=question(row.title, row.yes_sub_title),
        subtitle=row.yes_sub_title or None,
        description="\n\n".join(filter(None, (row.rules_primary, row.rules_secondary))) or None,
        category=_category(event),
        outcomes=OUTCOMES,
        asset=market_facts(row.ticker).asset,
        series=series_of(row.ticker) if event is None else event.series_ticker,
        duration=duration_of(row.ticker, start_at, end_at),
        start_at=start_at,
        end_at=end_at,
        expected_end_at=_time(row, "expected_expiration_time"),
        closed_at=_closed_at(status, end_at, received.received_at),
        volume=volume,
        volume_unit=None if volume is None else "contracts",
        status=status,
        strike=row.floor_strike,
        strike_type=row.strike_type or None,
        strike_cap=row.cap_strike,
        strike_source=None if row.floor_strike is None else STRIKE_SOURCE,
        settlement=settlement,
        settlement_source=None if settlement is None else SETTLEMENT_SOURCE,
        resolution=resolution,
        result_kind=kind,
        payouts=payouts,
        resolution_state=None if kind is None else state,
        resolution_source=None if kind is None else RESOLUTION_SOURCE,
        rule=_rule(row),
        resolved_at=_time(row, "settlement_ts") if kind is not None else None,
        tick_size=tick_size(row.price_ranges),
    )


def _snapshot(row: wire.SentMarket, market: Market, received: Received) -> PriceSnapshot | None:
    """Return the prices of a market that is open; None for another.

    The price is midway between bid and ask, else that of the last trade.
    """
    if market.status != "active":
        return None
    bid = _real(wire.dollars(row.yes_bid_dollars, row.yes_bid), row.yes_bid_size_fp)
    ask = _real(wire.dollars(row.yes_ask_dollars, row.yes_ask), row.yes_ask_size_fp)
    yes = None if bid is None or ask is None else (bid + ask) / 2
    if yes is None:
        yes = _real(wire.dollars(row.last_price_dollars, row.last_price), None)
    if yes is None:
        return None
    return PriceSnapshot(
        **received.origin(),
        platform=PLATFORM,
        market_id=row.ticker,
        yes_price=yes,
        no_price=1 - yes,
        volume=market.volume,
        spread=None if bid is None or ask is None else ask - bid,
    )


def _quoted(row: wire.SentMarket, market: Market) -> Quoted:
    bid = _real(wire.dollars(row.yes_bid_dollars, row.yes_bid), row.yes_bid_size_fp)
    ask = _real(wire.dollars(row.yes_ask_dollars, row.yes_ask), row.yes_ask_size_fp)
    return Quoted(
        row.ticker,
        row.status == "active",
        bid,
        ask,
        None if bid is None else row.yes_bid_size_fp,
        None if ask is None else row.yes_ask_size_fp,
        market.volume,
        row.open_interest if row.open_interest_fp is None else row.open_interest_fp,
    )


def _real(price: Decimal | None, size: Decimal | None) -> Decimal | None:
    """Return a price; None for that of an empty side.

    The venue states an empty side as a price of 0 or 1 with a size of zero.
    """
    if price is None or not 0 < price < 1 or (size is not None and size <= 0):
        return None
    return price


def duration_of(ticker: str, start_at: datetime | None, end_at: datetime | None) -> Literal["15m"] | None:
    """Return `15m` for a 15-minute round, None for another market.

    The start and end that the market states decide; the ticker only when they are missing.
    """
    if series_of(ticker) not in rounds_series():
        return None
    if start_at is None or end_at is None:
        return "15m"
    return "15m" if from_datetime(end_at) - from_datetime(start_at) == ROUND_NS else None


def tick_size(ranges: Iterable[wire.SentRange] | None) -> Decimal | None:
    """Return the smallest price step of a market in dollars; None when none is stated."""
    steps = [each.step for each in ranges or () if each.step.is_finite() and each.step > 0]
    return min(steps, default=None)


def _status(row: wire.SentMarket, *, is_decided: bool) -> Status:
    if row.status in _STATES:
        return "resolved" if is_decided else "closed"
    if row.status == _CLOSED:
        return "closed"
    if row.status not in _OPEN:
        raise ParseError(ITEM, f"{row.ticker}: status={row.status!r} is not known", ("status",))
    return _OPEN[row.status]


def _closed_at(status: Status, end_at: datetime | None, received_at: int) -> datetime | None:
    """Return when trading ended; None while it has not, or when the stated end is still ahead at the receipt.

    The latter happens to a market that is settled early.
    """
    if end_at is None or status not in ("closed", "resolved"):
        return None
    return end_at if from_datetime(end_at) <= received_at else None


def result_of(
    ticker: str, status: str, result: str | None, value: Decimal | None
) -> tuple[ResultKind | None, str | None, tuple[str, str] | None]:
    """Return (kind of result, label of the winner, payouts of YES and NO in dollars as text).

    All three are None without a result. value: dollars paid for one contract of YES, None when not stated.
    Raises ParseError for a result or value that makes no sense.
    """
    if value is not None and not (value.is_finite() and 0 <= value <= 1):
        raise ParseError(
            ITEM, f"{ticker}: settlement value {value} is not within [0, 1]", ("settlement_value_dollars",)
        )
    if not result or status not in _STATES:
        return None, None, None
    if result in OUTCOMES:
        value = Decimal(result == "yes") if value is None else value
        return "winner", result, (wire.plain(value), wire.plain(1 - value))
    if result != "scalar":
        raise ParseError(ITEM, f"{ticker}: result={result!r} is not known", ("result",))
    if value is None:
        raise ParseError(ITEM, f"{ticker}: a scalar result without its value", ("settlement_value_dollars",))
    return "scalar", None, (wire.plain(value), wire.plain(1 - value))


def _rule(row: wire.SentMarket) -> str | None:
    """Return the settlement source named in a market's rules: an index and its mean.

    None for rules of another form.
    """
    found = _MEAN.search(row.rules_primary or "")
    return None if found is None else f"cf benchmarks {found[1].lower()} mean 60s"


def _category(event: wire.SentEvent | None) -> str | None:
    return None if event is None else event.category or None


def _time(row: wire.SentMarket, field: str) -> datetime | None:
    return wire.time(getattr(row, field), field, ITEM)


def _number(value: str | float | None) -> Decimal | None:
    """Return a number; None for a text that is none: some markets expire to words."""
    try:
        found = Decimal(str(value)) if value not in (None, "") else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() else None


def invalid(key: str, error: ValidationError) -> ParseError:
    """Return the error for a market whose fields contradict each other.

    key: ticker of the market; error: of its validation.
    """
    details = error.errors(include_url=False, include_context=False)
    fields = tuple(str(each["loc"][0]) if each["loc"] else "" for each in details)
    texts = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in details)
    return ParseError(ITEM, f"{key}: {'; '.join(texts)}", fields)
