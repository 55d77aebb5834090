from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class DydxPerps(PerpsSpider):
    """Funding with the oracle price, trade candles with the middle of the book and open interest of dYdX v4.

    Source: indexer.dydx.trade/v4: historicalFunding, candles/perpetualMarkets, perpetualMarkets; with interval perpetualMarkets alone
    Arguments: assets (the eleven), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over the past and exit; with interval, the present at each multiple of it
    Caveats: no candles of mark or index: the oracle's hourly price and the first and last middle of the book stand for them
    """

    name = "dydx_perps"
    venue = "dydx"
