from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class BybitPerps(PerpsSpider):
    """Funding, mark, index and trade candles, open interest of Bybit's linear perpetuals in USDT, borrowing rates.

    Source: api.bybit.com, /v5/market: funding/history, mark-price-kline, index-price-kline, kline, open-interest, instruments-info; with interval tickers; /v5/spot-margin-trade/data
    Arguments: assets (BTC, ETH, AAVE, UNI, COMP, CRV, OP, ARB, GALA, IMX, DOGE), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over past values and exit; with interval, present values at each multiple of it
    Caveats: the venue's open interest counts both sides, the table's one side; past borrowing rates are not available; some countries are refused (403)
    """

    name = "bybit_perps"
    venue = "bybit"
