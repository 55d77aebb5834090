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
            "Each platform with a catalogue repeats three phases: discover (new markets), snapshot (prices "
            "of all active markets) and resolve (results of markets that are over). Settings give the "
            f"intervals: {', '.join(MINUTES.values())}. An interrupted cycle is resumed at the next start, "
            "also after a crash. A second `catalog` with the same OUTPUT_DIR is refused with exit code 2."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super(Collect, self).add_options(parser)
        parser.add_argument("--once", action="store_true", help="run one cycle of each phase, then end")
        parser.add_argument(
            "--duration",
            metavar="SPAN",
            help="end after this time: seconds, or 15m, 1h (default: run until stopped)",
        )
        parser.add_argument(
            "--platforms",
            metavar="NAME,...",
            help="only these platforms (default: the setting CATALOG_PLATFORMS, or all)",
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from marketarchive.plans.catalog.plan import PLAN, left_out

        assert self.settings is not None
        if args:
            raise UsageError(f"catalog takes no argument {args[0]!r}, only options", print_help=False)
        if opts.once and opts.duration:
            raise UsageError(
                "--once and --duration exclude each other: --once ends by itself", print_help=False
            )
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
