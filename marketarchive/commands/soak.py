"""`scrapy soak`: collect for hours under a supervisor that measures, and report at the end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.locks import try_lock
from marketarchive.archive.paths import new_run_id
from marketarchive.archive.recover import recover
from marketarchive.archive.soak.journal import (
    FOLDER,
    LOCK,
    OVER,
    REPORTED,
    Soak,
    SoakJournal,
    read_lines,
    soaks,
    unfinished,
)
from marketarchive.archive.soak.supervisor import SoakSupervisor, planned_kills
from marketarchive.clock import Clock
from marketarchive.collecting.exit_codes import FAILED, FINISHED, WRONG_ARGUMENT
from marketarchive.collecting.master_settings import master_url
from marketarchive.collecting.process import make_clock, output_dir
from marketarchive.collecting.route import stand_ins
from marketarchive.commands.collect import add_left_out, add_plan_arguments, plan_words
from marketarchive.exceptions import ArgumentError, DiskError
from marketarchive.invocation import program
from marketarchive.offline import OfflineCommand
from marketarchive.progress import Bar
from marketarchive.times import iso
from marketarchive.venues import venues
from marketarchive.version import COLLECTOR

HOURS = 24.0
LOG_LINES = 15
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Command(OfflineCommand):
    takes_arguments = True

    def syntax(self) -> str:
        return "[PLAN ...] [--hours H] [options]"

    def short_desc(self) -> str:
        return "Collect for hours under a supervisor that measures and restarts it (exit codes: 0 to 3)"

    def long_desc(self) -> str:
        return (
            "Starts `scrapy collect` with these plans and options in OUTPUT_DIR, restarts it whenever it "
            "ends, and records each minute in OUTPUT_DIR/soak which resources it uses and what reached the "
            "disk; at the end it writes the report of `scrapy soak-report`. Run again with the same "
            "OUTPUT_DIR, e.g. after a kill or a reboot, it resumes the soak that has not ended; the time in "
            "between counts as downtime. SIGTERM and Ctrl+C seal everything, and the soak can be resumed. "
            "It ends early only if the collector ends with exit code 2 (wrong argument or setting)."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--hours",
            type=float,
            metavar="H",
            help=f"length of the soak (default: {HOURS:g}); simulated hours on the simulator",
        )
        parser.add_argument(
            "--kills",
            type=int,
            default=0,
            metavar="N",
            help="kill the collector (SIGKILL) at N random times, to test restarts",
        )
        parser.add_argument(
            "--new", action="store_true", help="abandon the soak that has not ended, and begin a new one"
        )
        add_plan_arguments(parser)
        add_left_out(parser)

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        assert self.settings is not None
        if opts.kills < 0 or (opts.hours is not None and not 0 < opts.hours < 1e5):
            raise ArgumentError("--hours must be above 0, and --kills 0 or more")
        root, clock = output_dir(self.settings), make_clock(self.settings)
        try:
            with _alone(root):
                return self._soak(root, clock, plan_words(args, opts), opts)
        except OSError as error:
            raise DiskError(f"the journal of the soak cannot be written: {error}") from error

    def _soak(self, root: Path, clock: Clock, words: Sequence[str], opts: argparse.Namespace) -> int:
        assert self.settings is not None
        if not opts.new and (unreported := _unreported(root)) is not None:
            return self._report(root, clock, unreported)
        soak, is_resumed = _chosen(root, clock, words, opts)
        journal = (SoakJournal if is_resumed else SoakJournal.create)(root, soak, clock)
        say = _Saying(soak)
        own = {
            address.url for venue in venues().values() for address in venue.addresses if address.is_own_server
        }
        mirrors = sorted(stand_ins(self.settings).keys() - own)
        settings = [word for each in opts.set for word in ("-s", each)]
        config = [] if opts.config is None else ["--config", opts.config]
        supervisor = SoakSupervisor(
            root, journal, clock, [*program(), "collect", *soak.words, *settings, *config], say, mirrors
        )

        def stop(*_: object) -> None:
            supervisor.is_stopping = True

        before = {number: signal.signal(number, stop) for number in STOPPING}
        say(f"{'goes on' if is_resumed else 'begins'}: {soak.hours:g} h of `collect {' '.join(soak.words)}`")
        try:
            ended = supervisor.run()
        finally:
            journal.close()
            for number, handler in before.items():
                signal.signal(number, handler)
        if ended == "stopped":
            say("stopped before its hours are over; the same command goes on with it")
            return FINISHED
        if ended == "stood still":
            say("stopped: simulated time stands still, so its simulator has ended")
            return FAILED
        if ended == "wrong argument":
            log = journal.folder / "collect.log"
            sys.stderr.write("\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:]) + "\n")
            say(
                f"ended: `collect` refuses its arguments or settings, as its last lines say; all are in {log}"
            )
            return WRONG_ARGUMENT
        return self._report(root, clock, soak)

    def _report(self, root: Path, clock: Clock, soak: Soak) -> int:
        """Recover what a killed collector left, write the soak's report, and note this in its journal.

        Returns the exit code.
        """
        from marketarchive.research.soak.report import soak_report

        assert self.settings is not None
        recover(root, clock, Files(), ArchiveConfig.from_settings(self.settings))
        _Saying(soak)("its hours are over; measuring and verifying")
        with Bar() as bar:
            done = soak_report(root, soak, master_url(self.settings), bar)
        journal = SoakJournal(root, soak, clock)
        journal.write(REPORTED)
        journal.close()
        print(done.text())
        return FINISHED


class _Saying:
    """Function that prints a line about a soak on stderr, with the soak's id."""

    def __init__(self, soak: Soak) -> None:
        self._id = soak.id

    def __call__(self, text: str) -> None:
        sys.stderr.write(f"soak {self._id}: {text}\n")
        sys.stderr.flush()


def _unreported(root: Path) -> Soak | None:
    """Return the newest soak if its hours are over and its report was not written, else None."""
    found = soaks(root)
    lines = list(read_lines(root, found[-1].id)) if found else []
    is_due = any(line.kind == "end" and line.reason == OVER for line in lines)
    return found[-1] if is_due and not any(line.kind == REPORTED for line in lines) else None


def _chosen(root: Path, clock: Clock, words: Sequence[str], opts: argparse.Namespace) -> tuple[Soak, bool]:
    """Return (the soak to run, whether it was begun before and is resumed).

    words: plans and options for `scrapy collect`. Raises ArgumentError where they differ from those of a soak
    that has not ended.
    """
    found = unfinished(root)
    if found is not None and opts.new:
        journal = SoakJournal(root, found, clock)
        journal.write("end", reason="given up")
        journal.close()
    elif found is not None:
        is_other = (words and list(words) != found.words) or opts.hours not in (None, found.hours)
        if is_other or clock.simulated != found.is_simulated:
            raise ArgumentError(
                f"the soak {found.id} has not ended: {found.hours:g} h of `collect {' '.join(found.words)}`"
                f"{' on a simulator' if found.is_simulated else ''}. Go on with these arguments or none, "
                "or give it up with --new"
            )
        return found, True
    now, hours = clock.now_ns(), HOURS if opts.hours is None else opts.hours
    name = new_run_id(now)
    kills = planned_kills(opts.kills, hours, name)
    return Soak(name, iso(now), hours, list(words), kills, clock.simulated, COLLECTOR), False


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the lock of soaks below OUTPUT_DIR `root` in a `with` block.

    Raises ArgumentError while another process holds it, OSError.
    """
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not try_lock(handle):
            raise ArgumentError(f"another `soak` runs in {root}: it holds {folder / LOCK}")
        yield
    finally:
        os.close(handle)
