"""Summary at the end of a collection: tables on a terminal, log lines elsewhere."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from marketarchive.collecting.together.collection import Collection, RunRecord
from marketarchive.collecting.together.listener import Share, Total
from marketarchive.collecting.together.look import ANY_WIDTH, new_table, share_text
from marketarchive.invocation import command
from marketarchive.times import SECOND


@dataclass
class FeedSummary:
    """Counts of one spider over all its runs, from their manifests."""

    spider: str
    runs: int = 0
    unsealed: int = 0  # runs without a manifest
    messages: int = 0
    bytes: int = 0  # of sealed segments
    gaps: Counter[str] = field(default_factory=Counter)
    feeds: set[str] = field(default_factory=set)
    seconds: Share = field(default_factory=Share)  # observed of the seconds that its rows cover

    def add(self, manifest: dict[str, Any]) -> None:
        """Add the counts of a run, given its manifest."""
        self.feeds.update(manifest["feeds"])
        for feed in manifest["raw"]:
            self.messages += sum(feed["counts"].get(kind, 0) for kind in ("response", "frame"))
            self.bytes += feed["bytes"]
            self.gaps.update(feed["gaps"])


@dataclass(frozen=True)
class Summary:
    """Result of a whole collection, as its last lines show it."""

    ended: str  # duration, reason and exit code, in words
    feeds: Sequence[FeedSummary]
    totals: Sequence[Total]
    written: int  # bytes of all files
    folder: Path
    log: Path | None
    advice: Sequence[tuple[str, str]]  # what a command is for, and the command


def summarize(collection: Collection, log: Path | None) -> Summary:
    """Return the summary of a finished collection; log: path of its log file, None without one."""
    process, listeners = collection.process, collection.listeners
    now = process.clock.now_ns()
    feeds = {feed.spider: FeedSummary(feed.spider) for feed in collection.feeds}
    for ran in collection.ran:
        feed = feeds[ran.spider]
        feed.runs += 1
        manifest = None if process.writer.is_stalled else _manifest(process.root, ran)
        if manifest is None:
            feed.unsealed += 1
        else:
            feed.add(manifest)
    seconds: dict[str, Share] = {}
    for listener in listeners:
        seconds |= listener.seconds(now)
    for feed in feeds.values():
        feed.seconds = sum((seconds[name] for name in feed.feeds & seconds.keys()), Share())
    return Summary(
        f"{_span((now - collection.started) // SECOND)}, ended by {collection.stop_reason or 'itself'}, "
        f"exit code {collection.exit_code}",
        tuple(feeds.values()),
        [total for listener in listeners for total in listener.totals(now)],
        process.writer.store.files.written,
        process.root,
        log,
        (*(advice for listener in listeners for advice in listener.advice(now)), *_advice()),
    )


def _manifest(root: Path, ran: RunRecord) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((root / (ran.manifest or "")).read_bytes())
    except (OSError, ValueError):
        return None
    return found


def _advice() -> list[tuple[str, str]]:
    return [
        ("next, check every file", command("verify")),
        ("then see whether the data can be used", command("report")),
    ]


def summary_lines(summary: Summary) -> Iterator[str]:
    """Yield the summary as lines for a log."""
    yield from _figure_lines(summary)
    yield from _copyable_lines(summary)


def print_summary(summary: Summary, console: Console) -> None:
    """Print the summary on a terminal; commands and paths are never wrapped, so that they can be copied."""
    tables = _feeds(summary), *_totals(summary)
    if any(Measurement.get(ANY_WIDTH, ANY_WIDTH.options, table).maximum > console.width for table in tables):
        for text in _figure_lines(summary):
            console.print(Text(text))
    else:
        console.print(Text(f"Collected {summary.ended}", "bold"))
        for table in tables:
            console.print(Text(), table, sep="\n")
        console.print()
        for feed in summary.feeds:
            if feed.gaps:
                console.print(Text(f"gaps of {feed.spider}: {_gaps(feed.gaps)}"))
        if not any(feed.gaps for feed in summary.feeds):
            console.print(Text("no gaps"))
    for text in _copyable_lines(summary):
        console.print(Text(text), soft_wrap=True)


def _figure_lines(summary: Summary) -> Iterator[str]:
    yield f"Collected {summary.ended}"
    for feed in summary.feeds:
        yield f"{feed.spider}: {', '.join(_figures(feed))}"
    for each in summary.totals:
        yield f"{each.name}: {_count(each.count, each.what)}, observed {_seconds(each.seconds)}"


def _copyable_lines(summary: Summary) -> Iterator[str]:
    yield f"{decimal(summary.written)} written to {summary.folder}"
    if summary.log is not None:
        yield f"log lines in {summary.log}"
    for what, line in summary.advice:
        yield f"{what}: {line}"


def _feeds(summary: Summary) -> Table:
    made = new_table(("feed", "runs", "messages", "written", "seconds observed"), left=("feed",))
    for feed in summary.feeds:
        runs = f"{feed.runs:,}" + (f" ({feed.unsealed:,} not sealed)" if feed.unsealed else "")
        seconds = _seconds(feed.seconds) if feed.seconds.due else "-"
        made.add_row(feed.spider, runs, f"{feed.messages:,}", decimal(feed.bytes), seconds)
    return made


def _totals(summary: Summary) -> Iterator[Table]:
    for what in dict.fromkeys(each.what for each in summary.totals):
        first = f"{what}s of"
        made = new_table((first, f"{what}s", "seconds observed"), left=(first,))
        for each in summary.totals:
            if each.what == what:
                made.add_row(each.name, f"{each.count:,}", _seconds(each.seconds))
        yield made


def _figures(feed: FeedSummary) -> Iterator[str]:
    yield _count(feed.runs, "run")
    if feed.unsealed:
        yield f"{feed.unsealed:,} not sealed"
    yield f"{feed.messages:,} messages"
    if feed.seconds.due:
        yield f"observed {_seconds(feed.seconds)}"
    yield f"{decimal(feed.bytes)} compressed"
    yield f"gaps: {_gaps(feed.gaps)}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _seconds(share: Share) -> str:
    return f"{share.observed:,} of {share.due:,} s ({share_text(share.value)})"


def _gaps(gaps: Counter[str]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(gaps.items())) or "none"


def _span(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
