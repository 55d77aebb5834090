"""The exchange library ccxt, at the URL of a simulator that is the argument."""

from __future__ import annotations

import sys
from typing import Any

import ccxt

from tests.clients.serving import serve

BROWSER = {"userAgent": "Mozilla/5.0 (X11; Linux x86_64)", "enableRateLimit": False}
QUOTES = {"binance": "USDT", "bybit": "USDT", "okx": "USDT", "dydx": "USDC", "hyperliquid": "USDC"}


def main(url: str) -> None:
    exchanges = _exchanges(url)

    def symbol(venue: str, asset: str) -> str:
        quote = QUOTES[venue]
        return f"{asset}/{quote}:{quote}"

    def funding(venue: str, asset: str, since: int, until: int, limit: int) -> Any:
        more = {} if venue == "okx" else {"until": until}  # of OKX it knows a beginning only
        found = exchanges[venue].fetch_funding_rate_history(symbol(venue, asset), since, limit, more)
        return [(each["timestamp"], each["fundingRate"]) for each in found if each["timestamp"] <= until]

    def candles(venue: str, asset: str, since: int, until: int, limit: int, price: str | None = None) -> Any:
        more = {"until": until} | ({} if price is None else {"price": price})
        return exchanges[venue].fetch_ohlcv(symbol(venue, asset), "1h", since, limit, more)

    def present(venue: str, asset: str) -> Any:
        exchange, name = exchanges[venue], symbol(venue, asset)
        if venue == "hyperliquid":  # one of one contract it does not have
            rate = exchange.fetch_funding_rates([name])[name]
        else:
            rate = exchange.fetch_funding_rate(name)
        told = {field: rate[field] for field in ("fundingRate", "markPrice", "indexPrice", "interval")}
        if told["markPrice"] is None:
            told["markPrice"] = exchange.fetch_mark_price(name)["markPrice"]
        interest = exchange.fetch_open_interest(name)["openInterestAmount"]
        return told | {"openInterest": interest, "contractSize": exchange.market(name)["contractSize"]}

    serve({"funding": funding, "candles": candles, "present": present})


def _exchanges(url: str) -> dict[str, Any]:
    """Return the exchanges, with the markets that each has."""
    hyperliquid = ccxt.hyperliquid({**BROWSER, "options": {"fetchMarkets": {"types": ["swap"]}}})
    hyperliquid.urls["api"] = dict.fromkeys(("public", "private"), f"{url}/api.hyperliquid.xyz")
    hyperliquid.set_markets(hyperliquid.fetch_swap_markets())
    dydx = ccxt.dydx(BROWSER)
    dydx.urls["api"]["indexer"] = f"{url}/indexer.dydx.trade/v4"
    linear = {**BROWSER, "options": {"fetchMarkets": {"types": ["linear"]}, "defaultType": "swap"}}
    binance = ccxt.binance(linear)
    for name, version in (
        ("fapiPublic", "fapi/v1"),
        ("fapiPublicV2", "fapi/v2"),
        ("fapiData", "futures/data"),
    ):
        binance.urls["api"][name] = f"{url}/fapi.binance.com/{version}"
    bybit = ccxt.bybit(linear)
    bybit.urls["api"]["public"] = f"{url}/api.bybit.com"
    okx = ccxt.okx({**BROWSER, "options": {"fetchMarkets": {"types": ["swap"]}, "defaultType": "swap"}})
    okx.urls["api"]["rest"] = f"{url}/www.okx.com"
    for exchange in (dydx, binance, bybit, okx):
        exchange.has["fetchCurrencies"] = False  # of some that takes a key
        exchange.load_markets()
    found = (binance, bybit, dydx, hyperliquid, okx)
    return {exchange.id: exchange for exchange in found}


if __name__ == "__main__":
    main(sys.argv[1])
