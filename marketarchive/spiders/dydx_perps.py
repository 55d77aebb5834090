from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class DydxPerps(PerpsSpider):
    """Funding with the oracle price, trade candles with mid prices and open interest of dYdX v4's perpetuals.

    Source: indexer.dydx.trade/v4: historicalFunding, candles/perpetualMarkets, perpetualMarkets; with interval perpetualMarkets alone
    Arguments: assets (BTC, ETH, AAVE, UNI, COMP, CRV, OP, ARB, GALA, IMX, DOGE), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over past values and exit; with interval, present values at each multiple of it
    Caveats: no candles of mark or index prices: the oracle's hourly price, and the first and last mid price of each trade candle, replace them
    """

    name = "dydx_perps"
    venue = "dydx"
