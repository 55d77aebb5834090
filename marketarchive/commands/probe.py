"""`scrapy probe`: request every public endpoint and open every socket of a venue, and report the answers."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from scrapy.crawler import Crawler
from scrapy.exceptions import UsageError

from marketarchive.collecting.exit_codes import BLOCKED, DISK, FAILED
from marketarchive.collecting.probing.probe import ProbeSpider, probe_spider, probes
from marketarchive.collecting.probing.probe_report import (
    UNANSWERED,
    by_reason,
    report,
    socket_text,
    write_report,
)
from marketarchive.collecting.process import Process
from marketarchive.commands.crawl import exit_code
from marketarchive.crawling import CrawlingCommand
from marketarchive.pipelines.market_master import check_settings
from marketarchive.venues import venues


class Command(CrawlingCommand):
    def syntax(self) -> str:
        return "[VENUE ...] [options]"

    def short_desc(self) -> str:
        return "Check every public endpoint and socket of a venue, and report"

    def long_desc(self) -> str:
        return (
            f"Checks the named venues, by default all: {_venues()}. Each endpoint is requested once or a few "
            "times, each socket opened for some seconds; requests are paced and archived like those of a "
            "spider (feed `probe`). Writes probes/VENUE_public_sources_probe_v1.json and .md. Exit code 0 "
            "if what the venue needs was found (where no need is named above: if anything answered), 1 if "
            "not, 3 if the disk failed, 4 if every request was refused. Other failed checks are reported "
            "and do not change the exit code."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--perps", action="store_true", help="probe all venues that have perpetuals")
        parser.add_argument("--json", action="store_true", help="print one JSON object: which venues passed")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.settings is not None
        assert self.crawler_process is not None
        perps = [name for name in sorted(probes()) if opts.perps and venues()[name].perps is not None]
        names = list(dict.fromkeys([*args, *perps])) or sorted(probes())
        if unknown := [name for name in names if name not in probes()]:
            known = ", ".join(sorted(probes()))
            raise UsageError(f"{' '.join(unknown)} cannot be probed; use {known}", print_help=False)
        settings, shutdown = self.settings, self.shutdown(FAILED)  # without a report it has not passed

        def prepare() -> Process:
            check_settings(settings)
            return Process.of(settings, shutdown)

        if (process := self.prepared(prepare)) is None:
            return
        crawlers = [self.crawler_process.create_crawler(probe_spider(venue)) for venue in names]
        crawlings = [cast("asyncio.Task[None]", self.crawler_process.crawl(crawler)) for crawler in crawlers]
        self.crawler_process.start(install_signal_handlers=False)
        console = Console(width=None if sys.stdout.isatty() else 100, quiet=opts.json)
        ended = {
            name: _finish(crawler, crawling.exception(), process.root, console)
            for name, crawler, crawling in zip(names, crawlers, crawlings, strict=True)
        }
        if opts.json:
            print(json.dumps({"venues": {name: each.as_dict() for name, each in ended.items()}}))
        self.exitcode = max(each.code for each in ended.values())
        shutdown.finish(self.exitcode)
        Process.close_all()


def _venues() -> str:
    """Return a text that lists each venue with its number of checks, and the checks that must pass."""
    return "; ".join(
        f"{name} ({len(probe.checks)} checks"
        + (f", needs: {', '.join(need.what for need in probe.needs)})" if probe.needs else ")")
        for name, probe in sorted(probes().items())
    )


@dataclass(frozen=True)
class _Ended:
    """Result of the probe of one venue."""

    code: int
    passed: bool = False  # whether the checks passed, even if the report could not be written
    paths: tuple[Path, ...] = ()  # of the report's files

    def as_dict(self) -> dict[str, Any]:
        return {"passed": self.passed, "exit_code": self.code, "report": [str(path) for path in self.paths]}


def _finish(crawler: Crawler, error: BaseException | None, root: Path, console: Console) -> _Ended:
    """Write and print the report of a probe's crawl that has ended; return the result.

    error: the exception that ended the crawl, None without one; root: OUTPUT_DIR.
    """
    code = exit_code(crawler, error)
    spider = cast("ProbeSpider | None", crawler.spider)
    if spider is None or spider.findings is None:
        print("probe: stopped before every check was made; no report is written", file=sys.stderr)
        return _Ended(code or FAILED)
    document = report(spider, code)
    _show(document, console)
    try:
        paths = write_report(root, document)
    except OSError as failed:
        print(f"probe: the report cannot be written: {failed}", file=sys.stderr)
        return _Ended(DISK, document["passed"])
    if not console.quiet:
        print(*paths, sep="\n")
    return _Ended(code, document["passed"], tuple(paths))


def _show(document: Mapping[str, Any], console: Console) -> None:
    title = f"{document['venue']}, {document['started_at_utc'][:19]}Z"
    console.print(Text(f"{title}{', simulated' if document['simulated'] else ''}", "bold"))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("status", justify="right")
    table.add_column("ms", justify="right")
    table.add_column("evidence", ratio=1)
    for check in document["checks"]:
        latency = check["latency_ms"]
        table.add_row(
            check["name"],
            Text("pass", "green") if check["passed"] else Text("FAIL", "bold red"),
            str(check["status"] or "none"),
            "" if latency is None else f"{latency:.0f}",
            Text(check["evidence"]),
        )
    for why, names in by_reason(document["not_asked"]).items():
        others = f" ({', '.join(names[1:])} neither)" if names[1:] else ""
        table.add_row(names[0], Text("skip", "yellow"), "", "", Text(f"not checked: {why}{others}"))
    console.print(table)
    facts = Table.grid(padding=(0, 2))
    for name, text in _facts(document):
        facts.add_row(name, Text(text))
    console.print(facts)
    console.print(_verdict(document))


def _facts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, evidence in document["found"].items():
        yield key.replace("_", " "), evidence or "NONE"
    if latency := document["latency_ms"].get("all"):
        yield "latency", f"min {latency['min']}, median {latency['median']}, max {latency['max']} ms"
    seen = document["limits"]["seen"]
    limited = f"{seen['statuses'].get('429', 0)} times 429"
    headers = ", ".join(seen["headers"]) or "none"
    yield "limits seen", f"{seen['requests']} requests, {limited}, headers on limits: {headers}"
    for socket in document["sockets"]:
        yield "socket", socket_text(socket)


def _verdict(document: Mapping[str, Any]) -> Text:
    failed = ", ".join(check["name"] for check in document["checks"] if not check["passed"])
    if document["passed"]:
        note = f", but look at what failed: {failed}" if failed else ""
        return Text(f"passed{note}", "bold yellow" if failed else "bold green")
    reasons = [f"no {what}" for what in document["missing"]] or ["the run failed"]
    if document["exit_code"] == BLOCKED:
        reasons = ["the venue refused every request: it does not serve this address or client"]
    elif set(document["limits"]["seen"]["statuses"]) == {UNANSWERED}:
        reasons = ["nothing answered: check this machine's network"]
    return Text(
        f"FAILED: {', '.join(reasons)}" + (f"; failed checks: {failed}" if failed else ""), "bold red"
    )
