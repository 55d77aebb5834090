from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class BinancePerps(PerpsSpider):
    """Funding, mark, index and trade candles, open interest of Binance's perpetuals in USDT.

    Source: fapi.binance.com: fundingRate, markPriceKlines, indexPriceKlines, klines, /futures/data/openInterestHist, exchangeInfo, fundingInfo; with interval premiumIndex and openInterest; files of data.binance.vision
    Arguments: assets (the eleven), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over the past and exit; with interval, the present at each multiple of it
    Caveats: open interest of more than 30 days ago, and contracts that are not listed any more, are from files; rates of borrowing need a key; some countries are refused (451)
    """

    name = "binance_perps"
    venue = "binance"
