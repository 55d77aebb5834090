"""`scrapy report`: bring tables and the data of products up to date, and draw them on a page."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive.files import Files
from marketarchive.archive.status import RunStatus, Status, status
from marketarchive.clock import RealClock
from marketarchive.exceptions import ConfigurationError, DiskError
from marketarchive.research.checks import verified_books
from marketarchive.research.checks.check import share
from marketarchive.research.derived import NullProgress, Progress, exclusive_lock, write_manifest
from marketarchive.research.engine import connect, reading_tables, require
from marketarchive.research.names import known as known_of
from marketarchive.research.products import products_of
from marketarchive.research.recorders import longest, pairs_within, recorders
from marketarchive.research.report import page, recorded_gaps, sections, shares
from marketarchive.research.report.page import ReportPage
from marketarchive.research.report.part import Found, ReportPart
from marketarchive.research.report.scope import ReceivedFeeds, ReportScope, received, scope
from marketarchive.research.report.verdict import ReportFindings, Verdict, verdict
from marketarchive.research.tables.normalize import bring_up_to_date
from marketarchive.research.tables.partitions import feeds, files, stamp_of, tables_of
from marketarchive.research.views import view_names
from marketarchive.times import iso
from marketarchive.version import COLLECTOR

if TYPE_CHECKING:
    import duckdb

VERSION = 1
"""Version of the report: raised when the meaning of a figure changes."""

FOLDER = "reports"
TABLES = ("coverage", "books", "book_changes", "quotes")
"""Tables that are drawn, beside `gaps` and the data of products."""


@dataclass
class WrittenReport:
    """Result of `report`: the file written, the verdict, and the manifest."""

    path: Path
    bytes: int
    verdict: Verdict
    manifest: str  # path relative to OUTPUT_DIR


def report(
    root: Path,
    since: int | None = None,
    until: int | None = None,
    *,
    assets: Collection[str] | None = None,
    output: Path | None = None,
    master_url: str | None = None,
    progress: Progress | None = None,
) -> WrittenReport:
    """Write a report of `since` <= time < `until` (ns) to `output`, by default into reports/.

    The default of the time is the last 24 hours of recording. assets: None is all. A second process waits for
    the first. Raises ArchiveError, ConfigurationError, DiskError.
    """
    require()
    libraries = _libraries()
    try:
        with reading_tables(), exclusive_lock(root / FOLDER / "report.lock"):
            return _Report(
                root, scope(root, since, until, assets), master_url, progress or NullProgress()
            ).make(output, libraries)
    except OSError as error:
        raise DiskError(f"the report cannot be written: {error}") from error


class _Report:
    def __init__(self, root: Path, about: ReportScope, master_url: str | None, progress: Progress) -> None:
        self._root = root
        self._scope = about
        self._master_url = master_url
        self._progress = progress
        self._products = products_of(feeds(root))
        self._started = RealClock().now_ns()

    def make(self, output: Path | None, libraries: str) -> WrittenReport:
        self._bring_up_to_date()
        self._progress.total(1)
        self._progress.begin("report")
        connection = connect(self._root / "tables" / ".spill")
        try:
            drawn = self._page(connection)
        finally:
            connection.close()
        data = page.html(drawn, libraries).encode()
        target = self._root / FOLDER / self._name() if output is None else output
        store_files = Files()
        if output is None:
            store_files.make_dirs(target.parent, self._root)
        store_files.write_whole(target, data)
        self._progress.advance(1)
        return WrittenReport(target, len(data), drawn.verdict, self._manifest(target, data, drawn.verdict))

    def _bring_up_to_date(self) -> None:
        first, last = self._scope.since, self._scope.until
        for tables, until in ((TABLES, last), (("gaps",), None)):  # a crash is noticed long after it
            bring_up_to_date(
                self._root, None, tables, first, until, master_url=self._master_url, progress=self._progress
            )
        for product in self._products:
            product.prepare(self._root, first, last, self._master_url, self._progress)

    def _page(self, connection: duckdb.DuckDBPyConnection) -> ReportPage:
        about = self._scope
        known = known_of(self._root, self._master_url)
        view_names(connection, self._root, self._master_url)
        seen, verified = shares.seen(connection, about), shares.verified(connection, about)
        missing = recorded_gaps.recorded_gaps(connection, about, known)
        together = pairs_within(self._root, about.since, about.until)
        several = recorders(
            self._root,
            about.since,
            about.until,
            pairs=longest(together, sections.RECORDERS, about.since, about.until),
            master_url=self._master_url,
        ).to_pylist()
        there, state = received(about), status(self._root, RealClock())
        parts = [
            product.part(Found(connection, about, known, seen, missing, there)) for product in self._products
        ]
        books = verified_books.check(connection, self._root, about.since, about.until)
        counted, checked = seen.total(), verified.total()
        runs = [each for each in state.runs if _touches(each, about)]
        unseen = self._not_looked_at(there)
        found = ReportFindings(
            problems=state.problems,
            tracked_s=counted.total(),
            unseen_s=counted["gapped"] + counted["unknown"],
            gaps=len(missing),
            failed=checked["failed"],
            unexplained=int(books.figures.get("failed outside recorded gaps") or 0),
            unchecked=checked["unchecked"],
            differing=sum(part.differing for part in parts),
            validation=next((part.validation_state for part in parts if part.validation_state), None),
            dead_runs=[each.name for each in runs if each.state == "dead"],
            alive_runs=[each.name for each in runs if each.state == "alive"],
            not_looked_at=unseen,
            defects=[each for part in parts for each in part.defects],
            care=[each for part in parts for each in part.care],
            rows=sum(part.rows for part in parts),
        )
        reported = [
            (2, sections.coverage(seen, about, [note for part in parts for note in part.notes])),
            (3, sections.gaps(missing, about)),
            (6, sections.verified(verified, about)),
            *(section for part in parts for section in part.sections),
        ]
        if several:
            reported.append((3, sections.recorders(several, len(together))))
        drawn = next((part for part in parts if part.rounds), None) or next(iter(parts), ReportPart())
        return ReportPage(
            title=f"Recording report: {self._root.name}",
            span=f"{_minute(about.since)} to {_minute(about.until)}, UTC"
            + ("" if about.assets is None else f"; only {', '.join(sorted(about.assets))}"),
            verdict=verdict(found),
            figures=_figures(seen, verified, len(missing), parts, there),
            facts=self._facts(there, runs, state, parts, unseen),
            validation="".join(part.validation for part in parts),
            simulated=_simulated(runs),
            sections=[section for _, section in sorted(reported, key=lambda each: each[0])],
            rounds=drawn.rounds,
            round_chart=drawn.round_chart,
        )

    def _not_looked_at(self, there: ReceivedFeeds) -> list[str]:
        """Return the received feeds of which neither coverage nor a product states completeness."""
        unseen = []
        for name in sorted(there.feeds):
            venue, feed = name.split("/")
            is_joined = any(product.joins(venue, feed) for product in self._products)
            if not is_joined and "coverage" not in tables_of(venue, feed):
                unseen.append(name)
        return unseen

    def _facts(
        self,
        there: ReceivedFeeds,
        runs: Sequence[RunStatus],
        state: Status,
        parts: Sequence[ReportPart],
        unseen: Sequence[str],
    ) -> list[tuple[str, str]]:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in there.counts.most_common())
        collectors = sorted({self._collector(each) for each in runs if each.state != "alive"})
        simulated = " (of a simulator)" if any(each.simulated for each in runs) else ""
        crashed = sum(each.state == "recovered" for each in runs)
        return [
            ("archive", str(self._root)),
            ("feeds", ", ".join(sorted(there.feeds)) or "none"),
            (
                "runs",
                f"{len(runs):,}{simulated}" + (f", {crashed:,} recovered after a crash" if crashed else ""),
            ),
            ("collected by", ", ".join(collectors) or "not known before a run ends"),
            ("lines", f"{there.lines:,} in {there.segments:,} segments that touch the time: {kinds}"),
            (
                "on disk",
                f"{_size(there.bytes)} of raw segments; the whole archive {_size(sum(state.disk.values()))}",
            ),
            *(fact for part in parts for fact in part.facts),
            *([("not checked", ", ".join(unseen))] if unseen else []),
            ("ledger", state.head or "empty"),
            ("report by", f"{COLLECTOR}, {iso(self._started)[:19]}Z"),
        ]

    def _collector(self, each: RunStatus) -> str:
        path = self._root / "manifests" / f"{each.name}.json"
        document: dict[str, Any] = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
        return str(document.get("collector", "unknown"))

    def _name(self) -> str:
        first, last = (
            f"{iso(at)[:10]}T{iso(at)[11:16].replace(':', '')}Z"
            for at in (self._scope.since, self._scope.until)
        )
        only = "" if self._scope.assets is None else "-" + "-".join(sorted(self._scope.assets))
        return f"report-{first}-{last}{only}.html"

    def _manifest(self, target: Path, data: bytes, found: Verdict) -> str:
        about, root = self._scope, self._root
        shown = target.relative_to(root) if target.is_relative_to(root) else target
        arguments = {
            "since": iso(about.since),
            "until": iso(about.until),
            "assets": None if about.assets is None else sorted(about.assets),
        }
        digest = hashlib.sha256(data).hexdigest()
        made = {
            "inputs": self._inputs(),
            "outputs": [{"path": str(shown), "bytes": len(data), "sha256": digest}],
            "verdict": found.level,
            "reasons": found.reasons,
        }
        return write_manifest(root, RealClock(), self._started, "report", arguments, _versions(), made)

    def _inputs(self) -> list[dict[str, str]]:
        """Return the input files with checksums; a table file has the key of the segments it came from."""
        found = []
        for path in (path for product in self._products for path in product.inputs):
            if (self._root / path).exists():
                with (self._root / path).open("rb") as file:
                    found.append(
                        {"path": str(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
                    )
        for table in (*TABLES, "gaps"):
            until = None if table == "gaps" else self._scope.until
            for each in files(self._root, table, self._scope.since, until):
                stamp = stamp_of(each)
                found.append(
                    {"path": str(each.relative_to(self._root)), "key": "" if stamp is None else stamp.key}
                )
        return found


def _figures(
    seen: shares.Shares,
    verified: shares.Shares,
    gaps: int,
    parts: Sequence[ReportPart],
    there: ReceivedFeeds,
) -> list[tuple[str, str]]:
    checked = verified.total()
    found = [
        (3, share(checked["ok"], checked.total()), f"of {checked.total():,} books and changes verified"),
        (4, f"{gaps:,}", "recorded gaps"),
        (6, f"{there.counts['frame'] + there.counts['response']:,}", "messages archived"),
        *(figure for part in parts for figure in part.figures),
    ]
    if others := set(seen.kinds).difference(*(part.kinds for part in parts)):
        reported = shares.observed(seen.total(others))
        found.append((2, reported, "of markets' tracked seconds observed or proven quiet"))
    return [(number, what) for _, number, what in sorted(found, key=lambda each: each[0])]


def _simulated(runs: Sequence[RunStatus]) -> str:
    """Return a sentence on the number of runs that recorded a simulator; empty if none did."""
    count = sum(each.simulated for each in runs)
    if not count:
        return ""
    who = "Recorded" if count == len(runs) else f"{count:,} of {len(runs):,} runs recorded"
    return f"{who} from the simulator, not from venues: its prices, books and outcomes are made up."


def _touches(each: RunStatus, about: ReportScope) -> bool:
    return (each.started is None or each.started < about.until) and (
        each.ended is None or each.ended >= about.since
    )


def _minute(at: int) -> str:
    return iso(at)[:16].replace("T", " ")


def _size(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


# putting it together takes more than a second of processor time
@cache
def _libraries() -> str:
    """Return the JavaScript of Vega, Vega-Lite and vegaEmbed from the installed package.

    Raises ConfigurationError.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise ConfigurationError(
            'vl-convert-python is not installed: pip install "marketarchive[research]"'
        ) from error
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", "<\\/script")


def _versions() -> dict[str, Any]:
    import vl_convert

    return {
        "report": VERSION,
        "vega": vl_convert.get_vega_version(),
        "vl-convert-python": version("vl-convert-python"),
    }
