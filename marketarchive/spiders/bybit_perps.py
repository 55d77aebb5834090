from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class BybitPerps(PerpsSpider):
    """Funding, mark, index and trade candles, open interest of Bybit's linear perpetuals in USDT, rates of loans.

    Source: api.bybit.com, /v5/market: funding/history, mark-price-kline, index-price-kline, kline, open-interest, instruments-info; with interval tickers; /v5/spot-margin-trade/data
    Arguments: assets (the eleven), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over the past and exit; with interval, the present at each multiple of it
    Caveats: open interest counts both sides at the venue, one here; rates of loans have no past; some countries are refused (403)
    """

    name = "bybit_perps"
    venue = "bybit"
