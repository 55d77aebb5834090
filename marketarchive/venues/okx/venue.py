"""Declaration of OKX as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from functools import partial

from marketarchive.venues.okx import queries
from marketarchive.venues.okx.answers import judge
from marketarchive.venues.okx.probe import PROBE
from marketarchive.venues.okx.rows import STATUSES, parse
from marketarchive.venues.perp_rows import PerpRows, perp_feeds
from marketarchive.venues.perps import Column, Perps, Route
from marketarchive.venues.venue import Venue

_COLUMNS = {
    "funding_rate": Column(
        "source",
        "`realizedRate` of /public/funding-rate-history, what was charged, of the last 90 days; before them "
        "`funding_rate` of monthly files",
    ),
    "funding_interval_h": Column("source", "from one settlement to the next; no field says it"),
    "mark": Column("source", "/market/history-mark-price-candles"),
    "index": Column("source", "/market/history-index-candles of the index, BTC-USDT"),
    "open_interest": Column(
        "source",
        "column 3 (`oiCcy`) of /rubik/stat/contracts/open-interest-history, base units, the last 1,440 rows",
    ),
    "open_interest_usd": Column("source", "column 4 (`oiUsd`) of the same"),
    "volume": Column("source", "column 7 (`volCcy`) of /market/history-candles, base units"),
    "volume_quote": Column("source", "column 8 (`volCcyQuote`) of the same, USDT"),
    "fees": Column("source", "regular user, level 1 (ccxt 4.5.90)"),
    "borrow_bps_per_day": Column(
        "source", "`rate` of /public/interest-rate-loan-quota, a day, x 10,000; what it is now only"
    ),
    "listed": Column("source", "`listTime`, `expTime` of /public/instruments; what is delisted is not there"),
}
_PAGE = queries.CANDLES_PAGE


def _rows(step_s: int) -> float:
    return queries.OPEN_INTEREST_ROWS * step_s


PERPS = Perps(
    routes=(
        Route(
            "funding",
            queries.funding_rates,
            "backward",
            reach_s=lambda step_s: queries.FUNDING_REACH_S,  # noqa: ARG005
            window_s=queries.FUNDING_PAGE * 3600,
        ),
        Route(
            "funding",
            queries.funding_file,
            "whole",
            late_s=60,
            older_s=queries.FUNDING_REACH_S,
            has_ended=True,
            file=queries.month_of,
        ),
        Route("mark", queries.candles, "backward", tuple(queries.BARS), window_rows=_PAGE),
        Route("index", queries.candles, "backward", tuple(queries.BARS), window_rows=_PAGE),
        Route("trade", queries.candles, "backward", tuple(queries.BARS), window_rows=_PAGE),
        Route(
            "open_interest",
            queries.open_interest_history,
            "backward",
            queries.PERIODS_S,
            reach_s=_rows,
            window_rows=queries.OPEN_INTEREST_PAGE,
        ),
    ),
    instruments=(queries.instruments(), queries.funding_intervals()),
    live=queries.live,
    once=(queries.loans(),),
    taker_bps="5",
    maker_bps="2",
    fee_schedule_date="2026-11-21",
    columns=_COLUMNS,
    statuses=STATUSES,
    settled_every_s=(28_800, 14_400, 7_200, 3_600),
    unproven={
        "/market/history-*candles": "no recording shows that the newest bars are listed there too",
        "/market/history-mark-price-candles, history-index-candles, /public/open-interest, "
        "interest-rate-loan-quota": "examples of the documents only, their values are made up",
        "static.okx.com": "columns as others read them, who found the rates to be those charged",
    },
)

VENUE = Venue(
    name="okx",
    feeds=perp_feeds(partial(PerpRows, parse), "reference_prices"),
    parse=parse,
    judge=judge,
    probe=PROBE,
    perps=PERPS,
)
