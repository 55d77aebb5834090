"""Public endpoints of Binance's perpetuals, which need no key, and their limits.

Routes, weights and bounds: docstrings of the official SDK (binance-connector-python, 2026-08-21), and live
answers of 2026-09-15. All of them are GET.

Files of the public archive: readme of binance-public-data (2025-01-09), addresses and columns as others read
them on 2026-08-01 and 2026-09-08. Each is a zip with a `.CHECKSUM` beside it; those of a day come the next
day, those of a month on the first Monday after it, and files may be issued again.
"""

from __future__ import annotations

from marketarchive.venues.endpoint import Endpoint, Limit

BASE = "https://fapi.binance.com"
ARCHIVE = "https://data.binance.vision/data/futures/um"
CHECKSUM = ".CHECKSUM"

WEIGHT = Limit("binance/weight", 2400, window_s=60.0, unit="weights")
"""Weights per address and minute; `rateLimits` of exchangeInfo. The header X-MBX-USED-WEIGHT-1M states how
much of it is used."""
FUNDING = Limit("binance/funding", 500, window_s=300.0)
"""Requests to fundingRate and fundingInfo together; they cost no weight."""
STATISTICS = Limit("binance/statistics", 1000, window_s=300.0)
"""Requests to /futures/data; they cost no weight."""
FILES = Limit("binance/files", 50, window_s=10.0)
"""No limit for archive files is documented (readme, 2025-01-09); this figure is ours."""


def _endpoint(name: str, path: str, limit: Limit = WEIGHT) -> Endpoint:
    return Endpoint(f"binance_{name}", f"{BASE}{path}", limit)


def _file(name: str, path: str) -> Endpoint:
    return Endpoint(f"binance_{name}", ARCHIVE + path, FILES)


INSTRUMENTS = _endpoint("instruments", "/fapi/v1/exchangeInfo")
FUNDING_INFO = _endpoint("funding_info", "/fapi/v1/fundingInfo", FUNDING)
FUNDING_RATES = _endpoint("funding_rates", "/fapi/v1/fundingRate", FUNDING)
CANDLES = _endpoint("candles", "/fapi/v1/klines")
MARK_CANDLES = _endpoint("mark_candles", "/fapi/v1/markPriceKlines")
INDEX_CANDLES = _endpoint("index_candles", "/fapi/v1/indexPriceKlines")
OPEN_INTEREST_HISTORY = _endpoint("open_interest_history", "/futures/data/openInterestHist", STATISTICS)
PREMIUM = _endpoint("premium", "/fapi/v1/premiumIndex")
OPEN_INTEREST = _endpoint("open_interest", "/fapi/v1/openInterest")

_CANDLES = "/{symbol}/{interval}/{symbol}-{interval}-{day}.zip"
METRICS_FILE = _file("metrics_file", "/daily/metrics/{symbol}/{symbol}-metrics-{day}.zip")
FUNDING_FILE = _file("funding_file", "/monthly/fundingRate/{symbol}/{symbol}-fundingRate-{month}.zip")
CANDLES_FILE = _file("candles_file", f"/daily/klines{_CANDLES}")
MARK_CANDLES_FILE = _file("mark_candles_file", f"/daily/markPriceKlines{_CANDLES}")
INDEX_CANDLES_FILE = _file("index_candles_file", f"/daily/indexPriceKlines{_CANDLES}")
FILE_OF = {
    f"{file.name}_checksum": file
    for file in (METRICS_FILE, FUNDING_FILE, CANDLES_FILE, MARK_CANDLES_FILE, INDEX_CANDLES_FILE)
}
"""Name of a checksum's endpoint -> endpoint of the file that the checksum is of."""


def checksum_of(file: Endpoint) -> Endpoint:
    """Return the endpoint of the published SHA-256 of an archive file."""
    return Endpoint(f"{file.name}_checksum", file.url + CHECKSUM, FILES)
