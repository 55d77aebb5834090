from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class OkxPerps(PerpsSpider):
    """Funding, mark, index and trade candles, open interest of OKX's perpetual swaps in USDT, borrowing rates.

    Source: www.okx.com/api/v5: funding-rate-history, history-mark-price-candles, history-index-candles, history-candles, rubik open-interest-history, instruments, interest-rate-loan-quota; with interval funding-rate, open-interest, mark-price, index-tickers
    Arguments: assets (BTC, ETH, AAVE, UNI, COMP, CRV, OP, ARB, GALA, IMX, DOGE), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over past values and exit; with interval, present values at each multiple of it
    Caveats: only the newest 1,440 rows of open interest, earlier ones are a gap; funding older than 90 days comes from static.okx.com; past borrowing rates are not available
    """

    name = "okx_perps"
    venue = "okx"
