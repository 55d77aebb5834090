"""Declaration of Drift as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from functools import partial

from marketarchive.venues.drift import queries
from marketarchive.venues.drift.answers import judge
from marketarchive.venues.drift.probe import PROBE
from marketarchive.venues.drift.rows import parse
from marketarchive.venues.perp_files import day
from marketarchive.venues.perp_rows import PerpRows, perp_feeds
from marketarchive.venues.perps import Column, Perps, Route
from marketarchive.venues.velocity.queries import LATE_S, next_page
from marketarchive.venues.venue import Venue

_COLUMNS = {
    "funding_rate": Column(
        "source", "`fundingRateLong` / `oraclePriceTwap` of the hourly settlements; of shorts beside it"
    ),
    "funding_interval_h": Column("source", "1: every hour; an hour that no one settled is skipped"),
    "mark": Column("substitute", "`markPriceTwap` of each settlement", taken_as="samples"),
    "index": Column("substitute", "`oraclePriceTwap` of each settlement", taken_as="samples"),
    "open_interest": Column("null", "not archived"),
    "open_interest_usd": Column("null", "not archived"),
    "volume": Column("null", "only single fills are archived"),
    "volume_quote": Column("null", "only single fills are archived"),
    "fees": Column("null", "the schedule is gone, and sources differ"),
    "borrow_bps_per_day": Column("source", "0: nothing was charged beside funding"),
    "listed": Column("null", "not archived; all ended on 2026-04-01"),
}

PERPS = Perps(
    routes=(Route("funding", queries.funding_day, "whole", late_s=LATE_S, file=day),),
    instruments=(),
    live=lambda contracts: (),  # noqa: ARG005  (it has no present)
    taker_bps=None,
    maker_bps=None,
    fee_schedule_date=None,
    columns=_COLUMNS,
    borrow_bps_per_day="0",
    settled_every_s=(3600,),
    unproven={
        "data.drift.trade": "rates are held against the premium",
        "files until 2025-01-08": "the same",
    },
)

VENUE = Venue(
    name="drift",
    feeds=perp_feeds(partial(PerpRows, parse)),
    parse=parse,
    next_page=next_page,
    judge=judge,
    probe=PROBE,
    perps=PERPS,
)
