"""Declaration of Hyperliquid as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from functools import partial

from marketarchive.venues.hyperliquid import queries
from marketarchive.venues.hyperliquid.answers import judge
from marketarchive.venues.hyperliquid.probe import PROBE
from marketarchive.venues.hyperliquid.rows import STATUSES, parse
from marketarchive.venues.perp_rows import PerpRows, perp_feeds
from marketarchive.venues.perps import Column, Perps, Route
from marketarchive.venues.venue import Venue

_COLUMNS = {
    "funding_rate": Column(
        "source",
        "`fundingRate` of fundingHistory: what was settled, of an hour; up to 2023-06-08 of 8 hours",
    ),
    "funding_interval_h": Column(
        "source", "an hour, up to 2023-06-08 8 hours: as far apart as settlements were"
    ),
    "mark": Column(
        "substitute", "`markPx` of metaAndAssetCtxs as sampled with `interval`; no past", "samples"
    ),
    "index": Column(
        "substitute", "`oraclePx` of metaAndAssetCtxs as sampled with `interval`; no past", "samples"
    ),
    "open_interest": Column(
        "source",
        "`openInterest` of metaAndAssetCtxs, base units of one side, with `interval`; the past has none",
    ),
    "open_interest_usd": Column("substitute", "open interest times the sampled `markPx`"),
    "volume": Column("source", "`v` of candleSnapshot, of the newest 5,000 candles; kPEPE is 1,000 PEPE"),
    "volume_quote": Column("null", "candles say no value; volume times a price would be a guess"),
    "fees": Column("source", "lowest tier, by an answer to userFees of 2026-09-26"),
    "borrow_bps_per_day": Column("source", "0: positions pay no such fee"),
    "listed": Column("null", "meta says which contracts ended, not when"),
}

PERPS = Perps(
    routes=(
        Route("funding", queries.funding_rates, "forward", late_s=60),
        Route("trade", queries.candles, "forward", queries.CANDLE_STEPS_S, reach_s=queries.kept_s),
    ),
    instruments=(queries.instruments(),),
    lists_ended=True,
    live=queries.live,
    taker_bps="4.5",
    maker_bps="1.5",
    fee_schedule_date="2026-09-26",
    columns=_COLUMNS,
    statuses=STATUSES,
    borrow_bps_per_day="0",
    settled_every_s=(28_800, 3_600),
)

VENUE = Venue(
    name="hyperliquid",
    feeds=perp_feeds(partial(PerpRows, parse)),
    parse=parse,
    judge=judge,
    probe=PROBE,
    perps=PERPS,
)
