"""Plan `kalshi`: stream, trades and results of Kalshi's 15-minute rounds on some assets."""

from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, Arguments
from marketarchive.collecting.together.plan import Plan, PlannedFeed

RESULTS_SINCE = "2h"
"""Age up to which results are requested: longer than any restart waits, and than one was seen to take."""


def feeds(arguments: Arguments) -> list[PlannedFeed]:
    """Return the feeds for the chosen assets; the stream is optional, since it needs an API key."""
    assets = {"assets": ",".join(arguments.assets or ())}
    stream = {**assets, "interval": "1s"}
    return [
        PlannedFeed("kalshi_stream", stream, option="no-kalshi-stream", title="Kalshi's books and tickers"),
        PlannedFeed("kalshi_trades", {**assets, "interval": "30s"}, after_s=10),
        PlannedFeed("kalshi_resolutions", {**assets, "since": RESULTS_SINCE, "interval": "1m"}, after_s=20),
    ]


PLAN = Plan(
    name="kalshi",
    what="everything of Kalshi's 15-minute rounds on some assets: books (with an API key), trades, results",
    feeds=feeds,
    takes=(ASSETS,),
    defaults={"assets": "BTC"},
)
