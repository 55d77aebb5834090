"""Declaration of dYdX v4 as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from functools import partial

from marketarchive.venues.dydx import queries
from marketarchive.venues.dydx.answers import judge
from marketarchive.venues.dydx.probe import PROBE
from marketarchive.venues.dydx.rows import STATUSES, parse
from marketarchive.venues.perp_rows import PerpRows, perp_feeds
from marketarchive.venues.perps import Column, Perps, Route
from marketarchive.venues.venue import Venue

_COLUMNS = {
    "funding_rate": Column("source", "`rate` of /v4/historicalFunding: what was settled, of an hour"),
    "funding_interval_h": Column("source", "an hour"),
    "mark": Column(
        "substitute",
        "`orderbookMidPriceOpen`, `orderbookMidPriceClose` of candles: the first and last middle of the "
        "book, since 2024-06-27",
        "book mid",
    ),
    "index": Column(
        "substitute", "`price` of /v4/historicalFunding: the oracle's at each hourly settlement", "samples"
    ),
    "open_interest": Column("source", "`startingOpenInterest` of candles, base units of one side"),
    "open_interest_usd": Column("substitute", "`open_interest` x `mark_c`"),
    "volume": Column("source", "`baseTokenVolume` of candles, base units"),
    "volume_quote": Column("source", "`usdVolume` of candles, USD"),
    "fees": Column("source", "tier 1; governance may lower them market by market"),
    "borrow_bps_per_day": Column("source", "0: positions pay no such fee"),
    "listed": Column("null", "the indexer does not say it"),
}

PERPS = Perps(
    routes=(
        Route("funding", queries.funding_rates, "backward", late_s=60),
        Route("trade", queries.candles, "backward", queries.CANDLE_STEPS_S, opens_with_open_interest=True),
    ),
    instruments=(queries.markets(),),
    lists_ended=True,
    live=queries.live,
    taker_bps="5",
    maker_bps="1",
    fee_schedule_date="2026-04-22",
    columns=_COLUMNS,
    statuses=STATUSES,
    borrow_bps_per_day="0",
    settled_every_s=(3_600,),
)

VENUE = Venue(
    name="dydx",
    feeds=perp_feeds(partial(PerpRows, parse)),
    parse=parse,
    judge=judge,
    probe=PROBE,
    perps=PERPS,
)
