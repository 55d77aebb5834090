"""`scrapy simulate`: serve the simulated venues on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from marketarchive.collecting.arguments import moment, names
from marketarchive.exceptions import ArgumentError, ConfigurationError
from marketarchive.offline import OfflineCommand
from marketarchive.times import from_iso

FIRST, LAST = "1971-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
"""Earliest and latest begin of simulated time, which is counted in 64 bits, in ns since 1970."""


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Serve the simulated venues on 127.0.0.1"

    def long_desc(self) -> str:
        return (
            "Serves https://HOST/PATH of every simulated venue at http://127.0.0.1:PORT/HOST/PATH and its "
            "sockets at ws://127.0.0.1:PORT/HOST/PATH, from a world that depends on the seed and the "
            "simulated time only. "
            "Prints `ready URL` when it listens; ends on SIGTERM or Ctrl+C."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--port", type=int, default=8900, help="port to listen on, 0: any free one (default: 8900)"
        )
        parser.add_argument(
            "--speed",
            type=float,
            default=1.0,
            help="most simulated seconds per second; simulated time waits for late participants (default: 1)",
        )
        parser.add_argument(
            "--pace",
            choices=("follow", "fixed"),
            default="follow",
            help="fixed: constant speed, for clients that do not follow simulated time (default: follow)",
        )
        parser.add_argument("--seed", type=int, default=1, help="seed of the simulated world (default: 1)")
        parser.add_argument(
            "--catalog-markets",
            type=int,
            default=0,
            metavar="3000",
            help="number of long-running markets open at a time, on each venue that has them (default: none)",
        )
        parser.add_argument(
            "--assets", metavar="BTC,ETH", help="assets whose rounds are listed (default: all)"
        )
        parser.add_argument("--start", help="simulated time at the start, ISO 8601 (default: now)")
        parser.add_argument("--faults", type=Path, help="JSON file of faults to inject")
        parser.add_argument(
            "--truth",
            type=Path,
            help="folder to write served.jsonl, frames.jsonl, markets.json, pace.json, catalog.jsonl and, "
            "with a catalogue, wwatcher.db and whale_links.jsonl to",
        )

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        try:
            from marketarchive.simulator.server import Options, serve
        except ImportError as error:
            raise ConfigurationError(
                f"{error.name} is not installed: pip install 'marketarchive[simulator]'"
            ) from error
        from marketarchive.simulator import simulated_venues
        from marketarchive.simulator.faults import load_faults

        options = Options(
            port=opts.port,
            speed=opts.speed,
            is_paced=opts.pace == "follow",
            start_ns=None if opts.start is None else _start(opts.start),
            faults=() if opts.faults is None else tuple(load_faults(opts.faults)),
            truth=opts.truth,
        )
        venues = simulated_venues(
            opts.seed, opts.catalog_markets, None if opts.assets is None else _assets(opts.assets)
        )
        serve(venues, options, ready=lambda url: print(f"ready {url}", flush=True))
        return 0


def _assets(text: str) -> list[str]:
    """Parse the value of --assets, such as `BTC,ETH`.

    Raises ArgumentError for an asset that is not simulated.
    """
    from marketarchive.simulator.prices import ASSETS

    assets = names("--assets", text.upper())
    for each in assets:
        if each not in ASSETS:
            raise ArgumentError(
                f"--assets {text!r}: {each} has no simulated rounds; known: {', '.join(ASSETS)}"
            )
    return list(assets)


def _start(text: str) -> int:
    """Parse the value of --start, an ISO 8601 time, to wall ns. Raises ArgumentError."""
    start = moment("--start", text)
    if not from_iso(FIRST) <= start <= from_iso(LAST):
        raise ArgumentError(f"--start {text!r} is not between {FIRST} and {LAST}")
    return start
