from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS
from marketarchive.collecting.perps import END, PERIOD, START, PerpsSpider


class DriftPerps(PerpsSpider):
    """Funding of both sides of Drift's perpetuals until it ended on 2026-04-01, from its public archive.

    Source: data.drift.trade: /market/SYMBOL/fundingRates by day; until 2025-01-08 files of the bucket drift-historical-data-v2
    Arguments: assets (BTC, ETH, OP, ARB, DOGE), start, end (before 2026-04-02), period (8h)
    Cadence: one pass over the past and exit
    Caveats: it has no present; prices are hourly averages; no open interest, no volume; a day that is not archived is a gap
    """

    name = "drift_perps"
    venue = "drift"
    accepts = (ASSETS, START, END, PERIOD)
