"""Parts that charts share: colours, axes, tooltips; pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marketarchive.research.report.scope import ReportScope

Chart = dict[str, Any]

GREEN, PALE, AMBER, RED = "#2f7d5b", "#a5d3bd", "#e3a53a", "#c93a31"
GREY, BLUE, ORANGE, VIOLET, INK = "#9aa3ab", "#2c5f9e", "#d08a2e", "#7a3fb0", "#22292f"
WIDTH = 930
_MS = 1_000_000
CONFIG: Chart = {
    "font": "system-ui, sans-serif",
    "view": {"stroke": "#d9dee2"},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "gridColor": "#eceff1",
        "labelFontSize": 11,
        "titleFontSize": 11,
    },
    "axisX": {"grid": False},
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "orient": "top", "title": None},
    "title": {"anchor": "start", "frame": "group", "fontSize": 13, "fontWeight": 600, "color": INK},
    "header": {"labelFontSize": 12, "labelFontWeight": 600, "labelColor": INK, "title": None},
}
_CLOCK = (
    "utchours(datum.value) == 0 && utcminutes(datum.value) == 0 && utcseconds(datum.value) == 0"
    " ? utcFormat(datum.value, '%d %b') : utcFormat(datum.value, {fine})"
)


def moments(field: str, scope: ReportScope, *, is_bound: bool = False) -> Chart:
    """Return the encoding of a time axis.

    field: key with the time in Unix ms; is_bound: the axis spans the scope's whole range, which one of
    several layers on a shared axis has to set.
    """
    bounds = {"expr": f"[{scope.since // _MS}, {scope.until // _MS}]"}
    return {
        "field": field,
        "type": "temporal",
        "title": None,
        "scale": {"type": "utc", "nice": False, **({"domain": bounds} if is_bound else {})},
        "axis": {
            "labelExpr": clock("%H:%M" if scope.seconds <= 4 * 86_400 else "%d %b"),
            "labelOverlap": "greedy",
            "labelSeparation": 8,
            "tickCount": 12,
        },
    }


def clock(fine: str) -> str:
    """Return the Vega expression for labels of a time axis: in the format `fine`, at midnight the date."""
    return _CLOCK.format(fine=f"'{fine}'")


def tooltip(names: Sequence[tuple[str, str]]) -> list[Chart]:
    """Return the tooltip encoding of text fields, given as (title, field)."""
    return [{"field": field, "type": "nominal", "title": title} for title, field in names]


def amount(field: str, title: str) -> Chart:
    """Return the tooltip encoding of a number."""
    return {"field": field, "type": "quantitative", "format": ",.8~f", "title": title}
