"""Charts of perpetuals as Vega-Lite documents; pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marketarchive.research.report.drawing import (
    AMBER,
    CONFIG,
    GREEN,
    GREY,
    RED,
    WIDTH,
    Chart,
    amount,
    moments,
    tooltip,
)
from marketarchive.research.report.scope import ReportScope

LABELS = 100
"""Width beside a chart for the names of venues, pixels."""
_STATES = {"complete": GREEN, "some rows": AMBER, "none": RED}


def _venue(domain: Sequence[str], there: set[str]) -> Chart:
    """Return the colour encoding of venues, alike in all charts; the legend lists only those in `there`."""
    shown = [name for name in domain if name in there]
    scale = {"scheme": "dark2", "domain": list(domain)}
    return {"field": "venue", "type": "nominal", "scale": scale, "legend": {"values": shown}}


def collected(rows: Sequence[dict[str, Any]], scope: ReportScope) -> Chart:
    """Return a chart with a strip per venue: days with all expected rows, some of them, or none."""
    names = ("venue", "from", "to", "rows", "expected")
    return {
        "data": {"values": list(rows)},
        "width": WIDTH - LABELS,
        "height": {"step": 24},
        "mark": {"type": "bar", "height": 14, "clip": True},
        "encoding": {
            "x": moments("x", scope, is_bound=True),
            "x2": {"field": "x2"},
            "y": {"field": "venue", "type": "nominal", "title": None},
            "color": {
                "field": "state",
                "type": "nominal",
                "scale": {"domain": list(_STATES), "range": list(_STATES.values())},
            },
            "tooltip": tooltip([(name, name) for name in names]),
        },
        "config": CONFIG,
    }


def distributions(rows: Sequence[dict[str, Any]], venues: Sequence[str]) -> Chart:
    """Return a chart of funding quantiles by asset and venue: a line from 5 to 95 %, a bar from 25 to 75.

    rows: as `drawn.distributions` returns them; venues: all, in the order of their colours.
    """
    place = {
        "y": {"field": "asset", "type": "nominal", "title": None, "axis": {"grid": True}},
        "yOffset": {"field": "venue"},
    }
    titles = (
        ("p5", "5 % are below"),
        ("p25", "25 %"),
        ("median", "median"),
        ("p75", "75 %"),
        ("p95", "95 %"),
    )
    hints = [
        *tooltip([("asset", "asset"), ("venue", "venue"), ("rates", "rates")]),
        *(amount(field, title) for field, title in titles),
    ]
    title = "basis points per 8 hours; positive: longs pay"
    color = _venue(venues, {row["venue"] for row in rows})

    def layer(mark: Chart, first: str, last: str | None = None) -> Chart:
        x = {"field": first, "type": "quantitative", "title": title}
        until = {} if last is None else {"x2": {"field": last}}
        return {"mark": mark, "encoding": {**place, "x": x, **until, "color": color, "tooltip": hints}}

    zero = {"mark": {"type": "rule", "color": GREY, "strokeDash": [3, 3]}, "encoding": {"x": {"datum": 0}}}
    return {
        "data": {"values": list(rows)},
        "width": WIDTH - LABELS,
        "height": {"step": 9},
        "layer": [
            zero,
            layer({"type": "rule", "strokeWidth": 1.2}, "p5", "p95"),
            layer({"type": "bar", "height": 5, "opacity": 0.75}, "p25", "p75"),
            layer({"type": "tick", "thickness": 2, "height": 8}, "median"),
        ],
        "config": CONFIG,
    }


def panels(
    rows: Sequence[dict[str, Any]], venues: Sequence[str], field: str, title: str, scope: ReportScope
) -> Chart:
    """Return a chart with a panel per asset, each with its own scale, and a line per venue.

    rows: as `drawn.lines` returns them; venues: all, in the order of their colours; field, title: the key to
    draw and its unit; scope: the time axis.
    """
    hints = [*tooltip([("asset", "asset"), ("venue", "venue"), ("from (UTC)", "from")]), amount(field, title)]
    there = {(row["asset"], row["venue"]) for row in rows if row[field] is not None}
    names = ("asset", "venue", "x", "from", field)
    shown = [{name: row[name] for name in names} for row in rows if (row["asset"], row["venue"]) in there]
    return {
        "data": {"values": shown},
        "facet": {"field": "asset", "type": "nominal", "header": {"labelAnchor": "start"}},
        "columns": 2,
        "spacing": {"row": 8, "column": 26},
        "spec": {
            "width": (WIDTH - LABELS) // 2,
            "height": 100,
            "mark": {"type": "line", "strokeWidth": 1.2, "point": {"size": 8}},
            "encoding": {
                "x": {
                    **moments("x", scope, is_bound=True),
                    "axis": {**moments("x", scope)["axis"], "tickCount": 6},
                },
                "y": {
                    "field": field,
                    "type": "quantitative",
                    "title": None,
                    "axis": {"tickCount": 4, "minExtent": 30},
                    "scale": {"zero": False},
                },
                "color": _venue(venues, {row["venue"] for row in shown}),
                "tooltip": hints,
            },
        },
        "resolve": {"scale": {"y": "independent"}, "axis": {"x": "independent"}},
        "config": CONFIG,
    }


def spreads(rows: Sequence[dict[str, Any]], scope: ReportScope) -> Chart:
    """Return a chart of the difference between venues by asset over time, the darker the greater."""
    titles = {
        "funding": "Funding: basis points per 8 hours",
        "mark": "Mark prices: basis points",
    }
    hints = tooltip([("asset", "asset"), ("from", "from")])
    parts = [
        {
            "title": title,
            "width": WIDTH - LABELS,
            "height": {"step": 15},
            "transform": [{"filter": f"isValid(datum.{field})"}],
            "mark": {"type": "rect", "clip": True},
            "encoding": {
                "x": moments("x", scope, is_bound=True),
                "x2": {"field": "x2"},
                "y": {"field": "asset", "type": "nominal", "title": None},
                "color": {
                    "field": field,
                    "type": "quantitative",
                    "scale": {"scheme": "blues", "zero": True},
                    "legend": {"orient": "right", "gradientLength": 110},
                },
                "tooltip": [*hints, amount(field, title)],
            },
        }
        for field, title in titles.items()
        if any(row[field] is not None for row in rows)
    ]
    return {
        "data": {"values": list(rows)},
        "vconcat": parts,
        "resolve": {"scale": {"color": "independent"}},
        "config": CONFIG,
    }
