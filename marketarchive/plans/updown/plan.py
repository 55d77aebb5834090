"""Plan `updown`: books, rows, prices, trades and outcomes of the up/down rounds of some assets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from marketarchive.collecting.arguments import ASSETS, DURATIONS, Arguments
from marketarchive.collecting.together.plan import Plan, PlannedFeed
from marketarchive.invocation import command
from marketarchive.plans.updown.live_rounds import LiveRounds

AHEAD = "3m"
"""Time before its start from which a round is followed.

Rounds are looked up each minute, so each one is subscribed at least 2 min before it opens.
"""
OUTCOMES = "polymarket_resolutions"
OUTCOMES_SINCE = "2h"
"""Age up to which outcomes are requested: longer than any restart waits, and than one was seen to take."""


def feeds(arguments: Arguments) -> list[PlannedFeed]:
    """Return the feeds for the chosen assets and durations."""
    assets = _assets(arguments)
    rounds = assets | _durations(arguments)
    return [
        PlannedFeed("polymarket_stream", {**rounds, "ahead": AHEAD, "interval": "1s"}),
        PlannedFeed("polymarket_reference", {}),
        PlannedFeed("chainlink_streams", assets, option="no-pages", title="Chainlink's pages"),
        PlannedFeed("polymarket_trades", {**rounds, "ahead": AHEAD, "interval": "1m"}, after_s=10),
        PlannedFeed(OUTCOMES, {**rounds, "since": OUTCOMES_SINCE, "interval": "1m"}, after_s=20),
    ]


def last_outcomes(planned: Sequence[PlannedFeed]) -> PlannedFeed | None:
    """Return the feed that requests outcomes, changed to one pass.

    None is returned where it is not among those planned.
    """
    for feed in planned:
        if feed.spider == OUTCOMES:
            once = {name: value for name, value in feed.arguments.items() if name != "interval"}
            return replace(feed, arguments=once)
    return None


def outcomes_command(arguments: Arguments) -> str:
    """Return the command that requests the outcomes of the chosen rounds once."""
    given: Mapping[str, str] = {**_assets(arguments), **_durations(arguments), "since": OUTCOMES_SINCE}
    options = (word for name, value in given.items() for word in ("-a", f"{name}={value}"))
    return command("crawl", OUTCOMES, *options)


def _assets(arguments: Arguments) -> dict[str, str]:
    return {"assets": ",".join(arguments.assets or ())}


def _durations(arguments: Arguments) -> dict[str, str]:
    return {"durations": ",".join(arguments.durations or ())}


def listener(arguments: Arguments, now: int) -> LiveRounds:
    """Return the listener that displays the open round of each asset and duration; now: start, wall ns."""
    return LiveRounds(arguments.assets or (), arguments.durations or (), now, outcomes_command(arguments))


PLAN = Plan(
    name="updown",
    what="everything of the up/down rounds of some assets: books, rows, prices, trades, outcomes",
    feeds=feeds,
    takes=(ASSETS, DURATIONS),
    defaults={"assets": "BTC,ETH,SOL,XRP", "durations": "15m"},
    last_pass=last_outcomes,
    listener=listener,
)
