"""Charts over a report's whole time range as Vega-Lite documents; pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marketarchive.research.report.drawing import (
    AMBER,
    CONFIG,
    GREEN,
    GREY,
    INK,
    PALE,
    RED,
    WIDTH,
    Chart,
    amount,
    moments,
    tooltip,
)
from marketarchive.research.report.scope import ReportScope
from marketarchive.research.report.shares import Shares

_COLORS = {
    "observed": GREEN,
    "quiet": PALE,
    "unknown": AMBER,
    "gapped": RED,
    "ok": GREEN,
    "unchecked": AMBER,
    "not_available": GREY,
    "failed": RED,
}


def shares(found: Shares, scope: ReportScope) -> Chart:
    """Return a chart of shares: a strip per kind and asset, a bar per time bin, marks over bad bins."""
    rows = found.rows()
    for row in rows:
        row["middle"] = (row["x"] + row["x2"]) // 2
    reported = [
        ("asset", "asset"),
        ("from (UTC)", "from"),
        ("to", "to"),
        *((name, name) for name in found.states),
    ]
    color = {
        "field": "state",
        "type": "nominal",
        "scale": {"domain": list(found.states), "range": [_COLORS[each] for each in found.states]},
        "legend": {"labelExpr": "replace(datum.label, '_', ' ')"},
    }
    strip = {
        "width": WIDTH,
        "height": 26,
        "layer": [
            {
                "mark": {"type": "rect", "stroke": "white", "strokeWidth": 0.4},
                "encoding": {
                    "x": moments("x", scope, is_bound=True),
                    "x2": {"field": "x2"},
                    "y": {
                        "field": "y",
                        "type": "quantitative",
                        "title": None,
                        "scale": {"domain": [0, 1.36]},
                        "axis": {"values": [1], "format": "%"},
                    },
                    "y2": {"field": "y2"},
                    "color": color,
                    "tooltip": tooltip(reported),
                },
            },
            {
                "transform": [
                    {"filter": {"field": "state", "oneOf": found.marked}},
                    {"filter": "datum.is_worst"},
                ],
                "mark": {"type": "point", "shape": "triangle-down", "filled": True, "size": 34, "opacity": 1},
                "encoding": {
                    "x": moments("middle", scope),
                    "y": {"datum": 1.19, "type": "quantitative"},
                    "color": color,
                    "tooltip": tooltip(reported),
                },
            },
        ],
    }
    parts = [
        {
            "title": kind,
            "transform": [{"filter": {"field": "kind", "equal": kind}}],
            "facet": {
                "row": {
                    "field": "asset",
                    "type": "nominal",
                    "header": {"labelAngle": 0, "labelAlign": "left"},
                }
            },
            "spacing": 4,
            "spec": strip,
        }
        for kind in found.kinds
    ]
    return {"data": {"values": rows}, "vconcat": parts, "spacing": 14, "config": CONFIG}


def timeline(rows: Sequence[dict[str, Any]], scope: ReportScope) -> Chart:
    names = ("lane", "from", "to", "lasted", "cause", "scope", "detail")
    color = {"field": "reason", "type": "nominal", "legend": None, "scale": {"scheme": "dark2"}}
    return {
        "data": {"values": list(rows)},
        "width": WIDTH - 120,
        "height": {"step": 26},
        # the stroke keeps bars visible that are narrower than a pixel
        "mark": {"type": "bar", "height": 14, "strokeWidth": 2, "opacity": 0.75},
        "encoding": {
            "x": moments("x", scope, is_bound=True),
            "x2": {"field": "x2"},
            "y": {
                "field": "lane",
                "type": "nominal",
                "title": None,
                "axis": {"labelLimit": 240, "grid": True},
            },
            "color": color,
            "stroke": color,
            "tooltip": tooltip([(name, name) for name in names]),
        },
        "config": CONFIG,
    }


def spread_and_depth(
    rows: Sequence[dict[str, Any]], gaps: Sequence[dict[str, Any]], scope: ReportScope
) -> Chart:
    """Return a chart of spread and depth per asset: median lines with bands, shaded where books have a gap.

    rows: as `depth.spread_and_depth` returns them; gaps: `asset`, `x` and `x2` (Unix ms) of each.
    """
    spread, depth = ("spread", "$ per share", ("spread",)), ("depth", "shares", ("bids", "asks"))
    parts = [
        {
            "hconcat": [
                _panel(
                    f"{asset}: {what}",
                    unit,
                    names,
                    [each for each in rows if each["asset"] == asset],
                    [each for each in gaps if each["asset"] == asset],
                    scope,
                )
                for what, unit, names in (spread, depth)
            ],
            "spacing": 30,
        }
        for asset in dict.fromkeys(row["asset"] for row in rows)
    ]
    return {"vconcat": parts, "spacing": 12, "config": CONFIG}


def _panel(
    title: str,
    axis: str,
    names: Sequence[str],
    rows: Sequence[dict[str, Any]],
    gaps: Sequence[dict[str, Any]],
    scope: ReportScope,
) -> Chart:
    layers: list[Chart] = []
    for name in names:
        color = {"spread": INK, "bids": GREEN, "asks": RED}[name]
        y = {"type": "quantitative", "title": axis, "axis": {"tickCount": 4}}
        reported = (
            (name, "median"),
            (f"{name}_low", "a tenth is below"),
            (f"{name}_high", "a tenth is above"),
        )
        layers += [
            {
                "mark": {"type": "area", "opacity": 0.18, "color": color},
                "encoding": {
                    "x": moments("x", scope, is_bound=not layers),
                    "y": {**y, "field": f"{name}_low"},
                    "y2": {"field": f"{name}_high"},
                },
            },
            {
                "mark": {
                    "type": "line",
                    "strokeWidth": 1.3,
                    "color": color,
                    "point": {"size": 5, "color": color},
                },
                "encoding": {
                    "x": moments("x", scope),
                    "y": {**y, "field": name},
                    "tooltip": [*tooltip([("from (UTC)", "from")]), *(amount(*each) for each in reported)],
                },
            },
        ]
    shade = {
        "data": {"values": list(gaps)},
        "mark": {"type": "rect", "color": RED, "opacity": 0.16, "stroke": RED, "strokeOpacity": 0.5},
        "encoding": {"x": moments("x", scope), "x2": {"field": "x2"}},
    }
    return {
        "width": (WIDTH - 60) // 2,
        "height": 110,
        "title": title,
        "data": {"values": list(rows)},
        "layer": [*layers, *([shade] if gaps else [])],
    }
