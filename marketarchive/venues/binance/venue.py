"""Declaration of Binance as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from functools import partial
from math import inf

from marketarchive.venues.binance import queries
from marketarchive.venues.binance.answers import judge
from marketarchive.venues.binance.files import FileRows
from marketarchive.venues.binance.probe import PROBE
from marketarchive.venues.binance.rows import STATUSES, parse
from marketarchive.venues.perp_files import day, month
from marketarchive.venues.perp_rows import perp_feeds
from marketarchive.venues.perps import Column, Perps, Route, SeriesKind
from marketarchive.venues.venue import Venue

_COLUMNS = {
    "funding_rate": Column(
        "source",
        "`fundingRate` of /fapi/v1/fundingRate: what was settled",
    ),
    "funding_interval_h": Column("source", "time from one settlement to the next"),
    "mark": Column("source", "/fapi/v1/markPriceKlines"),
    "index": Column("source", "/fapi/v1/indexPriceKlines"),
    "open_interest": Column(
        "source",
        "`sumOpenInterest` of /futures/data/openInterestHist, base units, of the last 30 days; before them "
        "`sum_open_interest` of daily files",
    ),
    "open_interest_usd": Column("source", "`sumOpenInterestValue`, USDT"),
    "volume": Column("source", "column 6 of /fapi/v1/klines, base units"),
    "volume_quote": Column("source", "column 8 of /fapi/v1/klines, USDT"),
    "fees": Column("source", "regular user, no BNB discount (ccxt 4.5.90)"),
    "borrow_bps_per_day": Column("null", "rates of margin loans need a key"),
    "listed": Column("source", "`onboardDate`, `deliveryDate` of /fapi/v1/exchangeInfo"),
}

_PRICES: tuple[SeriesKind, ...] = ("mark", "index", "trade")

PERPS = Perps(
    routes=(
        Route("funding", queries.funding_rates, "forward", late_s=60),
        Route("mark", queries.candles, "forward", queries.CANDLE_STEPS_S),
        Route("index", queries.candles, "forward", queries.CANDLE_STEPS_S),
        Route("trade", queries.candles, "forward", queries.CANDLE_STEPS_S),
        Route(
            "open_interest",
            queries.open_interest_history,
            "backward",
            queries.PERIODS_S,
            reach_s=lambda step_s: queries.OPEN_INTEREST_REACH_S,  # noqa: ARG005
        ),
        Route(
            "open_interest",
            queries.metrics_file,
            "whole",
            (queries.METRICS_STEP_S,),
            older_s=queries.OPEN_INTEREST_REACH_S,
            has_ended=True,
            file=day,
        ),
        Route("funding", queries.funding_file, "whole", older_s=inf, has_ended=True, file=month, late_s=60),
        *(
            Route(
                kind,
                queries.candles_file,
                "whole",
                queries.CANDLE_STEPS_S,
                older_s=inf,
                has_ended=True,
                file=day,
            )
            for kind in _PRICES
        ),
    ),
    instruments=(queries.instruments(), queries.funding_info()),
    live=queries.live,
    taker_bps="5",
    maker_bps="2",
    fee_schedule_date="2026-11-21",
    columns=_COLUMNS,
    statuses=STATUSES,
    settled_every_s=(28_800, 14_400, 7_200, 3_600),
    unlisted_every_s=28_800,
    unproven={
        "/fapi/v1/markPriceKlines": "an example of the documents only",
        "/futures/data/openInterestHist": "one recorded row",
        "418": "recorded of the spot host only",
        "data.binance.vision": "columns as others read them; open interest that is not a number above 0 is "
        "left out, and a file that is not that of its checksum",
    },
)

VENUE = Venue(
    name="binance",
    feeds=perp_feeds(partial(FileRows, parse)),
    parse=parse,
    next_page=queries.next_page,
    judge=judge,
    probe=PROBE,
    perps=PERPS,
)
