"""Everything of Kalshi's 15-minute rounds on some assets: the stream, trades and results over REST."""

from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, Arguments
from marketarchive.collecting.together.plan import Plan, PlannedFeed

RESULTS_SINCE = "2h"
"""Longer than the longest wait for a new start, and than a result has been seen to take."""


def feeds(arguments: Arguments) -> list[PlannedFeed]:
    """Return the feeds for the chosen assets; the stream only where an API key is set."""
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
