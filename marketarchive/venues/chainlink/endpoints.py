"""Where Chainlink shows its data streams, and how often its pages may be opened.

A page fetches its own data from `/api/...` on the same host; without a browser that host answers every
request with a checkpoint (429). No limit is documented: the figure is ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from marketarchive.venues.endpoint import Endpoint

HOST = "https://data.chain.link"
STREAMS = f"{HOST}/streams"
API = f"{HOST}/api"

LIVE = f"{API}/live-data-engine-stream-data"  # since about March 2026: dollars as decimal text
TIMESCALE = f"{API}/query-timescale"  # before: dollars times 1e18 as integers
HISTORY = f"{API}/historical-data-engine-stream-data"  # candles for the chart

PAGES_PER_10S = 4
PAGE = Endpoint("page", f"{STREAMS}/{{slug}}", "chainlink/page", PAGES_PER_10S)

PAGES: dict[str, str] = {
    "spot": "cexprice-streams",
    "twap30": "twap-30s-streams",
    "twap60": "twap-60s-streams",
}
"""What follows `<asset>-usd-` in a page's slug, by the name that users give."""

INSTRUMENTS: dict[str, str] = {"spot": "", "twap30": "-twap-30s", "twap60": "-twap-60s"}
"""What follows `chainlink:<asset>-usd` in the name of what a page shows."""

FEED_IDS: dict[str, str] = {
    "BTC": "0x00039d9e45394f473ab1f050a1b963e6b05351e52d71e507509ada0c95ed75b8",
    "ETH": "0x000362205e10b3a147d02792eccee483dca6c7b44ecce7012cb8c6e0b68b3ae9",
    "SOL": "0x0003b778d3f6b2ac4991302b89cb313f99a42467d6c9c5f96f57c29c0d2bc24f",
    "XRP": "0x0003c16c6aed42294f5cb4741f6e59ba2d728f0eae2eb9e6d3f555808c59fc45",
    "BNB": "0x000335fd3f3ffa06cfd9297b97367f77145d7a5f132e84c736cc471dd98621fe",
    "DOGE": "0x000356ca64d3b32135e17dc0dc721a645bf50d0303be8ceb2cdca0a50bab8fdc",
    "HYPE": "0x0003d34539af562867c3cb309b59efccf40e74b404fb415eeb7699d61322aed9",
}
"""Feeds of the spot pages. Those of the averages' pages are not documented: the page's own document names
them."""

_SLUG = re.compile(r"([a-z0-9]{2,10})-usd(?:-(cexprice|twap-30s|twap-60s)-streams)?")
_KINDS = {None: "spot", "cexprice": "spot", "twap-30s": "twap30", "twap-60s": "twap60"}


@dataclass(frozen=True, slots=True)
class Page:
    """One page of one asset; `kind` is a key of PAGES."""

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
        """What rows of this page call it: `page` for spot, `page_twap60`, `page_twap30`."""
        return "page" if self.kind == "spot" else f"page_{self.kind}"

    @property
    def feed_id(self) -> str | None:
        """The feed that the page must show, where it is known beforehand."""
        return FEED_IDS.get(self.asset) if self.kind == "spot" else None


def page_of(slug: str) -> Page | None:
    """`btc-usd-twap-60s-streams`, also the alias `btc-usd`; None for a page of another kind."""
    match = _SLUG.fullmatch(slug)
    return None if match is None else Page(match[1].upper(), _KINDS[match[2]])


def page_named_by(resolution_source: str) -> Page | None:
    """The page that a market names as the source of its settlement; None where it names something else."""
    parts = urlsplit(resolution_source.strip())
    is_stream = f"{parts.scheme}://{parts.netloc}" == HOST and parts.path.startswith("/streams/")
    return page_of(parts.path.removeprefix("/streams/").rstrip("/")) if is_stream else None
