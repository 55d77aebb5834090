"""The report as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import Any

import msgspec

from marketarchive.research.report.drawing import Chart
from marketarchive.research.report.verdict import Verdict

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
)
"""Content security policy: the browser fetches nothing. Vega compiles its expressions, hence eval."""


@dataclass
class Section:
    """Section of a report's page: heading, text as HTML, and chart; None: the text says why there is none."""

    id: str
    title: str
    text: str
    chart: Chart | None = None
    extra: str = ""  # HTML below the chart


@dataclass
class ReportPage:
    title: str
    span: str
    verdict: Verdict
    figures: Sequence[tuple[str, str]]  # (number, description of what it counts)
    facts: Sequence[tuple[str, str]]
    validation: str  # HTML
    sections: list[Section] = field(default_factory=list)
    rounds: Sequence[Mapping[str, Any]] = ()
    round_chart: Chart = field(default_factory=dict)
    simulated: str = ""  # a sentence on runs that recorded a simulator, empty without any


def html(page: ReportPage, libraries: str) -> str:
    """Render the page as HTML; libraries: JavaScript that defines vegaEmbed."""
    charts = {each.id: each.chart for each in page.sections if each.chart is not None}
    own = files("marketarchive.research.report")
    reasons = "".join(f"<li>{escape(each)}</li>" for each in page.verdict.reasons)
    figures = "".join(
        f'<div class="figure"><b>{escape(number)}</b><span>{escape(what)}</span></div>'
        for number, what in page.figures
    )
    badge = f'<p class="simulated"><b>simulated</b> {escape(page.simulated)}</p>' if page.simulated else ""
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in page.facts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width">
<title>{escape(page.title)}{" (simulated)" if page.simulated else ""}</title>
<link rel="icon" href="data:,">
<style>
{own.joinpath("page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<section id="head">
<h1>{escape(page.title)}</h1>
<p class="soft">{escape(page.span)}</p>
{badge}
<div class="verdict {page.verdict.level}"><strong>Can it be trusted? {escape(page.verdict.words)}</strong>
{f"<ul>{reasons}</ul>" if reasons else ""}</div>
<div class="figures">{figures}</div>
<dl>{facts}</dl>
{page.validation}
</section>
{"".join(map(_section, page.sections))}
</main>
<script type="application/json" id="charts">{_json(charts)}</script>
<script type="application/json" id="rounds">{_json(page.rounds)}</script>
<script type="application/json" id="round-chart">{_json(page.round_chart)}</script>
<script>{libraries}</script>
<script>
{own.joinpath("page.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def table(columns: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, Any]]) -> str:
    """Render rows as an HTML table; columns: (key, title) of each. Columns of integers are aligned right."""
    numbers = {key for key, _ in columns if rows and all(isinstance(row[key], int) for row in rows)}
    head = "".join(f"<th{_number(key in numbers)}>{escape(title)}</th>" for key, title in columns)
    body = "".join(
        "<tr>" + "".join(_cell(row[key], is_number=key in numbers) for key, _ in columns) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any, *, is_number: bool) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return f"<td{_number(is_number)}>{escape(text)}</td>"


def _number(is_number: bool) -> str:
    return ' class="n"' if is_number else ""


def _section(each: Section) -> str:
    chart = f'<div id="{each.id}"></div>' if each.chart is not None else ""
    parts = (f"<h2>{escape(each.title)}</h2>", each.text, chart, each.extra)
    return f'<section id="section-{each.id}">{"".join(parts)}</section>\n'


def _json(document: Any) -> str:
    """Encode as JSON for a script element; "<" is escaped, so that no archived text can end the element."""
    return msgspec.json.encode(document).decode().replace("<", "\\u003c")
