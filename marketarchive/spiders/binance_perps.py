from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class BinancePerps(PerpsSpider):
    """Funding, mark, index and trade candles, open interest of Binance's perpetuals in USDT.

    Source: fapi.binance.com: fundingRate, markPriceKlines, indexPriceKlines, klines, /futures/data/openInterestHist, exchangeInfo, fundingInfo; with interval premiumIndex and openInterest; files of data.binance.vision
    Arguments: assets (BTC, ETH, AAVE, UNI, COMP, CRV, OP, ARB, GALA, IMX, DOGE), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over past values and exit; with interval, present values at each multiple of it
    Caveats: open interest older than 30 days, and contracts that are no longer listed, come from files; borrowing rates need an API key, so they are not collected; some countries are refused (451)
    """

    name = "binance_perps"
    venue = "binance"
