from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class GmxPerps(PerpsSpider):
    """Funding and borrowing of both sides, index candles, open interest of GMX v2's pools on Arbitrum.

    Source: arbitrum-api.gmxinfra.io: /markets, /prices/tickers, /prices/candles; arbitrum.gmxapi.io: /v1/rates; Subsquid: fundingBalanceOiSnapshots; with interval /markets/info and /v1/markets/tickers
    Arguments: assets (BTC, ETH, AAVE, UNI, CRV, OP, ARB, DOGE), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over past values and exit; with interval, present values at each multiple of it
    Caveats: one pool per asset, the oldest; only the newest 10,000 index candles, earlier ones are a gap; no trade candles and no volume; COMP, GALA and IMX are not listed
    """

    name = "gmx_perps"
    venue = "gmx"
