"""Chart of one round as a Vega-Lite document; the page's script fills in the chosen round. Pure."""

from __future__ import annotations

from marketarchive.research.report.drawing import (
    BLUE,
    CONFIG,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    RED,
    VIOLET,
    Chart,
    amount,
    clock,
    tooltip,
)

BOUNDS = ("from", "until", "low", "high")
"""Names of the chart's parameters for the bounds of time (ms) and price."""
NARROW = "narrow"
"""Name of the chart's parameter that is true if there is no room beside it for the names of levels."""

_WIDTH = 800  # leaves room for the names of levels


def one_round() -> Chart:
    """Return the chart of a round, without data.

    Whoever shows it provides the data sets `points`, `strips`, `gaps`, `levels`, `ends`, and the parameters
    BOUNDS and NARROW.
    """
    x = {
        "field": "x",
        "type": "temporal",
        "title": None,
        "scale": {"type": "utc", "nice": False, "domain": {"expr": "[from, until]"}},
        "axis": {"labelExpr": clock("%H:%M:%S"), "tickCount": 8, "labelOverlap": "greedy"},
    }

    def shade(stream: str) -> Chart:
        return {
            "data": {"name": "gaps"},
            "transform": [{"filter": f"datum.stream == '{stream}'"}],
            "mark": {"type": "rect", "color": RED, "opacity": 0.2, "stroke": RED, "strokeOpacity": 0.6},
            "encoding": {
                "x": x,
                "x2": {"field": "x2"},
                "tooltip": tooltip([("gap", "reason"), ("from", "from"), ("to", "to")]),
            },
        }

    def lines(field: str, observed: str, color: str, y: Chart) -> list[Chart]:
        reported = [
            *tooltip([("at (UTC)", "at")]),
            amount(field, field),
            *tooltip([("state", f"{field}_state")]),
        ]
        return [
            {
                "data": {"name": "points"},
                "mark": {"type": "line", "color": GREY, "strokeDash": [3, 3], "strokeWidth": 1.2},
                "encoding": {"x": x, "y": {**y, "field": field}},
            },
            {
                "data": {"name": "points"},
                "mark": {"type": "line", "color": color, "strokeWidth": 1.8},
                "encoding": {"x": x, "y": {**y, "field": observed}},
            },
            {
                "data": {"name": "points"},
                "mark": {"type": "point", "opacity": 0, "size": 60},
                "encoding": {"x": x, "y": {**y, "field": field}, "tooltip": reported},
            },
        ]

    price = {
        "type": "quantitative",
        "title": "price, $",
        "scale": {"zero": False, "nice": False, "domain": {"expr": "[low, high]"}},
        "axis": {"format": ",.8~f"},
    }
    up = {
        "type": "quantitative",
        "title": "Up, $ per share",
        "scale": {"domain": [0, 1]},
        "axis": {"format": ".2f", "values": [0, 0.25, 0.5, 0.75, 1]},
    }
    level = {
        "color": {
            "field": "name",
            "type": "nominal",
            "legend": None,
            "scale": {"domain": ["K", "settlement"], "range": [INK, VIOLET]},
        }
    }
    return {
        "params": [{"name": name, "value": 0} for name in (*BOUNDS, NARROW)],
        "vconcat": [
            {
                "width": _WIDTH,
                "height": 240,
                "layer": [
                    shade("cl"),
                    {
                        "data": {"name": "points"},
                        "mark": {"type": "line", "color": ORANGE, "strokeWidth": 1.2},
                        "encoding": {"x": x, "y": {**price, "field": "mean"}},
                    },
                    *lines("price", "price_observed", BLUE, price),
                    {
                        "data": {"name": "levels"},
                        "mark": {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 1.3},
                        "encoding": {"y": {**price, "field": "value"}, **level},
                    },
                    {
                        "data": {"name": "levels"},
                        "mark": {
                            "type": "text",
                            "align": {"expr": f"{NARROW} ? 'right' : 'left'"},
                            "baseline": "middle",
                            "dx": {"expr": f"{NARROW} ? -6 : 8"},
                            "dy": {"expr": f"{NARROW} ? 1.6 * (datum.shift || -6) : datum.shift"},
                            "fontSize": 12,
                            "fontWeight": 600,
                        },
                        "encoding": {
                            "x": {**x, "field": "until"},
                            "y": {**price, "field": "value"},
                            "text": {"field": "text"},
                            **level,
                        },
                    },
                    {
                        "data": {"name": "ends"},
                        "mark": {
                            "type": "point",
                            "shape": "diamond",
                            "filled": True,
                            "size": 110,
                            "color": VIOLET,
                        },
                        "encoding": {
                            "x": x,
                            "y": {**price, "field": "settlement"},
                            "tooltip": tooltip([("settlement, $", "settlement")]),
                        },
                    },
                ],
            },
            {
                "width": _WIDTH,
                "height": 150,
                "layer": [shade("pm"), *lines("up", "up_observed", "#0f7a6c", up)],
            },
            {
                "width": _WIDTH,
                "height": {"step": 18},
                "data": {"name": "strips"},
                "mark": {"type": "rect", "height": 11},
                "encoding": {
                    "x": x,
                    "x2": {"field": "x2"},
                    "y": {"field": "stream", "type": "nominal", "title": None, "sort": None},
                    "color": {
                        "field": "state",
                        "type": "nominal",
                        "scale": {
                            "domain": ["observed", "quiet", "carried", "nothing"],
                            "range": [GREEN, PALE, GREY, "#f3dcda"],
                        },
                        "legend": {"orient": "bottom"},
                    },
                    "tooltip": tooltip(
                        [("stream", "stream"), ("state", "state"), ("from", "from"), ("to", "to")]
                    ),
                },
            },
        ],
        "spacing": 10,
        "resolve": {"scale": {"x": "shared", "color": "independent"}},
        "config": CONFIG,
    }
