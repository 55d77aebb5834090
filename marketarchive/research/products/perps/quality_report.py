"""Quality report of the unified data as files: `perps/data_collection_report.json`, `.md` and `.txt`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from statistics import fmean, median
from typing import Any

import msgspec

from marketarchive.research.products.perps.collected import Collected
from marketarchive.research.products.perps.convert import Window
from marketarchive.research.products.perps.over_time import NEWEST
from marketarchive.research.products.perps.quality import quality
from marketarchive.times import SECOND
from marketarchive.venues import venues
from marketarchive.venues.perps import sectors
from marketarchive.venues.symbols import symbols

VERSION = 2
"""Version of the report's content: when it is raised, the report is made again."""
STEM = "data_collection_report"
STATISTICS = ("rates", "median", "mean", "std", "lowest", "highest")
SHORTEST_DAYS = 10
"""Number of days listed that lack the most rows."""
SPANS = 31
"""Most days, or spans of several days, for which spreads are listed."""

Table = tuple[Sequence[str], list[list[str]]]


def report_quality(
    path: Path, window: Window, collected: Collected, now_ns: int
) -> tuple[dict[str, Any], Path]:
    """Return (quality report, path of its Markdown file); make both if an input has changed.

    path: file of the unified data, compared by content; window: requested period and range. Raises
    OSError.
    """
    key = _key(path, window, collected, now_ns)
    kept = read_quality(path.parent)
    if kept is not None and kept.get("key") == key:
        return kept, path.parent / f"{STEM}.md"
    requested = {"period_s": window.period_s, "first": window.first, "last": window.last}
    found = quality(path, window, collected, now_ns) | {"asked": requested, "key": key}
    return found, write_quality(path.parent, found)


def read_quality(folder: Path) -> dict[str, Any] | None:
    """Return the stored report as a JSON object; None if one of its three files is missing or unreadable."""
    try:
        document: dict[str, Any] = msgspec.json.decode((folder / f"{STEM}.json").read_bytes(), type=dict)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    others = (folder / f"{STEM}{suffix}" for suffix in (".md", ".txt"))
    return document if all(each.exists() for each in others) else None


def _key(path: Path, window: Window, collected: Collected, now_ns: int) -> str:
    """Return the fingerprint of a report's inputs: equal inputs give an equal report."""
    with path.open("rb") as file:
        rows = hashlib.file_digest(file, "sha256").hexdigest()
    ends_s = min(window.last, now_ns // SECOND) // window.period_s * window.period_s  # rows due until then
    declared = {
        name: (
            {asset: row["symbol"] for asset, row in symbols(name).items()},
            {column: each.origin for column, each in venue.perps.columns.items()},
        )
        for name, venue in venues().items()
        if venue.perps is not None
    }
    is_open = window.last >= Window(window.period_s).last  # then up to the last row that there is
    parts = [
        VERSION, rows, window.period_s, window.first, window.last, None if is_open else ends_s, declared,
        dict(sectors()), dict(collected.failed), sorted(collected.crawls.items()),
        sorted(collected.ended.items()),
    ]  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def write_quality(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write a report as JSON, Markdown and text; return the Markdown's path. Raises OSError."""
    texts = {
        ".json": json.dumps(document, indent=1, allow_nan=False) + "\n",
        ".md": _text(document, "## ", _markdown),
        ".txt": _text(document, "", _aligned),
    }
    for suffix, text in texts.items():
        part = folder / f"{STEM}{suffix}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(folder / f"{STEM}{suffix}")
    return folder / f"{STEM}.md"


def _text(document: Mapping[str, Any], heading: str, table: Any) -> str:
    lines = [f"{heading[1:]}Perpetuals: what was collected", "", *_head(document), ""]
    for title, (names, rows) in _tables(document).items():
        lines += [f"{heading}{title}", "", *(table(names, rows) if rows else ["nothing"]), ""]
    return "\n".join(lines)


def _head(document: Mapping[str, Any]) -> list[str]:
    span = f", {document['first'][:19]}Z to {document['last'][:19]}Z" if document["first"] else ""
    verdict = {
        "wrong": f"WRONG: {', '.join(document['wrong'])}",
        "partial": "partial: a venue failed, or expected rows are missing",
        "complete": "complete: every contract that has rows has all expected ones",
    }[document["status"]]
    period = f"one row per {document['period_s'] // 60} minutes"
    return [
        f"Status: {verdict}.",
        f"{document['rows']:,} rows{span}, {period}; made {document['made_at_utc'][:19]}Z.",
    ]


def _tables(document: Mapping[str, Any]) -> dict[str, Table]:
    shown = ("venue", "asset", "symbol", "sector", "records", "expected", "status", "listed_to")
    contracts = [[_cell(row.get(name)) for name in shown] for row in document["contracts"]]
    findings = [
        [name, str(each["rows"]), each["what"], "; ".join(" ".join(row.values()) for row in each["examples"])]
        for name, each in document["findings"].items()
    ]
    there = sorted(document["missing_share"])
    columns = [
        [name, *(f"{document['missing_share'][venue][name]:.1%}{_never(venue, name)}" for venue in there)]
        for name in next(iter(document["missing_share"].values()), ())
    ]
    rated = [row for row in document["contracts"] if row.get("rates")]
    per_contract = [
        [_cell(row.get(name)) for name in ("venue", "asset", *STATISTICS, "mark_index_correlation")]
        for row in rated
    ]
    tables: dict[str, Table] = {
        "Last crawl of each venue": (("venue", "ended", "result", "gaps"), _crawls(document["crawls"])),
        "Venues whose rows are not up to date": (("venue", "why"), [*map(list, document["failed"].items())]),
        "Records": (shown, contracts),
        "Contracts that ended": (("venue", "asset", "symbol", "ended", "by"), _ended(document["contracts"])),
        "Rows per day": (_DAYS, _days(document["records_by_day"])),
        f"The {SHORTEST_DAYS} days that lack the most rows": (
            ("day", "venue", "records", "expected"), _shortest(document["records_by_day"]),
        ),
        "Age of the newest values (hours before the last row that is due)": (
            ("venue", "asset", "row", *NEWEST, "rows of unchanged mark"), _ages(document["contracts"]),
        ),
        "Findings": (("", "rows", "what", "examples"), findings),
        "Not proven by a recording": (("venue", "what", "why"), _unproven(there)),
        "Missing share (*: the venue does not state it)": (("column", *there), columns),
        "Funding of each contract (basis points per 8 hours)": (
            ("venue", "asset", *STATISTICS, "correlation of mark and index"), per_contract,
        ),
    }  # fmt: skip
    for by, rows in document["funding_bps_8h"].items():
        names = (by, *STATISTICS, "spread")
        tables[f"Funding by {by} (basis points per 8 hours; spread: between venues)"] = (
            names, [[_cell(row[name]) for name in names] for row in rows],
        )  # fmt: skip
    for name, what in (("funding_bps", "funding"), ("mark_bps", "mark prices")):
        assets, spreads = _spreads(document["spread_by_day"], name)
        title = f"Between venues over time: {what} (basis points, mean of highest minus lowest)"
        tables[title] = (("from", *assets), spreads)
    return tables


def _crawls(crawls: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [
        [
            each["venue"], f"{each['ended_at_utc'][:19]}Z", each["result"],
            ", ".join(f"{count} {reason}" for reason, count in each["gaps"].items()),
        ]
        for each in crawls
    ]  # fmt: skip


def _ended(contracts: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [
        [
            row["venue"], _cell(row["asset"]), row["symbol"],
            "not stated" if row["ended"] is None else f"{row['ended'][:19]}Z", row["ended_by"],
        ]
        for row in contracts if "ended_by" in row
    ]  # fmt: skip


def _unproven(of: Sequence[str]) -> list[list[str]]:
    declared = [(venue, venues()[venue].perps) for venue in of if venue in venues()]
    return [
        [venue, what, why]
        for venue, perps in declared if perps is not None
        for what, why in perps.unproven.items()
    ]  # fmt: skip


_DAYS = ("venue", "days", "fewest", "median", "most", "complete days", "days with none", "rows", "expected")


def _days(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return a line of cells per venue with statistics of its rows per day, in the columns of _DAYS."""
    found = []
    for venue in dict.fromkeys(row["venue"] for row in rows):
        of = [row for row in rows if row["venue"] == venue]
        records = [row["records"] for row in of]
        complete = sum(row["records"] >= row["expected"] for row in of)
        numbers = (
            len(of), min(records), median(records), max(records), complete, records.count(0), sum(records),
            sum(row["expected"] for row in of),
        )  # fmt: skip
        found.append([venue, *(f"{number:g}" if number % 1 else str(int(number)) for number in numbers)])
    return found


def _shortest(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    short = sorted(
        (row for row in rows if row["records"] < row["expected"]),
        key=lambda row: (row["records"] - row["expected"], row["day"], row["venue"]),
    )
    names = ("day", "venue", "records", "expected")
    return [[str(row[name]) for name in names] for row in short[:SHORTEST_DAYS]]


def _ages(contracts: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [
        [
            row["venue"], row["asset"] or row["symbol"],
            *("" if (hours := row["stale_h"][name]) is None else f"{hours:g}" for name in ("row", *NEWEST)),
            _cell(row["unmoved"]),
        ]
        for row in contracts if row["records"]
    ]  # fmt: skip


def _spreads(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[str], list[list[str]]]:
    """Return (assets, lines): a line per span of days with the mean spread of each asset, as text.

    name: the key of the spread, "funding_bps" or "mark_bps".
    """
    values: dict[str, dict[str, list[float]]] = {}
    there = [row for row in rows if row[name] is not None]
    begins = dict(_spans_of_days([row["day"] for row in there]))
    for row in there:
        values.setdefault(begins[row["day"]], {}).setdefault(row["asset"], []).append(row[name])
    assets = sorted({row["asset"] for row in there})
    return assets, [
        [start, *(f"{fmean(of[asset]):.4f}" if asset in of else "" for asset in assets)]
        for start, of in sorted(values.items())
    ]


def _spans_of_days(days: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (day, first day of its span); spans are equally long, and at most SPANS."""
    if not days:
        return
    first, last = (date.fromisoformat(each) for each in (min(days), max(days)))
    length = -(-((last - first).days + 1) // SPANS)
    for day in sorted(set(days)):
        number = (date.fromisoformat(day) - first).days // length
        yield day, str(first + timedelta(days=number * length))


def _never(venue: str, column: str) -> str:
    """Return "*" if a venue is declared never to state a column, else ""."""
    perps = venues()[venue].perps if venue in venues() else None
    declared = None if perps is None else perps.columns.get(column) or perps.columns.get(column.split("_")[0])
    return "*" if declared is not None and declared.origin == "null" else ""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _markdown(names: Sequence[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (names, ["---"] * len(names), *rows)]


def _aligned(names: Sequence[str], rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (names, *rows)
    ]
