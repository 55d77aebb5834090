"""`scrapy status`: show running and ended runs, feeds, gaps, disk use and the market master."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, get_args

from rich.console import Console
from rich.control import Control
from rich.table import Table
from rich.text import Text
from scrapy.settings import BaseSettings

from marketarchive.archive.disk_budget import DiskBudget
from marketarchive.archive.health import Expected, problems
from marketarchive.archive.status import FeedStatus, RunStatus, State, Status, status
from marketarchive.collecting.arguments import seconds
from marketarchive.collecting.master_settings import master_url
from marketarchive.exceptions import ArgumentError, MasterError
from marketarchive.invocation import command
from marketarchive.items import Phase
from marketarchive.offline import OfflineCommand
from marketarchive.times import iso, to_seconds

if TYPE_CHECKING:
    from marketarchive.master.counts import MasterCounts
    from marketarchive.master.cycles import HeldCycle

LISTED = 15
STYLES = {"alive": "green", "dead": "bold red", "recovered": "yellow", "unknown": "yellow"}


@dataclass(frozen=True)
class Master:
    """Counts of the market master, or the reason why there are none."""

    counts: MasterCounts | None
    said: str  # why `counts` is None; "" if it is not


class Command(OfflineCommand):
    def syntax(self) -> str:
        return "[--runs N] [--json] | --check [options] | --watch [--interval SPAN]"

    def short_desc(self) -> str:
        return "Show runs, feeds, gaps, disk use and the master, as they are now"

    def long_desc(self) -> str:
        return (
            "Reads the ledger, manifests, locks and the newest rows, but no segment, and disturbs no run. "
            "Exit code 1 if the ledger or a manifest is damaged; a master that does not answer is reported, "
            "but is no failure. --check is for cron and monitors: it prints one line of JSON, and exits "
            "with 1 if a run is dead, the newest run of a spider failed within the last day, a feed has no "
            "fresh data, the ledger is damaged, or the disk is almost full. It looks for fresh data at the "
            "end of segments. A run that ended normally owes no data, unless --expect names its feed."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--runs",
            type=int,
            default=LISTED,
            metavar="N",
            help=f"list the N newest runs (default: {LISTED})",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object, with all runs")
        parser.add_argument(
            "--check",
            action="store_true",
            help="print one line of JSON with what is wrong; exit code 1 if anything is",
        )
        parser.add_argument(
            "--max-age",
            metavar="SPAN",
            default="5m",
            help=(
                "with --check: greatest age of data of a living run or of --feed; a poll may be two of its "
                "intervals older (default: 5m)"
            ),
        )
        parser.add_argument(
            "--expect",
            action="append",
            default=[],
            metavar="VENUE/FEED=SPAN",
            help="with --check: greatest age of data of this feed, whether or not a run is alive",
        )
        parser.add_argument(
            "--feed",
            action="append",
            default=[],
            metavar="VENUE/FEED",
            help="with --check: like --expect with --max-age, and do not check other feeds",
        )
        parser.add_argument("--watch", action="store_true", help="refresh until Ctrl+C")
        parser.add_argument(
            "--interval",
            metavar="SPAN",
            default="5s",
            help="with --watch: time between two refreshes (default: 5s)",
        )

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        assert self.settings is not None
        if opts.runs < 0:
            raise ArgumentError(f"--runs {opts.runs} is not a number of runs")
        if sum((opts.check, opts.watch, opts.json)) > 1:
            raise ArgumentError("--check, --watch and --json exclude each other")
        if opts.check:
            return self._check(opts)
        if opts.watch:
            return self._watch(opts.runs, seconds("--interval", opts.interval))
        clock = self.clock
        master = _master(self.settings, clock.now_ns())
        budget = DiskBudget.from_settings(self.settings)
        found = status(self.root, clock, None if opts.json else opts.runs)
        if opts.json:
            level = budget.level(found.room.free)
            print(json.dumps({**_document(found, master), "disk_level": level}, indent=1))
        else:
            console = Console(width=None if sys.stdout.isatty() else 100)
            _show(found, master, opts.runs, console)
            if short := budget.message(found.room):
                console.print(Text(f"\n{short}."))
        return 1 if found.problems else 0

    def _check(self, opts: argparse.Namespace) -> int:
        assert self.settings is not None
        max_age = seconds("--max-age", opts.max_age)
        expected = [_expected(text, max_age) for text in opts.feed]
        expected += [_expected(text, None) for text in opts.expect]
        found = status(self.root, self.clock)
        budget = DiskBudget.from_settings(self.settings)
        wrong = problems(found, expected, max_age, budget, only_expected=bool(opts.feed))
        document = {
            "ok": not wrong,
            "at_utc": iso(found.at),
            "output_dir": str(found.root),
            "runs_alive": sum(run.state == "alive" for run in found.runs),
            "disk_free_bytes": found.room.free,
            "problems": wrong,
        }
        print(json.dumps(document))
        return 1 if wrong else 0

    def _watch(self, runs: int, interval_s: float) -> int:
        """Show the status every `interval_s` seconds until Ctrl+C, or until the reader of a pipe ends.

        runs: how many ended runs to list. Returns the exit code.
        """
        assert self.settings is not None
        is_terminal = sys.stdout.isatty()
        console = Console(width=None if is_terminal else 100)
        try:
            while True:
                clock = self.clock
                found, master = status(self.root, clock, runs), _master(self.settings, clock.now_ns())
                if is_terminal:
                    console.control(Control.clear(), Control.home())
                _show(found, master, runs, console)
                if not is_terminal:
                    console.print()
                sys.stdout.flush()
                time.sleep(interval_s)
        except KeyboardInterrupt:
            return 0
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at its end
            return 0


def _expected(text: str, max_age_s: float | None) -> Expected:
    """Parse an expected feed: `venue/feed=15m`, or `venue/feed` where `max_age_s` is given.

    Raises ArgumentError.
    """
    name, equals, span = text.partition("=")
    venue, slash, feed = name.partition("/")
    if not (venue and slash and feed) or bool(equals) == (max_age_s is not None):
        option, form = ("--expect", "VENUE/FEED=SPAN") if max_age_s is None else ("--feed", "VENUE/FEED")
        raise ArgumentError(f"{option} {text!r} is not of the form {form}")
    return Expected(venue, feed, seconds("--expect", span) if max_age_s is None else max_age_s)


def _master(settings: BaseSettings, now: int) -> Master:
    from marketarchive.master.counts import counts

    url = master_url(settings)
    if not url:
        return Master(None, "none: MASTER_URL is empty")
    try:
        found = counts(url, now)
    except MasterError as error:
        return Master(None, f"not reachable: {error}")
    return Master(found, "" if found else "not there yet; the first run that lists markets creates it")


# ---- one JSON object -------------------------------------------------------------------------------------


def _document(found: Status, master: Master) -> dict[str, Any]:
    held = master.counts
    return {
        "output_dir": str(found.root),
        "at_utc": iso(found.at),
        "state": "damaged" if found.problems else "empty" if found.is_empty else "ok",
        "problems": found.problems,
        "ledger": {"lines": found.ledger_lines, "head": found.head or None},
        "disk_bytes": found.disk,
        "disk_free_bytes": found.room.free,
        "totals": _totals(found),
        "gaps": {
            reason: {"last_24h": recent, "all": whole} for reason, (recent, whole) in found.gaps().items()
        },
        "feeds": [_feed(found, feed) for feed in found.feeds],
        "runs": [_run(found, run) for run in found.runs],
        "master": {
            "reachable": held is not None,
            "said": master.said or None,
            "url": held.url if held else None,
            "markets": held.markets if held else None,
            "by_status": held.by_status if held else None,
            "changes": held.changes if held else None,
            "price_snapshots": held.snapshots if held else None,
        },
        "catalogue": _catalogue(held) if held else [],
    }


def _catalogue(held: MasterCounts) -> list[dict[str, Any]]:
    """Return, per platform with a catalogue cycle, its market counts and the last cycle of each phase."""
    return [
        {
            **asdict(platform),
            "cycles": {
                cycle.phase: {
                    "started_at_utc": iso(cycle.started),
                    "ended_at_utc": None if cycle.ended is None else iso(cycle.ended),
                    "state": cycle.state,
                    "pages": cycle.pages,
                    "markets": cycle.markets,
                    "failures": cycle.failures,
                }
                for cycle in held.cycles
                if cycle.platform == platform.platform
            },
        }
        for platform in held.platforms
        if any(cycle.platform == platform.platform for cycle in held.cycles)
    ]


def _totals(found: Status) -> dict[str, int]:
    names = (
        "sealed",
        "recovered",
        "torn",
        "open",
        "moved",
        "lines",
        "bytes",
        "open_bytes",
        "moved_bytes",
        "invalid",
    )
    return {
        **{f"runs_{state}": count for state, count in sorted(found.states.items())},
        **{name: sum(getattr(feed, name) for feed in found.feeds) for name in names},
        "rows_of_ended_runs": found.rows,
    }


def _feed(found: Status, feed: FeedStatus) -> dict[str, Any]:
    return {
        "venue": feed.venue,
        "feed": feed.feed,
        "last_data_utc": None if feed.last is None else iso(feed.last),
        "last_data_from": None if feed.last is None else feed.last_from,
        "age_s": None if feed.last is None else round(to_seconds(found.at - feed.last), 1),
        "segments": {
            "sealed": feed.sealed,
            "recovered": feed.recovered,
            "torn": feed.torn,
            "open": feed.open,
            "moved": feed.moved,
        },
        "lines": feed.lines,
        "bytes": feed.bytes,
        "open_bytes": feed.open_bytes,
        "moved_bytes": feed.moved_bytes,
        "invalid": feed.invalid,
        "gaps_last_24h": dict(feed.gaps_24h),
        "gaps": dict(feed.gaps),
    }


def _run(found: Status, run: RunStatus) -> dict[str, Any]:
    return {
        "spider": run.spider,
        "run": run.run,
        "venue": run.venue,
        "state": run.state,
        "started_at_utc": None if run.started is None else iso(run.started),
        "ended_at_utc": None if run.ended is None else iso(run.ended),
        "duration_s": _seconds(found, run),
        "exit_reason": run.exit_reason,
        "exit_code": run.exit_code,
        "simulated": run.simulated,
        "pid": run.pid,
        "markets": run.markets,
        "rows": run.rows,
        "lines": run.lines,
        "bytes": run.bytes,
        "open_bytes": run.open_bytes,
        "invalid": run.invalid,
        "gaps": dict(run.gaps),
    }


def _seconds(found: Status, run: RunStatus) -> float | None:
    """Return for how many seconds a run ran, or has been running.

    None for a dead run, whose end is unknown.
    """
    if run.started is None or (run.ended is None and run.state != "alive"):
        return None
    return round(to_seconds((run.ended or found.at) - run.started), 1)


# ---- for people ------------------------------------------------------------------------------------------


def _show(found: Status, master: Master, listed: int, console: Console) -> None:
    console.print(Text(f"{found.root}, {iso(found.at)[:19]}Z", "bold"))
    if found.is_empty:
        console.print(
            Text(
                f"Nothing is archived here yet: `{command('crawl')} SPIDER` begins, "
                f"`{command('list')}` names them."
            )
        )
        return
    for problem in found.problems:
        console.print(Text(f"DAMAGED  {problem}", "bold red"))
    facts = Table.grid(padding=(0, 2))
    for name, text in _facts(found, master):
        facts.add_row(name, Text(text))
    console.print(facts)
    if master.counts is not None and master.counts.cycles:
        console.print(_catalogue_table(found, master.counts))
    console.print(_runs_table(found, listed))
    console.print(_feeds_table(found))
    console.print(_gaps_table(found) if found.gaps() else Text("\nNo gaps."))
    if any(run.state == "dead" for run in found.runs):
        console.print(
            Text(f"\nDead runs left files open: `{command('recover')}`, or the next start of a spider.")
        )


def _facts(found: Status, master: Master) -> Iterator[tuple[str, str]]:
    chain = "damaged, see above" if found.problems else "chain intact"
    yield "ledger", f"{found.ledger_lines:,} lines, {chain}"
    yield "head", found.head
    totals = _totals(found)
    segments = f"{totals['sealed']:,} sealed, {totals['recovered']:,} recovered, {totals['open']:,} open"
    lines = f"{totals['lines']:,} lines sealed, {totals['invalid']:,} of them invalid"
    yield "segments", f"{segments}; {lines}"
    if totals["moved"]:
        size = size_text(totals["moved_bytes"])
        yield "moved", f"{totals['moved']:,} of them, {size}, are on a remote and not here"
    yield "rows", f"{totals['rows_of_ended_runs']:,} in records/ by runs that have ended"
    used = ", ".join(f"{name} {size_text(size)}" for name, size in found.disk.items() if size)
    yield "disk", f"{size_text(sum(found.disk.values()))} used: {used}; {size_text(found.room.free)} free"
    yield "master", _about(master)


def _about(master: Master) -> str:
    held = master.counts
    if held is None:
        return master.said
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(held.by_status.items()))
    rows = f"{held.changes:,} changes, {held.snapshots:,} price snapshots"
    return f"{held.markets:,} markets{f' ({states})' if states else ''}, {rows}; {held.url}"


def _catalogue_table(found: Status, held: MasterCounts) -> Table:
    table = _table("Catalogue, last cycle of each phase", "platform")
    for name in ("tracked", "resolved", "pending", "overdue"):
        table.add_column(name, justify="right", no_wrap=True)
    phases = get_args(Phase)
    for phase in phases:
        table.add_column(phase, no_wrap=True)
    last = {(cycle.platform, cycle.phase): cycle for cycle in held.cycles}
    for each in held.platforms:
        mine = [last.get((each.platform, phase)) for phase in phases]
        if any(mine):
            counts = (each.tracked, each.resolved, each.pending, each.overdue)
            table.add_row(each.platform, *map(_number, counts), *(_last(found, cycle) for cycle in mine))
    return table


def _last(found: Status, cycle: HeldCycle | None) -> str:
    """Return a text with the state of a cycle and how long ago it ended, or began if it is running."""
    if cycle is None:
        return "never"
    return f"{cycle.state} {span_text(to_seconds(found.at - (cycle.ended or cycle.started)))} ago"


def _runs_table(found: Status, listed: int) -> Table:
    states = found.states
    reported = ", ".join(f"{states[state]} {state}" for state in get_args(State) if states[state])
    if found.simulated:
        reported += f" ({found.simulated} simulated)"
    more = f"; the newest {listed} are listed, --runs N for others" if states.total() > listed else ""
    table = _table(f"Runs: {reported}{more}", "state", "spider", "run, from its UTC start", "for")
    for name in ("markets", "rows", "lines", "size", "gaps"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in found.runs[:listed]:
        seconds = _seconds(found, run)
        table.add_row(
            Text(_state(run), STYLES.get(run.state, "red" if run.exit_code else "")),
            run.spider,
            run.run,
            "-" if seconds is None else span_text(seconds),
            _number(run.markets),
            _number(run.rows),
            _number(run.lines) + ("+" if run.open_bytes else ""),
            size_text(run.bytes + run.open_bytes),
            _number(run.gaps.total()),
        )
    return table


def _state(run: RunStatus) -> str:
    if run.state in ("alive", "dead", "unknown"):
        return run.state
    return f"{run.exit_reason}{f' ({run.exit_code})' if run.exit_code else ''}"


def _feeds_table(found: Status) -> Table:
    table = _table("Feeds", "feed", "last data, UTC", "age", "from")
    for name in ("sealed", "recov.", "open", "lines", "size", "gaps", "invalid"):
        table.add_column(name, justify="right", no_wrap=True)
    for feed in found.feeds:
        table.add_row(
            f"{feed.venue}/{feed.feed}",
            "never" if feed.last is None else f"{iso(feed.last)[5:19].replace('T', ' ')}",
            "-" if feed.last is None else span_text(to_seconds(found.at - feed.last)),
            "-" if feed.last is None else feed.last_from,
            _number(feed.sealed),
            _number(feed.recovered),
            _number(feed.open),
            _number(feed.lines) + ("+" if feed.open else ""),
            size_text(feed.bytes + feed.open_bytes),
            _number(feed.gaps.total()),
            _number(feed.invalid),
        )
    return table


def _gaps_table(found: Status) -> Table:
    table = _table("Gaps by reason", "reason")
    table.add_column("last 24 h", justify="right")
    table.add_column("in all", justify="right")
    for reason, (recent, whole) in found.gaps().items():
        table.add_row(reason, _number(recent), _number(whole))
    return table


def _table(title: str, *names: str) -> Table:
    table = Table(
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in names:
        is_state = name == "state"
        table.add_column(name, no_wrap=not is_state, overflow="fold", max_width=14 if is_state else None)
    return table


def _number(count: int | None) -> str:
    if count is None:
        return "-"
    if count < 1_000_000:
        return f"{count:,}"
    return f"{count / 1e6:.1f}M" if count < 1e9 else f"{count / 1e9:.1f}G"


def size_text(size: float) -> str:
    """Format a size in bytes for a table: `999 B`, `12.3 kB`, `5.0 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def span_text(seconds: float) -> str:
    """Format a time span in seconds for a table: `12 s`, `3m05s`, `1h02m`, `3d04h`.

    A negative span has a minus sign: the archive's clock may be ahead of this machine's.
    """
    whole, sign = int(abs(seconds)), "-" if seconds <= -1 else ""
    for below, large, small in ((3600, (60, "m"), (1, "s")), (86400, (3600, "h"), (60, "m"))):
        if whole < 60:
            return f"{sign}{whole} s"
        if whole < below:
            return f"{sign}{whole // large[0]}{large[1]}{whole % large[0] // small[0]:02d}{small[1]}"
    return f"{sign}{whole // 86400}d{whole % 86400 // 3600:02d}h"
