from __future__ import annotations

from marketarchive.collecting.perps import PerpsSpider


class OkxPerps(PerpsSpider):
    """Funding, mark, index and trade candles, open interest of OKX's perpetual swaps in USDT, rates of loans.

    Source: www.okx.com/api/v5: funding-rate-history, history-mark-price-candles, history-index-candles, history-candles, rubik open-interest-history, instruments, interest-rate-loan-quota; with interval funding-rate, open-interest, mark-price, index-tickers
    Arguments: assets (the eleven), start (7 days ago), end (now), period (8h), interval, duration
    Cadence: one pass over the past and exit; with interval, the present at each multiple of it
    Caveats: the last 1,440 rows of open interest only, what is earlier is a gap; funding of more than 90 days ago is from static.okx.com; rates of loans have no past
    """

    name = "okx_perps"
    venue = "okx"
