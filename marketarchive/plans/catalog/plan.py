"""Plan `catalog`: all markets of each platform, by spiders of its three phases, and headlines about them."""

from __future__ import annotations

from scrapy.settings import BaseSettings

from marketarchive.collecting.arguments import Argument, Arguments, names, seconds
from marketarchive.collecting.together.plan import Plan, PlannedFeed
from marketarchive.collecting.user_settings import user_setting
from marketarchive.exceptions import ArgumentError
from marketarchive.plans.catalog.listener import CycleListener
from marketarchive.venues import venues
from marketarchive.venues.searxng.queries import ADDRESS


def platforms() -> tuple[str, ...]:
    """Return the names of the venues that have a catalogue, sorted."""
    return tuple(sorted(name for name, venue in venues().items() if venue.catalogue is not None))


def _platforms(name: str, text: str) -> tuple[str, ...]:
    chosen = tuple(each.lower() for each in names(name, text))
    for each in chosen:
        if each not in platforms():
            raise ArgumentError(
                f"{name}={text!r}: {each!r} has no catalogue; known: {', '.join(platforms())}"
            )
    return chosen


def _cycle(name: str, text: str) -> float:
    value = seconds(name, text)
    if value < 60:
        raise ArgumentError(f"{name}={text!r} is under a minute: less than a cycle takes")
    return value


def _switch(name: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise ArgumentError(f"{name}={text!r} is neither 0 nor 1")
    return text == "1"


PLATFORMS = Argument("platforms", _platforms, "NAME,...", "the markets of these platforms")
DISCOVER = Argument("discover", _cycle, "5m", "time between two discoveries of new markets")
SNAPSHOT = Argument("snapshot", _cycle, "15m", "time between two snapshots of all active markets")
RESOLVE = Argument(
    "resolve", _cycle, "30m", "time between two requests for the results of markets that are over"
)
ONCE = Argument("once", _switch, "1", "run one cycle of each phase, then end")

NEWS = "searxng_news"
NEWS_OPTION = "no-news"
SNAPSHOT_FIRST_S = 5.0
"""Seconds between the starts of a platform's phases.

The phase snapshot is first, so that the markets that it lists need not be discovered.
"""


def feeds(arguments: Arguments) -> list[PlannedFeed]:
    """Return the spiders of the three phases for each platform, and one that searches headlines."""
    given = arguments.others

    def every(name: str) -> dict[str, str]:
        return {} if given["once"] else {"interval": f"{given[name]:g}"}

    planned = []
    for platform in given["platforms"]:
        for spider, name, more, place in (
            ("prices", "snapshot", {}, 0),
            ("markets", "discover", {"until": "known"}, 1),
            ("resolutions", "resolve", {}, 2),
        ):
            planned.append(
                PlannedFeed(
                    f"{platform}_{spider}",
                    {"markets": "all", **more, **every(name)},
                    after_s=place * SNAPSHOT_FIRST_S,
                    is_once=given["once"],
                )
            )
    news = PlannedFeed(
        NEWS,
        every("snapshot"),
        after_s=3 * SNAPSHOT_FIRST_S,
        option=NEWS_OPTION,
        title="Headlines",
        is_once=given["once"],
    )
    return [*planned, news]


def left_out(settings: BaseSettings) -> frozenset[str]:
    """Return the options whose feeds are left out: that of headlines, where no search server is set."""
    return frozenset() if user_setting(settings, ADDRESS.setting) else frozenset({NEWS_OPTION})


def listener(arguments: Arguments, now: int) -> CycleListener:  # noqa: ARG001  (a plan's interface)
    """Return a listener that displays the last cycle of each phase, and keeps other collectors out."""
    return CycleListener(arguments.others["platforms"])


PLAN = Plan(
    name="catalog",
    what="every market of both platforms, its prices and its outcome, cycle after cycle",
    feeds=feeds,
    takes=(PLATFORMS, DISCOVER, SNAPSHOT, RESOLVE, ONCE),
    defaults={
        "platforms": ",".join(platforms()),
        "discover": "5m",
        "snapshot": "15m",
        "resolve": "30m",
        "once": "0",
    },
    listener=listener,
    settings={"MASTER_SNAPSHOTS": "all", "MASTER_QUEUE": 50_000, "MASTER_CLOSE_TIMEOUT": 60},
)
