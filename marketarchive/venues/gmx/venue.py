"""Declaration of GMX as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from marketarchive.venues.gmx import queries
from marketarchive.venues.gmx.answers import judge
from marketarchive.venues.gmx.probe import PROBE
from marketarchive.venues.gmx.rows import STATUSES, GmxRows, parse
from marketarchive.venues.perp_rows import perp_feeds
from marketarchive.venues.perps import Column, Perps, Route
from marketarchive.venues.venue import Venue

_COLUMNS = {
    "funding_rate": Column(
        "source",
        "hourly `fundingRateLong` of /v1/rates, a factor a second of 10**30, x 28,800; "
        "what shorts receive beside it",
    ),
    "funding_interval_h": Column("null", "funding accrues every second, nothing is settled"),
    "mark": Column(
        "substitute",
        "the index: positions are valued at the oracle's price",
        taken_as="index candles",
        instead="index",
    ),
    "index": Column("source", "/prices/candles, the oracle's price, one a token"),
    "open_interest": Column(
        "source",
        "hourly `longOpenInterestInTokens`, `shortOpenInterestInTokens` of Subsquid: the larger, both kept",
    ),
    "open_interest_usd": Column("source", "`longOpenInterestUsd` or `shortOpenInterestUsd`, of that side"),
    "volume": Column("null", "nothing lists it by time and pool"),
    "volume_quote": Column("null", "nothing lists it by time and pool"),
    "fees": Column(
        "source", "0.06 % where a trade unbalances the pool (as taker), 0.04 % where it balances (as maker)"
    ),
    "borrow_bps_per_day": Column(
        "source", "`borrowingRateLong` of /v1/rates; of shorts in the table `borrow_rates`"
    ),
    "listed": Column("source", "`listingDate` of /markets"),
}

PERPS = Perps(
    routes=(
        Route("funding", queries.rates, "whole", is_in_force=True),
        Route(
            "index",
            queries.candles,
            "whole",
            queries.CANDLE_STEPS_S,
            reach_s=lambda step_s: float(step_s * (queries.CANDLES_PAGE - 2)),
        ),
        Route("open_interest", queries.interest, "forward"),
    ),
    instruments=(queries.markets(), queries.tickers()),
    live=queries.live,
    taker_bps="6",
    maker_bps="4",
    fee_schedule_date="2026-03-13",
    columns=_COLUMNS,
    statuses=STATUSES,
    unproven={
        "/v1/rates": "net = funding and borrowing shows who pays; rates that do not are left out",
        "/markets/info": "the same",
        "/prices/candles": "the newest candle is held against the recorded tickers",
        "/v1/markets/tickers": "tokens x price are held against dollars",
        "Subsquid": "the same",
    },
)

VENUE = Venue(
    name="gmx",
    feeds=perp_feeds(GmxRows),
    parse=parse,
    judge=judge,
    probe=PROBE,
    perps=PERPS,
)
