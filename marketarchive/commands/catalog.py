"""`scrapy catalog`: list every market of the platforms that have a catalogue, in repeated cycles."""

from __future__ import annotations

import argparse

from scrapy.exceptions import UsageError
from scrapy.settings import BaseSettings

from marketarchive.collecting.feed_context import name_feeds
from marketarchive.commands.collect import Command as Collect
from marketarchive.exceptions import ConfigurationError

MINUTES = {
    "discover": "CATALOG_POLL_MINUTES",
    "snapshot": "CATALOG_SNAPSHOT_MINUTES",
    "resolve": "CATALOG_RESOLVE_MINUTES",
}
"""Argument of the plan `catalog` -> name of the setting that gives its value, in minutes."""


class Command(Collect):
    def syntax(self) -> str:
        return "[--once | --duration SPAN] [--platforms NAME,...]"

    def short_desc(self) -> str:
        return "Keep the catalogue: all markets, their prices and outcomes (exit codes: 0 to 4)"

    def long_desc(self) -> str:
        return (
            "Of each platform with a catalogue three phases take turns: discover (new markets), snapshot "
            "(all active markets with their prices) and resolve (those that are over). How often: settings "
            f"{', '.join(MINUTES.values())}. A cycle that was interrupted goes on where it stopped, also "
            "after a crash. A second one on the same OUTPUT_DIR is refused with exit code 2."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super(Collect, self).add_options(parser)
        parser.add_argument("--once", action="store_true", help="one cycle of each phase, then the end")
        parser.add_argument("--duration", metavar="SPAN", help="seconds, or 15m, 1h; without it for ever")
        parser.add_argument(
            "--platforms",
            metavar="NAME,...",
            help="default: the setting CATALOG_PLATFORMS, or all",
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from marketarchive.plans.catalog.plan import PLAN, left_out

        assert self.settings is not None
        if args:
            raise UsageError(f"{args[0]!r}: catalog takes options only", print_help=False)
        if opts.once and opts.duration:
            raise UsageError("--once ends by itself: leave out --duration", print_help=False)
        try:
            given = {name: _minutes(self.settings, setting) for name, setting in MINUTES.items()}
        except ConfigurationError as error:
            raise UsageError(str(error), print_help=False) from error
        if chosen := opts.platforms or self.settings["CATALOG_PLATFORMS"]:
            given["platforms"] = chosen if isinstance(chosen, str) else ",".join(chosen)
        log = self.own_log()
        name_feeds()
        off = left_out(self.settings)
        self.collect([PLAN], {**given, "once": str(int(opts.once))}, opts.duration, off, log)


def _minutes(settings: BaseSettings, name: str) -> str:
    """Return a setting in minutes as a span in seconds, such as `300s`. Raises ConfigurationError."""
    try:
        minutes = settings.getfloat(name)
    except (TypeError, ValueError):
        minutes = 0.0
    if minutes < 1:
        raise ConfigurationError(f"{name}={settings[name]!r} is not a number of minutes of at least 1")
    return f"{minutes * 60:g}s"
