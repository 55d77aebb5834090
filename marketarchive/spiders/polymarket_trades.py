from __future__ import annotations

from marketarchive.collecting.arguments import AHEAD, ASSETS, DURATION, DURATIONS, INTERVAL, MARKETS, SHARD
from marketarchive.collecting.polymarket.trades import PolymarketTradeSpider
from marketarchive.items import Market, PriceSnapshot


class PolymarketTrades(PolymarketTradeSpider):
    """Public trades of the chosen markets: each market from its first trade until it is closed.

    Source: Data API /v2/trades, up to 20 markets a request; /trades where that is refused; Gamma for the markets
    Arguments: assets (BTC), durations (all), markets (slugs, or all), ahead (all: how long before its start a round is chosen), interval, duration, shard
    Cadence: one walk back to the first trade and exit; with interval, at each multiple of it a walk back to the trades read before; markets are looked up again every 60 s
    Caveats: rows are requested with taker_only=true, one for each settlement from its taker's side (the last_trade_price of the market channel); makers' rows would repeat the same shares. Rows appear 5 to 10 s after the trade, their times are whole seconds, and each walk repeats the last minute: rows stand in raw more than once. Trades of the last minute before the run's end may be left to the next run
    """

    name = "polymarket_trades"
    feed = "trades"
    feeds = ("trades", "markets")
    accepts = (ASSETS, DURATIONS, MARKETS, AHEAD, INTERVAL, DURATION, SHARD)
    item_classes = (Market, PriceSnapshot)
    default_assets = ("BTC",)
