from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION, INTERVAL, MARKETS, SHARD, SINCE
from marketarchive.collecting.catalogue.phase import PhaseSpider
from marketarchive.collecting.kalshi.discovery import SERIES
from marketarchive.collecting.kalshi.results import ResultSpider
from marketarchive.items import Market, PriceSnapshot


class KalshiResolutions(PhaseSpider, ResultSpider):
    """Results (yes, no or scalar) of closed markets of Kalshi, for raw and the market master.

    Source: GET /markets with status settled and closed; /historical/markets for markets that settled before /historical/cutoff
    Arguments: assets (their 15-minute rounds), series, markets (tickers, or all: the default), since (1d: how long ago a market may have settled or closed), interval, duration, shard
    Cadence: one sweep and exit; with interval, a sweep at each multiple of it
    Caveats: a result may change until its state is final; the historical tier cannot be filtered by time; it is read for named series only, and whole
    """

    name = "kalshi_resolutions"
    feed = "resolutions"
    feeds = ("resolutions",)
    catalogue_feed = "resolutions"
    accepts = (ASSETS, SERIES, MARKETS, SINCE, INTERVAL, DURATION, SHARD)
    item_classes = (Market, PriceSnapshot)
    phase = "resolve"
