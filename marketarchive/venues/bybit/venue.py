"""Declaration of Bybit as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from functools import partial

from marketarchive.venues.bybit import queries
from marketarchive.venues.bybit.answers import judge
from marketarchive.venues.bybit.probe import PROBE
from marketarchive.venues.bybit.rows import STATUSES, parse
from marketarchive.venues.perp_rows import PerpRows, perp_feeds
from marketarchive.venues.perps import Column, Perps, Route
from marketarchive.venues.venue import Venue

_COLUMNS = {
    "funding_rate": Column("source", "`fundingRate` of /v5/market/funding/history: what was settled"),
    "funding_interval_h": Column("source", "time from one settlement to the next"),
    "mark": Column("source", "/v5/market/mark-price-kline"),
    "index": Column("source", "/v5/market/index-price-kline"),
    "open_interest": Column(
        "source",
        "`singleOpenInterest` of /v5/market/open-interest, base units; before 2026-06-11 half of "
        "`openInterest`, which counts both sides",
    ),
    "open_interest_usd": Column("substitute", "`open_interest` x `mark_c`; the list has no worth"),
    "volume": Column("source", "column 6 of /v5/market/kline, base units"),
    "volume_quote": Column("source", "column 7 of /v5/market/kline, USDT"),
    "fees": Column("source", "regular user (help centre: Perpetual & Futures Contract, Fees Explained)"),
    "borrow_bps_per_day": Column(
        "source", "`hourlyBorrowRate` of /v5/spot-margin-trade/data x 24 x 10,000; what it is now only"
    ),
    "listed": Column("source", "`launchTime`, `deliveryTime` of /v5/market/instruments-info"),
}

PERPS = Perps(
    routes=(
        Route("funding", queries.funding_rates, "backward"),
        Route("mark", queries.candles, "backward", tuple(queries.INTERVALS)),
        Route("index", queries.candles, "backward", tuple(queries.INTERVALS)),
        Route("trade", queries.candles, "backward", tuple(queries.INTERVALS)),
        Route("open_interest", queries.open_interest, "backward", tuple(queries.PERIODS)),
    ),
    instruments=(queries.instruments(), *map(queries.instruments, queries.OTHER_STATUSES)),
    live=queries.live,
    once=(queries.borrow_rates(),),
    taker_bps="5.5",
    maker_bps="2",
    fee_schedule_date="2024-10-16",
    columns=_COLUMNS,
    statuses=STATUSES,
    settled_every_s=(28_800, 14_400, 7_200, 3_600),
    unproven={
        "/v5/market/funding/history, kline, mark-price-kline, index-price-kline, instruments-info": (
            "examples of the documents only, mostly of a test network"
        ),
        "/v5/market/tickers": "recorded as a message of a socket, which has the same fields",
    },
)

VENUE = Venue(
    name="bybit",
    feeds=perp_feeds(partial(PerpRows, parse)),
    parse=parse,
    next_page=queries.next_page,
    judge=judge,
    probe=PROBE,
    perps=PERPS,
)
