"""`scrapy kxbtc15m`: collect a record of 15-minute rounds in the background; compress its finished days."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scrapy.exceptions import UsageError
from scrapy.utils.conf import arglist_to_dict

from marketarchive.archive.compress_rows import compress_days
from marketarchive.archive.config import ArchiveConfig, files_from_settings
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.store import Store
from marketarchive.collecting.arguments import DURATION, Arguments
from marketarchive.collecting.process import output_dir
from marketarchive.collecting.together.claim import LOG_FILE, running
from marketarchive.exceptions import ArgumentError
from marketarchive.invocation import KEPT, command, program
from marketarchive.offline import OfflineCommand
from marketarchive.plans.kxbtc15m import collector
from marketarchive.plans.kxbtc15m.plan import PLAN, chosen_series, output
from marketarchive.times import iso

VERBS = ("start", "stop", "status", "compress")


class Command(OfflineCommand):
    takes_arguments = True

    def syntax(self) -> str:
        return f"{'|'.join(VERBS)} [-a series=...] [-a output=DIR]"

    def short_desc(self) -> str:
        return "Collect a record of 15-minute rounds in the background; compress its finished days"

    def long_desc(self) -> str:
        return (
            f"start runs `crawl {PLAN.name}` in the background and writes its PID to .collector.pid and its "
            f"output to {LOG_FILE}, in OUTPUT_DIR or in the folder of -a output=DIR; a second start is "
            "refused. stop ends it and waits until everything is sealed. status prints whether it runs, the "
            "markets, the number of ticks today, the last tick and what is damaged in the day's file; exit "
            "code 1 if it does not run. compress replaces the files of finished days by gzip; the plain file "
            "is deleted once the gzip was read back."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "-a",
            dest="arguments",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="argument of the spider: series, output; for start also duration",
        )

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        if len(args) != 1 or args[0] not in VERBS:
            raise UsageError(f"name one of {', '.join(VERBS)}", print_help=False)
        try:
            given = arglist_to_dict(opts.arguments)
        except ValueError as error:
            raise ArgumentError("-a takes NAME=VALUE") from error
        takes = {each.name for each in PLAN.takes} | ({DURATION.name} if args[0] == "start" else set())
        if unknown := sorted(given.keys() - takes):
            raise ArgumentError(
                f"{args[0]} has no argument {unknown[0]!r}; it takes {', '.join(sorted(takes))}"
            )
        arguments = PLAN.arguments(given)
        verbs = {"stop": self._stop, "status": self._status, "compress": self._compress}
        if args[0] == "start":
            return self._start(arguments, [word for text in opts.arguments for word in ("-a", text)])
        return verbs[args[0]](arguments)

    def _start(self, arguments: Arguments, words: Sequence[str]) -> int:
        assert self.settings is not None
        folder = self._folder(arguments)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError(
                f"the folder {folder} cannot be created: {error.strerror}; name another with -a output=DIR "
                "or -s OUTPUT_DIR=DIR"
            ) from error
        kept = [f"{name}={self.settings[name]}" for name in KEPT if self.settings[name]]
        settings = [word for text in kept for word in ("-s", text)]
        try:
            pid = collector.start(folder, [*program(), "crawl", PLAN.name, *words, *settings])
        except collector.CollectorError as error:
            print(f"kxbtc15m: {error}", file=sys.stderr)
            return error.exit_code
        print(f"started, PID {pid}; log: {folder / LOG_FILE}")
        return 0

    def _stop(self, arguments: Arguments) -> int:
        pid = collector.stop(self._folder(arguments))
        print("not running" if pid is None else f"stopped, PID {pid}")
        return 0

    def _status(self, arguments: Arguments) -> int:
        folder = self._folder(arguments)
        now = self.clock.now_ns()
        print(collector.state(folder))
        for series in chosen_series(arguments):
            found = collector.record_status(self._records(arguments), series, now)
            last = "none" if found.last_tick is None else f"{iso(found.last_tick)[:19]}Z"
            markets = ", ".join(found.open_markets) or "none"
            print(
                f"{series}: markets tracked: {markets}; without a result: {found.unsettled}; "
                f"ticks today: {found.ticks_today:,}; last tick: {last}"
            )
            for text in found.damaged:
                print(f"{text}; it is skipped. `{command('verify')}` checks all files", file=sys.stderr)
        return 0 if running(folder) is not None else 1

    def _compress(self, arguments: Arguments) -> int:
        assert self.settings is not None
        files = files_from_settings(self.settings)
        config = ArchiveConfig.from_settings(self.settings)
        root = output_dir(self.settings)
        store = Store(root, self.clock, config, files, Ledger(root, files))
        own = output(arguments)
        done = compress_days(store if own is None else store.of_rows(own), chosen_series(arguments))
        for each in done:
            if each.outcome == "compressed":
                print(f"{each.path}: {each.bytes:,} -> {each.gzip_bytes:,} bytes, sha256 {each.sha256}")
            else:
                print(f"{each.path}: left as it is: {each.detail}", file=sys.stderr)
        return 1 if any(each.outcome == "refused" for each in done) else 0

    def _folder(self, arguments: Arguments) -> Path:
        """Return the folder of the collector's PID file and log."""
        assert self.settings is not None
        return output(arguments) or output_dir(self.settings)

    def _records(self, arguments: Arguments) -> Path:
        assert self.settings is not None
        return output(arguments) or output_dir(self.settings) / "records"
