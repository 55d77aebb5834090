from __future__ import annotations

from marketarchive.collecting.arguments import DURATION, INTERVAL, MARKETS, SHARD
from marketarchive.collecting.searxng.news import NewsSpider
from marketarchive.items import Headline


class SearxngNews(NewsSpider):
    """Headlines about active markets from the user's own SearXNG server, for raw and the market master.

    Source: GET /search?format=json&categories=news of the server at NEWS_SEARXNG_URL, one request per market
    Arguments: markets (slugs or ids, or all: the default, by turns of NEWS_MARKETS), interval, duration, shard
    Cadence: one cycle and exit; with interval, a cycle at each multiple of it
    Caveats: needs the market master; a headline is known from its first receipt, its published date is a claim; engines list other headlines at other times; rounds of a fixed length are searched only where they are named
    """

    name = "searxng_news"
    venue = "searxng"
    feed = "news"
    feeds = ("news",)
    accepts = (MARKETS, INTERVAL, DURATION, SHARD)
    item_classes = (Headline,)
