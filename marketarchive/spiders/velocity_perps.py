from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class VelocityPerps(PerpsSpider):
    """Funding of both sides, trade and index candles, open interest of Velocity's perpetuals (once Drift).

    Source: data.velocity.exchange: /stats/markets, /market/SYMBOL/fundingRates, the same by day, /market/SYMBOL/candles
    Arguments: assets (BTC, ETH), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over the past and exit; with interval, the present at each multiple of it
    Caveats: of the eleven only BTC and ETH, hardly traded; open interest has no past; mark prices are hourly averages; an hour that nobody settles is skipped
    """

    name = "velocity_perps"
    venue = "velocity"
