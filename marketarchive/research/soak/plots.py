"""Plots of a soak test as SVG: memory, processors, disk, and unobserved seconds over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marketarchive.research.report.drawing import AMBER, BLUE, CONFIG, GREEN, RED, Chart
from marketarchive.research.report.shares import SEEN
from marketarchive.research.soak.measure import SoakFindings, cpu_shares

_SIZE = {"width": 760, "height": 150}


def plots(found: SoakFindings) -> Mapping[str, str]:
    """Return name -> SVG of each plot that has data. Raises ConfigurationError."""
    samples = [line for line in found.samples if line.resident_bytes]
    charts = {
        "memory": _line(
            "Memory of the collector, MiB",
            [(each.at_utc, each.resident_bytes / 2**20) for each in samples],
            BLUE,
        ),
        "cpu": _line(
            "Processors that the collector uses",
            [(each.at_utc, share) for each, share in cpu_shares(samples)],
            AMBER,
        ),
        "disk": _line(
            "OUTPUT_DIR, MB",
            [(each.at_utc, sum(each.disk_bytes.values()) / 1e6) for each in found.samples],
            GREEN,
        ),
        "observed": _observed(found),
    }
    import vl_convert

    return {
        name: vl_convert.vegalite_to_svg({**chart, "config": CONFIG})
        for name, chart in charts.items()
        if chart["data"]["values"]
    }


def _line(title: str, points: Sequence[tuple[str, float]], colour: str) -> Chart:
    """Return a line chart of (ISO time, value) points."""
    return {
        "title": title,
        **_SIZE,
        "data": {"values": [{"at": at, "value": round(value, 4)} for at, value in points]},
        "mark": {"type": "line", "color": colour, "interpolate": "step-after", "point": len(points) < 3},
        "encoding": {
            "x": {"field": "at", "type": "temporal", "title": None, "scale": {"type": "utc"}},
            "y": {"field": "value", "type": "quantitative", "title": None},
        },
    }


def _observed(found: SoakFindings) -> Chart:
    """Return a chart of the share of tracked seconds not observed, per five minutes, hour or day."""
    rows: list[dict[str, Any]] = []
    if found.tables is not None:
        bins: dict[int, dict[str, int]] = {}
        for counted in found.tables.seen.counts.values():
            for at, states in counted.items():
                known = bins.setdefault(at, dict.fromkeys(SEEN, 0))
                for state, count in states.items():
                    known[state] += count
        for at, counts in sorted(bins.items()):
            total = sum(counts.values())
            rows += [
                {"at": at * 1000, "value": 100 * counts[state] / total, "state": state}
                for state in ("gapped", "unknown")
            ]
    return {
        "title": "Tracked seconds not observed, %",
        **_SIZE,
        "data": {"values": rows},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {"field": "at", "type": "temporal", "title": None, "scale": {"type": "utc"}},
            "y": {"field": "value", "type": "quantitative", "title": None},
            "color": {
                "field": "state",
                "type": "nominal",
                "scale": {"domain": ["gapped", "unknown"], "range": [AMBER, RED]},
            },
        },
    }
