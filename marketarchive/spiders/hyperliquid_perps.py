from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class HyperliquidPerps(PerpsSpider):
    """Funding and trade candles of Hyperliquid's perpetuals; with interval mark and oracle prices, open interest.

    Source: POST api.hyperliquid.xyz/info: fundingHistory, candleSnapshot, meta; with interval metaAndAssetCtxs
    Arguments: assets (BTC, ETH, AAVE, UNI, COMP, CRV, OP, ARB, GALA, IMX, DOGE), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over past values and exit; with interval, present values at each multiple of it
    Caveats: only the newest 5,000 candles of each length, earlier ones are a gap; past mark and oracle prices and open interest are not available
    """

    name = "hyperliquid_perps"
    venue = "hyperliquid"
