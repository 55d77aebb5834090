"""The exchange library ccxt, at the URL of a simulator that is the argument."""

from __future__ import annotations

import sys
from typing import Any

import ccxt

from tests.clients.serving import serve

SYMBOL = "{asset}/USDC:USDC"


def main(url: str) -> None:
    browser = {"userAgent": "Mozilla/5.0 (X11; Linux x86_64)", "enableRateLimit": False}
    hyperliquid = ccxt.hyperliquid({**browser, "options": {"fetchMarkets": {"types": ["swap"]}}})
    hyperliquid.urls["api"] = dict.fromkeys(("public", "private"), f"{url}/api.hyperliquid.xyz")
    hyperliquid.set_markets(hyperliquid.fetch_swap_markets())
    dydx = ccxt.dydx(browser)
    dydx.urls["api"]["indexer"] = f"{url}/indexer.dydx.trade/v4"
    dydx.load_markets()
    exchanges = {"hyperliquid": hyperliquid, "dydx": dydx}

    def funding(venue: str, asset: str, since: int, until: int, limit: int) -> Any:
        symbol = SYMBOL.format(asset=asset)
        found = exchanges[venue].fetch_funding_rate_history(symbol, since, limit, {"until": until})
        return [(each["timestamp"], each["fundingRate"]) for each in found]

    def candles(venue: str, asset: str, since: int, until: int, limit: int) -> Any:
        symbol = SYMBOL.format(asset=asset)
        return exchanges[venue].fetch_ohlcv(symbol, "1h", since, limit, {"until": until})

    def present(asset: str) -> Any:
        symbol = SYMBOL.format(asset=asset)
        rate = hyperliquid.fetch_funding_rates([symbol])[symbol]
        interest = hyperliquid.fetch_open_interest(symbol)
        prices = {name: rate[name] for name in ("fundingRate", "markPrice", "indexPrice", "interval")}
        return prices | {"openInterest": interest["openInterestAmount"]}

    serve({"funding": funding, "candles": candles, "present": present})


if __name__ == "__main__":
    main(sys.argv[1])
