"""Public endpoints of OKX's perpetual swaps, which need no key, and their limits.

Routes, page sizes and limits: mirrors of the official documents (2025-08-17, 2026-07-28). All of them are
GET. Limits are per address and route, for some also per contract; no header states what is left of them.
"""

from __future__ import annotations

from marketarchive.venues.endpoint import Endpoint, Limit

BASE = "https://www.okx.com/api/v5"
ARCHIVE = "https://static.okx.com/cdn/okex/traderecords"
FILES = Limit("okx/files", 20, window_s=10.0)
"""No limit for files is documented (2026-07-28); this figure is ours."""


def _endpoint(name: str, path: str, requests: int) -> Endpoint:
    """Return an endpoint with a limit of its own. requests: most requests in 2 s."""
    return Endpoint(f"okx_{name}", f"{BASE}{path}", Limit(f"okx/{name}", requests, window_s=2.0))


INSTRUMENTS = _endpoint("instruments", "/public/instruments", 20)
FUNDING_RATE = _endpoint("funding_rate", "/public/funding-rate", 10)
FUNDING_RATES = _endpoint("funding_rates", "/public/funding-rate-history", 10)
CANDLES = _endpoint("candles", "/market/history-candles", 20)
MARK_CANDLES = _endpoint("mark_candles", "/market/history-mark-price-candles", 20)
INDEX_CANDLES = _endpoint("index_candles", "/market/history-index-candles", 10)
MARK_PRICE = _endpoint("mark_price", "/public/mark-price", 10)
INDEX_TICKERS = _endpoint("index_tickers", "/market/index-tickers", 20)
OPEN_INTEREST = _endpoint("open_interest", "/public/open-interest", 20)
OPEN_INTEREST_HISTORY = _endpoint("open_interest_history", "/rubik/stat/contracts/open-interest-history", 10)
LOANS = _endpoint("loans", "/public/interest-rate-loan-quota", 2)
FUNDING_FILE = Endpoint(
    "okx_funding_file",
    f"{ARCHIVE}/swaprates/monthly/{{year}}{{month}}/{{symbol}}-fundingrates-{{year}}-{{month}}.zip",
    FILES,
)
"""File with the funding of a month in UTC+8, published two days after its end; addresses as in the answers
of /public/market-data-history."""
