from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marketarchive.collecting.arguments import Arguments
from marketarchive.collecting.perps import PerpsSpider
from marketarchive.exceptions import ArgumentError


class DriftPerps(PerpsSpider):
    """Funding of both sides of Drift's perpetuals until it ended on 2026-04-01, from its public archive.

    Source: data.drift.trade: /market/SYMBOL/fundingRates by day; until 2025-01-08 files of the bucket drift-historical-data-v2
    Arguments: assets (BTC, ETH, OP, ARB, DOGE), start (to be given, before 2026-04-02), end, period (8h), interval (refused: there are no present values), duration
    Cadence: one pass over past values and exit
    Caveats: there are no present values; prices are hourly averages; no open interest, no volume; a day that is not archived is a gap
    """

    name = "drift_perps"
    venue = "drift"

    @classmethod
    def check_arguments(cls, given: Mapping[str, Any]) -> Arguments:
        arguments = super().check_arguments(given)
        if arguments.interval is not None:
            raise ArgumentError(
                "interval= requests current values, and Drift ended on 2026-04-01: leave it out"
            )
        return arguments
