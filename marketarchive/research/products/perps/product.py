"""Sections of a report about perpetuals: rows collected, funding, basis, distance between venues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from marketarchive.invocation import command
from marketarchive.research.derived import Progress
from marketarchive.research.products.perps import charts, drawn
from marketarchive.research.products.perps.convert import Window
from marketarchive.research.products.perps.over_time import DAY_S
from marketarchive.research.products.perps.quality_report import STATISTICS, STEM, read_quality
from marketarchive.research.products.perps.unified import FOLDER, UNIFIED, unify
from marketarchive.research.report.page import Section, table
from marketarchive.research.report.part import Found, Product, ReportPart
from marketarchive.research.report.scope import ReportScope
from marketarchive.research.report.sections import length, nothing, paragraph
from marketarchive.times import SECOND, from_iso, iso
from marketarchive.venues import venues
from marketarchive.venues.perps import FEED, PERIODS_S

_COLLECTED = """\
The unified data of perpetuals from {first} to {last}, one row per contract and {period}. The chart shows on
which days all expected rows exist, some of them, or none. Its time axis is that of the data, not of the
recording."""
_FUNDING = """\
Funding paid by longs, in basis points per 8 hours, whatever the venue's funding interval. The tick marks the
median of all periods, the bar spans the middle 50 %, the line the middle 90 %."""
_OVER_TIME = """\
The same over time, as means of {step}. A line breaks where no value is known. Each asset has its own
scale."""
_BASIS = """\
(mark - index) / index at the end of each period, in basis points, as means of {step}. Venues whose mark price
is the index, or of which only one of the two is known, are left out."""
_SPREADS = """\
The highest venue minus the lowest at the same time, for funding and for mark prices, as means of {step}.
Dollars and stablecoins are treated as equal."""


def prepare(root: Path, since: int, until: int, master_url: str | None, progress: Progress) -> None:
    """Bring the unified data up to date, with the period and range last chosen for `scrapy perps`."""
    del since, until, master_url
    kept = read_quality(root / FOLDER)
    requested = {} if kept is None else kept.get("asked", {})
    period_s, first, last = (requested.get(name, 0) for name in ("period_s", "first", "last"))
    period = next((name for name, seconds in PERIODS_S.items() if seconds == period_s), "8h")
    start = iso(first * SECOND) if first else None
    end = iso(last * SECOND) if 0 < last < Window(period_s).last else None
    unify(root, period, start, end, progress)


def part(found: Found) -> ReportPart:
    """Return the part of a report about perpetuals."""
    root = found.scope.root / FOLDER
    document = read_quality(root)
    if document is None or not document["rows"]:
        shown = nothing(
            f"There are no rows yet; `{command('perps', root=found.scope.root)}` collects perpetuals."
        )
        return ReportPart(sections=[(9, Section("perps", _titled(9, "what was collected"), shown))])
    assets = {each["asset"] for each in document["contracts"] if each["records"]}
    chosen = {asset for asset in assets if asset is not None and found.scope.has(asset)}
    first, last = (from_iso(document[name]) // SECOND for name in ("first", "last"))
    step_s = drawn.step_of(first, last, document["period_s"])
    time = ReportScope(found.scope.root, (first - document["period_s"]) * SECOND, last * SECOND)
    drawn.view_unified(found.connection, root / UNIFIED)
    lines = drawn.lines(found.connection, chosen, step_s)
    names = sorted(document["missing_share"])
    step = length(step_s)
    days = length(max(step_s, DAY_S))
    sections = [
        _collected(document, time),
        Section(
            "perps-funding", _titled(10, "funding by venue"), paragraph(_FUNDING),
            charts.distributions(drawn.distributions(found.connection, chosen), names),
            _by_asset(document, chosen),
        ),
        Section(
            "perps-time", _titled(11, "funding over time"), paragraph(_OVER_TIME.format(step=step)),
            charts.panels(lines, names, "funding", "basis points per 8 hours", time),
        ),
        Section(
            "perps-basis", _titled(12, "basis over time"), paragraph(_BASIS.format(step=step)),
            charts.panels(lines, names, "basis", "basis points", time),
        ),
        Section(
            "perps-spreads", _titled(13, "spreads between venues"), paragraph(_SPREADS.format(step=days)),
            charts.spreads(drawn.spreads(document["spread_by_day"], chosen, step_s), time),
        ),
    ]  # fmt: skip
    return ReportPart(
        sections=[(9, section) for section in sections],
        figures=[(7, f"{document['rows']:,}", "rows of perpetuals in one form")],
        facts=[("perpetuals", f"{len(chosen):,} assets at {len(document['missing_share']):,} venues")],
        defects=[f"perpetuals: {name.replace('_', ' ')} (section 9)" for name in document["wrong"]],
        care=_missing(document),
        rows=document["rows"],
    )


def _missing(document: Mapping[str, Any]) -> list[str]:
    there = sum(row["there"] for row in document["contracts"])
    expected = sum(row["expected"] or 0 for row in document["contracts"])
    found = [f"perpetuals of {venue} are not up to date: {why}" for venue, why in document["failed"].items()]
    found += [
        f"the last crawl of perpetuals of {each['venue']} ended as {each['result']} (section 9)"
        for each in document["crawls"]
        if each["result"] != "finished"
    ]
    if there < expected:
        found.append(f"{expected - there:,} of {expected:,} rows of perpetuals are missing (section 9)")
    return found


def _titled(number: int, what: str) -> str:
    return f"{number}. Perpetuals: {what}"


def _collected(document: Mapping[str, Any], time: ReportScope) -> Section:
    first, last = (document[name][:16].replace("T", " ") for name in ("first", "last"))
    shown = _COLLECTED.format(first=first, last=last, period=length(document["period_s"]))
    extra = table(
        [(name, name) for name in ("venue", "contracts", "rows", "expected", "newest", "state")],
        _by_venue(document["contracts"]),
    )
    odd = [
        {"finding": name.replace("_", " "), "rows": each["rows"], "which": each["what"]}
        for name, each in document["findings"].items()
        if each["rows"]
    ]
    if odd:
        extra += table([(name, name) for name in ("finding", "rows", "which")], odd)
    extra += paragraph(f"{FOLDER}/{STEM}.md lists everything by contract.", soft=True)
    chart = charts.collected(drawn.alike_spans(document["records_by_day"]), time)
    return Section("perps", _titled(9, "what was collected"), paragraph(shown), chart, extra)


def _by_venue(contracts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    made = []
    for venue in dict.fromkeys(each["venue"] for each in contracts):
        there = [each for each in contracts if each["venue"] == venue and each["records"]]
        without = sum(each["venue"] == venue for each in contracts) - len(there)
        rows, expected = sum(each["there"] for each in there), sum(each["expected"] for each in there)
        state = "complete" if rows >= expected else f"{expected - rows:,} rows are missing"
        names = f"{without} contract{'s' if without > 1 else ''} without rows"
        made.append(
            {
                "venue": venue,
                "contracts": len(there),
                "rows": rows,
                "expected": expected,
                "newest": max((each["last"] for each in there), default="")[:16].replace("T", " "),
                "state": ", ".join([*([state] if there else []), *([names] if without else [])]),
            }
        )
    return made


def _by_asset(document: Mapping[str, Any], chosen: set[str]) -> str:
    columns = ("asset", *STATISTICS, "spread")
    rows = [
        {name: f"{row[name]:.4f}" if isinstance(row[name], float) else row[name] for name in columns}
        for row in document["funding_bps_8h"]["asset"]
        if row["asset"] in chosen and row["rates"]
    ]
    titles = {"std": "deviation", "spread": "between venues"}
    return table([(name, titles.get(name, name)) for name in columns], rows)


PRODUCT = Product(
    name="perps",
    venues=frozenset(name for name, venue in venues().items() if venue.perps is not None),
    prepare=prepare,
    part=part,
    inputs=(PurePosixPath(FOLDER, UNIFIED), PurePosixPath(FOLDER, f"{STEM}.json")),
    feeds=frozenset({FEED}),
)
