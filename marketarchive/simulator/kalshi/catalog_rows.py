"""JSON rows of the catalogue's markets, events and series, in the shape recorded on 2026-10-06."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marketarchive.simulator.catalog import DAY_S, Event
from marketarchive.simulator.kalshi.books import dollars
from marketarchive.simulator.kalshi.catalog import Listing, event_ticker, quote
from marketarchive.simulator.kalshi.rows import time

SERIES = {
    "KXRATECUT": "Economy",
    "KXLAUNCH": "Tech",
    "KXTREATY": "Geopolitics",
    "KXSNOW": "Weather",
    "KXMAYOR": "Politics",
    "KXAWARD": "Culture",
    "KXHIGHTEMP": "Weather",
}
"""Series of the catalogue -> category."""


def market_row(each: Listing, second: int) -> dict[str, Any]:
    """Return the JSON row of a market of the catalogue at a Unix second."""
    status, life = each.status(second), each.life
    texts = life.event.texts
    book = each.book(second)
    bid, ask = book.yes_bid, book.yes_ask
    was_quoted = second > each.start
    yes_bid = bid[0] if bid else "0.0000"
    yes_ask = ask[0] if ask else "1.0000" if was_quoted else "0.0000"
    traded = life.volume(second)
    day_before = second - DAY_S
    before = quote(life, day_before) if day_before > each.start else (0, 0)
    last = quote(life, min(second, each.end - 1))[0] if was_quoted and traded else 0
    is_stated = status in ("determined", "disputed", "amended", "finalized")
    row: dict[str, Any] = {
        "can_close_early": True,
        "close_time": time(each.end),
        "created_time": time(each.created),
        "early_close_condition": "This market will close early if the outcome is known before.",
        "event_ticker": each.event,
        "exchange_index": 0,
        "expected_expiration_time": time(each.now.end),
        "expiration_time": time(each.now.end + 7 * DAY_S),
        "expiration_value": each.result if is_stated else "",
        "last_price_dollars": dollars(last),
        "latest_expiration_time": time(each.now.end + 7 * DAY_S),
        "market_type": "binary",
        "no_ask_dollars": _other(yes_bid),
        "no_bid_dollars": _other(yes_ask),
        "no_sub_title": life.label,
        "notional_value_dollars": "1.0000",
        "occurrence_datetime": time(each.now.end),
        "open_interest_fp": f"{traded / 2:.2f}",
        "open_time": time(each.start),
        "previous_price_dollars": dollars(before[0]),
        "previous_yes_ask_dollars": dollars(before[1]),
        "previous_yes_bid_dollars": dollars(before[0]),
        "price_level_structure": "linear_cent",
        "price_ranges": [{"end": "1.0000", "start": "0.0000", "step": "0.0100"}],
        "result": each.result if is_stated else "",
        "rules_primary": each.now.rules,
        "rules_secondary": "",
        "settlement_bounds_type": "default",
        "settlement_timer_seconds": 1800,
        "status": status,
        "strike_type": "greater_or_equal" if texts.steps else "structured",
        "ticker": each.ticker,
        "title": each.title,
        "updated_time": time(each.now.at),
        "volume_24h_fp": f"{traded - life.volume(max(day_before, each.start)):.2f}",
        "volume_fp": f"{traded:.2f}",
        "yes_ask_dollars": yes_ask,
        "yes_ask_size_fp": ask[1] if ask else "0.00",
        "yes_bid_dollars": yes_bid,
        "yes_bid_size_fp": bid[1] if bid else "0.00",
        "yes_sub_title": life.label,
    }
    if texts.steps:
        row["floor_strike"] = texts.steps[life.member]
    if is_stated and each.now.payout is not None:
        row["settlement_value_dollars"] = f"{float(each.now.payout):.4f}"
    if each.finalized is not None:
        row["settlement_ts"] = time(each.finalized)
    return dict(sorted(row.items()))


def event_row(event: Event, markets: Sequence[Listing], second: int, *, nested: bool) -> dict[str, Any]:
    """Return the JSON row of an event.

    nested: True = with those of its `markets` that are in the live tier at `second`.
    """
    texts = event.texts
    row: dict[str, Any] = {
        "category": texts.category,
        "collateral_return_type": "MECNET" if texts.kind == "one_of" else "",
        "event_ticker": event_ticker(event),
        "exchange_index": 0,
        "last_updated_ts": "0001-01-01T00:00:00Z",
        "mutually_exclusive": texts.kind == "one_of",
        "series_ticker": texts.series,
        "settlement_sources": [{"name": "the authorities", "url": "https://example.com/"}],
        "strike_period": "",
        "sub_title": time(event.end)[:10],
        "title": markets[0].title,
    }
    if nested:
        row["markets"] = [market_row(each, second) for each in markets if each.is_listed(second)]
    return dict(sorted(row.items()))


def series_row(series: str) -> dict[str, Any]:
    """Return the JSON row of a series of the catalogue."""
    return {
        "additional_prohibitions": None,
        "categories": [SERIES[series]],
        "category": SERIES[series],
        "contract_terms_url": f"https://assets.kalshi.com/contract_terms/{series[2:]}.pdf",
        "contract_url": f"https://assets.kalshi.com/contract_terms/{series[2:]}.pdf",
        "exchange_index": 0,
        "fee_multiplier": 1,
        "fee_type": "quadratic",
        "frequency": "custom",
        "last_updated_ts": "0001-01-01T00:00:00Z",
        "product_metadata": None,
        "settlement_sources": [{"name": "the authorities", "url": "https://example.com/"}],
        "tags": None,
        "ticker": series,
        "title": series[2:].capitalize(),
    }


def _other(price: str) -> str:
    return dollars(1000 - round(float(price) * 1000))
