"""`perps/data_collection_report.json`, `.md` and `.txt`: the quality of the unified data, to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from marketarchive.venues import venues

STEM = "data_collection_report"
STATISTICS = ("rates", "median", "mean", "std", "lowest", "highest")

Table = tuple[Sequence[str], list[list[str]]]


def write_quality(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write the three files; return the Markdown's path. Raises OSError."""
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
        "partial": "partial: something that was expected is not there",
        "complete": "complete: contracts with rows have all that were expected",
    }[document["status"]]
    period = f"a row each {document['period_s'] // 60} minutes"
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
        "Venues that failed": (("venue", "why"), [[name, why] for name, why in document["failed"].items()]),
        "Records": (shown, contracts),
        "Findings": (("", "rows", "what", "examples"), findings),
        "Missing share (*: this venue does not say it)": (("column", *there), columns),
        "Funding of each contract (basis points of 8 hours)": (
            ("venue", "asset", *STATISTICS, "mark and index correlate"), per_contract,
        ),
    }  # fmt: skip
    for by, rows in document["funding_bps_8h"].items():
        names = (by, *STATISTICS, "spread")
        tables[f"Funding by {by} (basis points of 8 hours; spread: between venues)"] = (
            names, [[_cell(row[name]) for name in names] for row in rows],
        )  # fmt: skip
    return tables


def _never(venue: str, column: str) -> str:
    """Return the mark of what a venue is declared not to say."""
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
