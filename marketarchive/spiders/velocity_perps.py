from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class VelocityPerps(PerpsSpider):
    """Funding of both sides, trade and index candles, open interest of Velocity's perpetuals (once Drift).

    Source: data.velocity.exchange: /stats/markets, /market/SYMBOL/fundingRates, the same by day, /market/SYMBOL/candles
    Arguments: assets (BTC, ETH), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over past values and exit; with interval, present values at each multiple of it
    Caveats: only BTC and ETH, which are hardly traded; past open interest is not available; mark prices are hourly averages; the venue skips an hour whose funding nobody settles
    """

    name = "velocity_perps"
    venue = "velocity"
