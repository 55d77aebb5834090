from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class HyperliquidPerps(PerpsSpider):
    """Funding and trade candles of Hyperliquid's perpetuals; with interval mark and oracle prices, open interest.

    Source: POST api.hyperliquid.xyz/info: fundingHistory, candleSnapshot, meta; with interval metaAndAssetCtxs
    Arguments: assets (the eleven), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over the past and exit; with interval, the present at each multiple of it
    Caveats: the newest 5,000 candles of a length only, what is earlier is a gap; mark, oracle and open interest have no past
    """

    name = "hyperliquid_perps"
    venue = "hyperliquid"
