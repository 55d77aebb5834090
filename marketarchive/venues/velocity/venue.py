"""Declaration of Velocity as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from marketarchive.venues.perp_files import day
from marketarchive.venues.perp_rows import perp_feeds
from marketarchive.venues.perps import Column, Perps, Route
from marketarchive.venues.velocity import queries
from marketarchive.venues.velocity.answers import judge
from marketarchive.venues.velocity.probe import PROBE
from marketarchive.venues.velocity.rows import STATUSES, VelocityRows, parse
from marketarchive.venues.venue import Venue

_COLUMNS = {
    "funding_rate": Column(
        "source", "`fundingRateLong` / `oraclePriceTwap` of the hourly settlements; of shorts beside it"
    ),
    "funding_interval_h": Column("source", "1: every hour; an hour that no one settles is skipped"),
    "mark": Column(
        "substitute",
        "`markPriceTwap` of each settlement, `markPrice` at each tick",
        taken_as="samples",
    ),
    "index": Column("source", "`oracleOpen` to `oracleClose` of the candles"),
    "open_interest": Column(
        "source", "`openInterest` of /stats/markets at each tick, no past: the larger side, both kept"
    ),
    "open_interest_usd": Column("substitute", "`open_interest` x `mark_c`; not stated"),
    "volume": Column("source", "`baseVolume` of the candles"),
    "volume_quote": Column("source", "`quoteVolume` of the candles, USDT"),
    "fees": Column("source", "the lowest tier of its documents; what is in force is in `instruments`"),
    "borrow_bps_per_day": Column("source", "0: nothing is charged beside funding"),
    "listed": Column("null", "not stated"),
}

PERPS = Perps(
    routes=(
        Route(
            "funding",
            queries.fundings,
            "whole",
            reach_s=lambda step_s: float(queries.RECENT_S),  # noqa: ARG005
            late_s=queries.LATE_S,
        ),
        Route(
            "funding",
            queries.funding_day,
            "whole",
            late_s=queries.LATE_S,
            older_s=queries.RECENT_S,
            file=day,
        ),
        Route("trade", queries.candles, "backward", queries.CANDLE_STEPS_S),
    ),
    instruments=(queries.markets(),),
    live=queries.live,
    taker_bps="3.5",
    maker_bps="-0.25",
    fee_schedule_date="2026-07-09",
    columns=_COLUMNS,
    statuses=STATUSES,
    borrow_bps_per_day="0",
    settled_every_s=(3600,),
    unproven={
        "/market/SYMBOL/candles": "prices are held against /stats/markets, fills against the oracle",
        "/market/SYMBOL/fundingRates/YEAR/MONTH/DAY": "rates are held against the premium",
    },
)

VENUE = Venue(
    name="velocity",
    feeds=perp_feeds(VelocityRows),
    parse=parse,
    next_page=queries.next_page,
    judge=judge,
    probe=PROBE,
    perps=PERPS,
)
