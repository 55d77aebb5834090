"""The streams that have a page: their slugs and ids, and how their pages describe them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marketarchive.simulator.noise import digest
from marketarchive.simulator.prices import ASSETS

TWAP_WINDOWS_S = (30, 60)

_NAMES = {"BTC": "Bitcoin", "ETH": "Ethereum", "SOL": "Solana", "XRP": "XRP"}
_FEED_IDS = {  # as the venue's own pages and five readers state them
    "BTC": "0x00039d9e45394f473ab1f050a1b963e6b05351e52d71e507509ada0c95ed75b8",
    "ETH": "0x000362205e10b3a147d02792eccee483dca6c7b44ecce7012cb8c6e0b68b3ae9",
    "SOL": "0x0003b778d3f6b2ac4991302b89cb313f99a42467d6c9c5f96f57c29c0d2bc24f",
    "XRP": "0x0003c16c6aed42294f5cb4741f6e59ba2d728f0eae2eb9e6d3f555808c59fc45",
}
_OPERATORS = 16


@dataclass(frozen=True)
class Stream:
    """A stream that has a page: an average over `window_s` seconds, 0 for the spot price."""

    asset: str
    window_s: int
    slug: str
    feed_id: str

    @property
    def title(self) -> str:
        name = f"{self.asset} / USD"
        return f"{name} TWAP {self.window_s}s" if self.window_s else name


def _spot(asset: str) -> Stream:
    return Stream(asset, 0, f"{asset.lower()}-usd-cexprice-streams", _FEED_IDS[asset])


def _twap(asset: str, window_s: int) -> Stream:
    """Return a TWAP stream with an invented id, because the real ids are not published."""
    slug = f"{asset.lower()}-usd-twap-{window_s}s-streams"
    return Stream(asset, window_s, slug, f"0x0003{digest(30, slug).hex()}")


STREAMS: tuple[Stream, ...] = tuple(
    stream
    for asset in ASSETS
    for stream in (_spot(asset), *(_twap(asset, window_s) for window_s in TWAP_WINDOWS_S))
)
BY_FEED_ID = {stream.feed_id: stream for stream in STREAMS}
BY_SLUG = {stream.slug: stream for stream in STREAMS} | {
    f"{stream.asset.lower()}-usd": stream for stream in STREAMS if not stream.window_s
}
"""Slug -> stream, aliases included: `/streams/btc-usd` is the spot page."""


def stream_data(stream: Stream) -> dict[str, Any]:
    """Return `streamData` of a page's __NEXT_DATA__, which describes the stream without any price."""
    asset = stream.asset
    kind = f"TWAP-{stream.window_s}s" if stream.window_s else "RefPrice"
    product = f"{asset}/USD-{kind}-DS-Premium-Global-003"
    return {
        "extraConfig": {
            "chainId": "42161",
            "feedId": stream.feed_id,
            "icon": f"/images/tokens/{asset.lower()}.webp",
            "name": stream.title,
            "slug": stream.slug,
            "symbol": {"prefix": "$"},
        },
        "networks": [],
        "streamMetadata": {
            "assetName": _NAMES[asset],
            "compareOffchain": "",
            "contractAddress": f"0x{digest(20, 'verifier').hex()}",
            "contractType": "verifier",
            "contractVersion": 1001,
            "decimalPlaces": None,
            "decimals": 18,
            "docs": {
                "assetClass": "Crypto",
                "assetName": _NAMES[asset],
                "assetSubClass": "Crypto",
                "attributeType": "CexPrice",
                "baseAsset": asset,
                "baseAssetClic": f"{asset}_CR",
                "blockchainName": "Global",
                "clicProductName": product,
                "deliveryChannelCode": "DS",
                "feedCategory": "low",
                "feedType": "Crypto",
                "marketHours": "Crypto",
                "productSubType": "Reference",
                "productType": "Price",
                "productTypeCode": "TWAP" if stream.window_s else "RefPrice",
                "quoteAsset": "USD",
                "quoteAssetClic": "USD_FX",
                "schema": "v3",
                "serviceLevel": "Streams",
            },
            "ens": None,
            "feedCategory": "low",
            "feedId": stream.feed_id,
            "feedType": "Crypto",
            "formatDecimalPlaces": None,
            "healthPrice": "",
            "history": None,
            "maxSubmissionValue": "",
            "multiply": "1000000000000000000",
            "name": product,
            "oracles": [{"operator": f"mercury-node{number}-2"} for number in range(1, _OPERATORS + 1)],
            "pair": [asset, "USD"],
            "path": f"{asset.lower()}-usd-premium-prod",
            "proxyAddress": None,
            "sourceChain": 42161,
            "status": "live",
            "threshold": 0,
            "valuePrefix": "",
        },
    }
