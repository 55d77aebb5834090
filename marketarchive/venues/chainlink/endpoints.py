"""Pages of Chainlink's data streams, and how often they may be opened.

A page fetches its own data from `/api/...` on the same host; without a browser that host answers every
request with a checkpoint (429; several recorders' reports, 2026). No limit is documented: the figure is ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from marketarchive.venues.endpoint import Endpoint, Limit
from marketarchive.venues.symbols import symbols

HOST = "https://data.chain.link"
STREAMS = f"{HOST}/streams"
API = f"{HOST}/api"

LIVE = f"{API}/live-data-engine-stream-data"  # since about March 2026: dollars as decimal text
TIMESCALE = f"{API}/query-timescale"  # before: dollars times 1e18 as integers
HISTORY = f"{API}/historical-data-engine-stream-data"  # candles for the chart

PAGES_PER_10S = 4
PAGE = Endpoint("page", f"{STREAMS}/{{slug}}", Limit("chainlink/page", PAGES_PER_10S, unit="pages"))

SPOT_FEED_IDS: dict[str, str] = {
    asset: row["spot_feed_id"] for asset, row in symbols("chainlink").items() if row["spot_feed_id"]
}
"""Asset -> feed of its spot price. BTC and ETH from the pages' own metadata, the others from several public
readers of them."""

PAGES: dict[str, str] = {
    "spot": "cexprice-streams",
    "twap30": "twap-30s-streams",
    "twap60": "twap-60s-streams",
}
"""Ending after `<asset>-usd-` in a page's slug, by the name that users give."""

INSTRUMENTS: dict[str, str] = {"spot": "", "twap30": "-twap-30s", "twap60": "-twap-60s"}
"""Suffix after `chainlink:<asset>-usd` in the name of the instrument that a page shows."""

WINDOWS_S: dict[str, int | None] = {"spot": None, "twap30": 30, "twap60": 60}
"""Seconds over which the price of a page is averaged; None: spot price."""

_SLUG = re.compile(r"([a-z0-9]{2,10})-usd(?:-(cexprice|twap-30s|twap-60s)-streams)?")
_KINDS = {None: "spot", "cexprice": "spot", "twap-30s": "twap30", "twap-60s": "twap60"}


@dataclass(frozen=True, slots=True)
class StreamPage:
    """The page of one asset that shows one kind of price; `kind` is a key of PAGES."""

    asset: str
    kind: str

    @property
    def slug(self) -> str:
        return f"{self.asset.lower()}-usd-{PAGES[self.kind]}"

    @property
    def url(self) -> str:
        return f"{STREAMS}/{self.slug}"

    @property
    def instrument(self) -> str:
        return f"chainlink:{self.asset.lower()}-usd{INSTRUMENTS[self.kind]}"

    @property
    def source(self) -> str:
        """Return the column `source` of this page's rows.

        It is `page` for spot, `page_twap60` or `page_twap30` for averages.
        """
        return "page" if self.kind == "spot" else f"page_{self.kind}"

    @property
    def feed_id(self) -> str | None:
        """Return the id of the feed that the page must show; None when it is not known.

        The ids of the averages are not documented; only the page's own HTML names them.
        """
        return SPOT_FEED_IDS.get(self.asset) if self.kind == "spot" else None

    def is_requested(self, requested: str, of_document: str | None) -> bool:
        """Return whether a request made by the page is for the page's own feed.

        requested: its query string; of_document: feed that the page's HTML names, None when unknown. True
        when neither this nor `feed_id` is known.
        """
        feed_id = self.feed_id or of_document
        return feed_id is None or feed_id in requested


def page_of(slug: str) -> StreamPage | None:
    """Return the page of a slug such as `btc-usd-twap-60s-streams`, or its alias `btc-usd`.

    None for other slugs.
    """
    match = _SLUG.fullmatch(slug)
    return None if match is None else StreamPage(match[1].upper(), _KINDS[match[2]])


def page_named_by(resolution_source: str) -> StreamPage | None:
    """Return the stream page that a market names as its settlement source; None for another source."""
    parts = urlsplit(resolution_source.strip())
    is_stream = f"{parts.scheme}://{parts.netloc}" == HOST and parts.path.startswith("/streams/")
    return page_of(parts.path.removeprefix("/streams/").rstrip("/")) if is_stream else None
