"""Hyperliquid's own client library, hyperliquid-python-sdk, at the URL that is the argument."""

from __future__ import annotations

import sys

from hyperliquid.info import Info

from tests.clients.serving import serve

BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"


def main(url: str) -> None:
    nothing: dict[str, list[str]] = {"universe": [], "tokens": []}
    info = Info(url, skip_ws=True, meta=nothing, spot_meta=nothing)
    info.session.headers["User-Agent"] = BROWSER  # its own one is not let in
    info.set_perp_meta(info.meta(), 0)
    serve(
        {
            "meta": info.meta,
            "meta_and_asset_ctxs": info.meta_and_asset_ctxs,
            "funding_history": info.funding_history,
            "candles_snapshot": info.candles_snapshot,
        }
    )


if __name__ == "__main__":
    main(sys.argv[1])
