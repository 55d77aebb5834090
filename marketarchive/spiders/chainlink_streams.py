from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION
from marketarchive.collecting.chainlink.stream_pages import PAGES, StreamPageSpider
from marketarchive.venues.chainlink.rows import SpotPrice, TwapPrice


class ChainlinkStreams(StreamPageSpider):
    """Reference prices with bid and ask as the web pages of Chainlink's data streams show them, a row per second and page.

    Source: data.chain.link/streams/..., loaded once each in Chromium: the JSON that a page itself fetches (needs the extra `browser`)
    Arguments: assets (BTC), pages (spot and twap60; also twap30), duration
    Cadence: as the page requests, about once a second; a page is renewed every hour, and reopened when it ends, hangs or shows nothing new for 30 s
    Caveats: pages were seen seconds to minutes behind: received_at states when a value could be known; a security checkpoint, 403 or 429 is a gap `blocked`; the page is opened again after an hour, and refusals are never evaded
    """

    name = "chainlink_streams"
    feed = "pages"
    feeds = ("pages",)
    accepts = (ASSETS, PAGES, DURATION)
    item_classes = (SpotPrice, TwapPrice)
