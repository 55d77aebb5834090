from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class GmxPerps(PerpsSpider):
    """Funding and borrowing of both sides, index candles, open interest of GMX v2's pools on Arbitrum.

    Source: arbitrum-api.gmxinfra.io: /markets, /prices/tickers, /prices/candles; arbitrum.gmxapi.io: /v1/rates; Subsquid: fundingBalanceOiSnapshots; with interval /markets/info and /v1/markets/tickers
    Arguments: assets (the eight of the eleven that it has), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over the past and exit; with interval, the present at each multiple of it
    Caveats: one pool an asset, the oldest; 10,000 index candles back from now, what is earlier is a gap; no trade candles and no volume; COMP, GALA and IMX are not listed
    """

    name = "gmx_perps"
    venue = "gmx"
